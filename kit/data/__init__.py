"""Tables of rows, labels, folds and predictions, all joined by id."""
