"""What the stages share once a config is opened: techniques, folds, files of a run."""
