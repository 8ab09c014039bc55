"""Bundles: packs a blend for a machine without the workspace and without a network, and predicts there."""
