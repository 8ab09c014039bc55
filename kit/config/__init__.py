"""config.json: its models, its text, overrides and its workspace."""
