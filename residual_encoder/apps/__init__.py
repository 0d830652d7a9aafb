"""What a person starts: command lines, the web page, benchmarks, archives."""
