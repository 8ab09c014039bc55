"""What `kit check` looks at, a module a subject; each gives Findings."""
