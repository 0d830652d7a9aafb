"""The web page that colors pictures."""
