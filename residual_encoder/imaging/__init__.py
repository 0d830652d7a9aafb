"""Color spaces, picture files, resizing, filters and video frames."""
