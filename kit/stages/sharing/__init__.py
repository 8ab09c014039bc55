"""Exchange of runs, predictions and submissions between workspaces."""
