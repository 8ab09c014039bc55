"""Training: batches, steps, epochs. It neither writes files nor prints."""
