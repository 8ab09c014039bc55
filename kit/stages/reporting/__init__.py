"""The report: what a workspace's files say of data, runs, mistakes and submissions, gathered as values, then drawn."""
