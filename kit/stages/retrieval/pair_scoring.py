"""Scores given pairs of ids, each by the networks and pair classifiers that have not seen its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kit.evaluation.pair_classifier import PairClassifier, pair_features
from kit.stages.retrieval.source import EmbeddedRun

TEST = "test"  # the classifier of pairs of test rows, fitted on all drawn pairs


@dataclass(frozen=True)
class _Pair:
    """The positions of two rows: whether each is a test row, and its position in that table."""

    rows: tuple[tuple[bool, int], tuple[bool, int]]
    folds: frozenset[int]  # whose networks score it
    trained: bool  # whether one of them is a training row
    seen: bool  # whether every network was trained on one of the two


def score_pairs(
    source: EmbeddedRun, wanted: Sequence[tuple[str, str]], classifiers: Mapping[str, PairClassifier]
) -> tuple[np.ndarray, int]:
    """Returns the probabilities (pairs,) of one class, and the number of pairs of which every network was
    trained on a row.

    A pair with a training row is scored by the network and classifier of the fold that held it out; if both
    rows are training rows, by the fold that held out both. A pair of test rows has the mean probability of
    all networks.
    """
    pairs = _locate(source, wanted)
    total, counts = np.zeros(len(pairs)), np.zeros(len(pairs))
    for fold, embedded in source.by_fold.items():
        numbers = [number for number, pair in enumerate(pairs) if fold in pair.folds]
        if not numbers:
            continue
        sides = [
            np.stack([(embedded.test if is_test else embedded.train).vectors[row] for is_test, row in side])
            for side in zip(*(pairs[number].rows for number in numbers), strict=True)
        ]
        given = pair_features(*sides)[None]
        trained = np.array([pairs[number].trained for number in numbers])
        probabilities = [classifiers[name].blend(given)[:, 1] for name in (str(fold), TEST)]
        total[numbers] += np.where(trained, *probabilities)
        counts[numbers] += 1
    return total / np.maximum(counts, 1), sum(pair.seen for pair in pairs)


def _locate(source: EmbeddedRun, wanted: Sequence[tuple[str, str]]) -> list[_Pair]:
    everyone = frozenset(source.by_fold)
    train = {name: row_number for row_number, name in enumerate(source.table.ids.tolist())}
    first = next(iter(source.by_fold.values()))
    test = {name: row_number for row_number, name in enumerate(first.test.ids.tolist())}
    held_out_by_fold = [everyone & frozenset(row) for row in source.folds.numbers.tolist()]
    pairs = []
    for one, other in wanted:
        holding = [held_out_by_fold[train[name]] for name in (one, other) if name in train]
        shared = frozenset.intersection(*holding) if holding else everyone
        rows = tuple((name not in train, train.get(name, test.get(name, -1))) for name in (one, other))
        folds = shared or holding[0] or everyone
        pairs.append(_Pair((rows[0], rows[1]), folds, bool(holding), not shared))
    return pairs
