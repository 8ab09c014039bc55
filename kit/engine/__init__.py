"""Training itself: batches, steps, epochs. No files, no prints."""
