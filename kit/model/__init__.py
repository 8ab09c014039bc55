"""The network: its parts, weights, checkpoints and forward passes."""
