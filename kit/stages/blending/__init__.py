"""Blends of several members."""
