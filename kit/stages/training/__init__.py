"""Runs, soups and sweeps."""
