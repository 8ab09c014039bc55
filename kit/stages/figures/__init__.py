"""Pictures of settings, for kit look."""
