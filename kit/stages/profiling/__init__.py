"""Throughput, loader speed and the learning-rate finder."""
