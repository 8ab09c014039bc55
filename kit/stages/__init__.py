"""One folder per stage of the pipeline; each reads what the one before wrote."""
