"""Session: a competition opened from Python, with one method per command."""
