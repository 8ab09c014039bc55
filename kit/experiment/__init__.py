"""Steps that the stages share after a config is opened: techniques, folds, files of a run."""
