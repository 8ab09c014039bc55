"""Submissions, their validation and the board."""
