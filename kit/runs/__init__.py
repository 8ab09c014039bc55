"""A run's folder: records, locks, checkpoints. No torch."""
