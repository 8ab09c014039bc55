"""Scores without bias: cross-fitting, bootstrap, paired gains."""
