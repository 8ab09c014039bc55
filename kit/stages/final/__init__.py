"""Finals: which members are trained on all rows, and how long that takes by what was measured."""
