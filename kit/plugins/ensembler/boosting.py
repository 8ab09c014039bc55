"""Boosting: trees that learn from the members' logits, including interactions between members."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.plugins.ensembler._stacked import LogitStacking, log_probability_features, softmax

Node = tuple[
    int, float, int, int, float
]  # input (-1: a leaf), threshold, nodes at or below and above it, value


class Boosting(LogitStacking):
    """Gradient boosting on the members' centred log probabilities: one tree per class and round.

    A class that the fitted rows lack keeps the members' mean probability. The trees are stored, so only numpy
    is needed to apply them. They are read from scikit-learn's attributes; a test compares them with its
    predictions.

    Source: Friedman 2001, "Greedy Function Approximation"; sklearn.ensemble.HistGradientBoostingClassifier.
    """

    rounds: int = Field(40, ge=1, le=1000, description="boosting rounds; each adds one tree per class")
    learning_rate: float = Field(0.1, gt=0, le=1, description="factor of each tree")
    max_leaves: int = Field(7, ge=2, le=64, description="maximum number of leaves of a tree")
    l2: float = Field(1.0, ge=0, description="L2 penalty of leaf values")
    min_rows_per_leaf: int = Field(20, ge=1, description="minimum rows per leaf")
    start: tuple[float, ...] = Field(
        (), description="fitted, do not set: initial score of each of these classes"
    )
    trees: tuple[tuple[tuple[Node, ...], ...], ...] = Field(
        (), description="fitted, do not set: trees by round and class"
    )

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        from sklearn.ensemble import HistGradientBoostingClassifier

        present = np.unique(truth)
        if len(present) < 2:  # only one class
            return self.model_copy(update={"classes": (), "start": (), "trees": ()})
        model = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.rounds,
            max_leaf_nodes=self.max_leaves,
            min_samples_leaf=self.min_rows_per_leaf,
            l2_regularization=self.l2,
            early_stopping=False,
            random_state=0,
        ).fit(log_probability_features(members), truth)
        rounds = tuple(tuple(_nodes(tree.nodes) for tree in trees) for trees in model._predictors)
        start = tuple(model._baseline_prediction.ravel().tolist())
        return self.model_copy(update={"classes": tuple(present.tolist()), "start": start, "trees": rounds})

    def shares(self, members: Probabilities) -> Probabilities:
        inputs = log_probability_features(members)
        most = max(node[0] for trees in self.trees for tree in trees for node in tree)
        if most >= inputs.shape[1]:
            raise ConfigError(f"trees that look at input {most}, of {inputs.shape[1]} there are", code="C21")
        raw = np.tile(np.asarray(self.start), (len(inputs), 1))
        for trees in self.trees:
            for index, tree in enumerate(trees):
                raw[:, index] += _values(tree, inputs)
        if raw.shape[1] == 1:  # two classes share one tree per round: the second's log odds
            raw = np.concatenate([np.zeros_like(raw), raw], axis=1)
        return softmax(raw)


def _nodes(nodes: Any) -> tuple[Node, ...]:
    """Returns a tree of scikit-learn, node by node, the root first. A leaf has no input."""
    split_on = np.where(nodes["is_leaf"], -1, nodes["feature_idx"]).tolist()
    threshold = np.where(nodes["is_leaf"], 0.0, nodes["num_threshold"]).tolist()
    rest = (nodes[name].tolist() for name in ("left", "right", "value"))
    return tuple(zip(split_on, threshold, *rest, strict=True))


def _values(tree: tuple[Node, ...], inputs: np.ndarray) -> np.ndarray:
    """Returns the value of the leaf that each row (N, inputs) falls into, (N,)."""
    split_on, threshold, low, high, value = (np.array(column) for column in zip(*tree, strict=True))
    at = np.zeros(len(inputs), dtype=np.int64)
    rows = np.arange(len(inputs))
    while (inner := split_on[at] >= 0).any():
        here = at[inner]
        below = inputs[rows[inner], split_on[here]] <= threshold[here]
        at[inner] = np.where(below, low[here], high[here])
    return np.asarray(value[at])
