"""What everything else stands on: files, randomness, progress, stopping."""
