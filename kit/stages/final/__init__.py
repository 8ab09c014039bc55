"""Finals: trains members on all rows within a time, by measured times."""
