"""Bundles: a blend packed for a machine without the workspace and without a network, and predicted there."""
