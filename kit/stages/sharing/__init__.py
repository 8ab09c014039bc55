"""Runs, predictions and submissions that come from another workspace, or go to one."""
