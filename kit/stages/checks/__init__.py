"""The checks of `kit check`, one module per subject; each yields Findings."""
