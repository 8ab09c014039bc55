"""Matthews correlation coefficient: the correlation of true and predicted classes."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._decisions import DecisionMetric, Weighted


class Mcc(DecisionMetric):
    """Matthews correlation coefficient of true and predicted classes, from -1 to 1; 0 for a constant prediction.

    It is also 0 if all rows are of one class. If a row may have several labels, each row and class is one yes
    or no.

    Source: sklearn.metrics.matthews_corrcoef; Gorodkin 2004, "Comparing two K-category assignments by a K-category
    correlation coefficient", equation 8.
    """

    label_kinds = ("class_index", "multi_hot")
    limits = (-1, 1)

    def weigh_labels(self, true: np.ndarray, predicted: np.ndarray) -> Weighted:
        both, given, own = (values.sum(axis=1) for values in (true & predicted, predicted, true))
        neither = true.shape[1] - given - own + both

        def score(weights: np.ndarray) -> float:
            yes, no, count = weights @ both, weights @ neither, true.shape[1] * weights.sum()
            predicted_yes, true_yes = weights @ given, weights @ own
            margins = [np.array([count - yes_count, yes_count]) for yes_count in (predicted_yes, true_yes)]
            return self.of_margins(np.array([no, yes]), *margins)

        return score

    def of_confusion(self, counts: np.ndarray) -> float:
        return self.of_margins(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        rows = float(true.sum())
        predicted, true = predicted / rows, true / rows
        spread = (1 - predicted @ predicted) * (1 - true @ true)
        if spread <= 1e-15:  # rounding, if all rows are of one class or predicted as one
            return 0.0
        return float(np.clip((hits.sum() / rows - predicted @ true) / np.sqrt(spread), -1, 1))
