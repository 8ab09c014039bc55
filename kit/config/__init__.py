"""config.json: its models, its text, overrides and the workspace it belongs to."""
