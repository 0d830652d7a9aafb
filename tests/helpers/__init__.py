"""Helpers that several test files share, and programs that tests start."""
