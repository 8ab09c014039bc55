"""The data of kit demo."""
