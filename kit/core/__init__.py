"""The base of all other folders: files, randomness, progress, stopping."""
