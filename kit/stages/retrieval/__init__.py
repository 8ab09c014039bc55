"""Nearest training images and pairs."""
