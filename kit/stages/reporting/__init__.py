"""The report: gathers facts on data, runs, mistakes and submissions from a workspace's files, then draws them."""
