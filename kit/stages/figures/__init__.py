"""Pictures of settings, for kit plot."""
