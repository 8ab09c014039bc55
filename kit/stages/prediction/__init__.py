"""Test-time augmentation and embeddings."""
