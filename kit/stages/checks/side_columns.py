"""K45, K46, K48: single columns that predict the label or the fold, are unused, or differ between the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypeGuard

import numpy as np
import pandas as pd

from kit.config.models import Data
from kit.core.randomness import generator
from kit.data.folds import Folds
from kit.data.side_columns import encode_columns
from kit.data.table import Table
from kit.errors import Case, DataError
from kit.stages.checks.adversarial import MIN_AUC, Separability, classify_train_vs_test
from kit.stages.checks.finding import Finding

LEAK_AUC = 0.95  # of a single column
USEFUL_AUC = 0.6  # of a column that is not used
MAX_ROWS, MAX_LABELS, FOLDS = 5000, 5, 3  # that the trees of one column see
MIN_ROWS = 60  # fewer rows are no evidence
MAX_FOLDS = 5  # that are looked at


def check_side_columns(train: Table, test: Table, data: Data, left_out: tuple[str, ...]) -> Iterator[Finding]:
    """Yields K45 for columns with a suspicious AUC of their own, K46 for useful ones that `data.columns` does
    not name.
    """
    own = train.take(np.flatnonzero(train.competition_rows))
    if len(own) < MIN_ROWS or own.label_kind not in ("class_index", "multi_hot"):
        return
    both = [str(name) for name in own.frame.columns if name in test.frame.columns and name not in left_out]
    scores = {name: auc for name in both if (auc := column_auc(own, test, name, data)) is not None}
    leaks = {name: auc for name, auc in scores.items() if auc > LEAK_AUC}
    if leaks:
        yield Finding(
            "K45",
            "warning",
            f"{len(leaks)} columns predict the label alone: {_list(leaks)}",
            "if a column is filled in after the answer is known, scores that use it are too high",
            "leave such a column out of data.columns",
            tuple(Case(f"AUC {auc:.3f} alone", name) for name, auc in leaks.items()),
        )
    useful = {
        name: auc
        for name, auc in scores.items()
        if USEFUL_AUC <= auc <= LEAK_AUC and name not in data.columns
    }
    if useful:
        yield Finding(
            "K46",
            "note",
            f"{len(useful)} columns of both tables predict the label better than chance: {_list(useful)}",
            "kit train columns=mlp learns from them beside the image, and kit stack beside the probabilities",
            f"data.columns=[{','.join(map(json.dumps, [*data.columns, *useful]))}]",
            tuple(Case(f"AUC {auc:.3f} alone", name) for name, auc in useful.items()),
        )


def check_column_shift(train: Table, test: Table, folds: Folds, data: Data) -> Iterator[Finding]:
    """Yields K48 for single columns of `data.columns` that separate test rows from training rows, or a fold
    from the others.
    """
    cases = []
    for name in data.columns:
        if name not in train.frame.columns or (len(test) and name not in test.frame.columns):
            continue
        try:
            values = _codes(train, test, name, data)
        except DataError:
            continue
        groups = np.unique(train.ids if train.groups is None else train.groups, return_inverse=True)[1]
        own = values[: len(train)]
        is_test = np.arange(len(values)) >= len(train)
        units = np.concatenate([groups, len(train) + np.arange(len(test))])
        separability = classify_train_vs_test(values[:, None], [name], is_test, units) if len(test) else None
        if _is_separable(separability):
            unseen = np.isnan(values[is_test]).mean() - np.isnan(own).mean()
            new = f"; {unseen:.0%} more of its test cells are empty or new values" if unseen > 0.01 else ""
            cases.append(Case(f"AUC {separability.auc:.3f} for test rows{new}", name))
        for fold in range(min(folds.count, MAX_FOLDS)):
            held_out = folds.oof_mask(fold)
            separability = (
                classify_train_vs_test(own[:, None], [name], held_out, groups) if held_out.any() else None
            )
            if _is_separable(separability):
                cases.append(Case(f"AUC {separability.auc:.3f} for the rows of fold {fold}", name))
                break
    if cases:
        names = dict.fromkeys(case.path for case in cases)
        yield Finding(
            "K48",
            "warning",
            f"{len(names)} of data.columns separate test rows, or a fold, from other rows: {', '.join(names)}",
            "a network cannot learn what such values mean, and a column of folds makes scores wrong",
            "leave such a column out of data.columns, or compare scores with and without it",
            tuple(cases),
        )


def _is_separable(separability: Separability | None) -> TypeGuard[Separability]:
    return separability is not None and separability.interval[0] >= MIN_AUC


def _codes(train: Table, test: Table, name: str, data: Data) -> np.ndarray:
    """Returns the first value of a column of training rows, then of test rows; a category's code, NaN if
    missing or new.
    """
    parts = encode_columns(train, test, [name], data.column_kinds)[:2]
    columns = []
    for frame in parts:
        column = frame[frame.columns[0]]
        is_category = isinstance(column.dtype, pd.CategoricalDtype)
        codes = column.cat.codes.where(column.cat.codes >= 0) if is_category else column
        columns.append(codes.to_numpy(np.float64))
    return np.concatenate(columns)


def column_auc(train: Table, test: Table, name: str, data: Data) -> float | None:
    """Returns the mean AUC of the most frequent labels by trees of one column, out of fold.

    It is None if it cannot be measured.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict

    chosen = generator(0, "side columns").permutation(len(train))[:MAX_ROWS]
    rows = train.take(np.sort(chosen))
    try:
        features, _, kinds = encode_columns(rows, test, [name], data.column_kinds)
    except DataError:
        return None
    cells = rows.frame[name]
    if kinds[name] == "category" and cells.nunique() > len(rows) / 2:
        return None  # a name of each row
    truth = rows.targets()
    hot = truth if truth.ndim == 2 else truth[:, None] == np.arange(len(rows.classes))
    counts = hot.sum(axis=0)
    labels = [
        number for number in np.argsort(-counts)[:MAX_LABELS] if FOLDS <= counts[number] <= len(rows) - FOLDS
    ]
    scores = []
    for number in labels:
        answer = pd.Series(hot[:, number].astype(int))
        splitter = StratifiedKFold(FOLDS) if rows.groups is None else GroupKFold(FOLDS)
        if rows.groups is not None and len(np.unique(rows.groups)) < FOLDS:
            return None
        trees = HistGradientBoostingClassifier(
            max_iter=20,
            max_leaf_nodes=15,
            early_stopping=False,
            categorical_features="from_dtype",
            random_state=0,
        )
        try:
            shares = cross_val_predict(
                trees, features, answer, cv=splitter, groups=rows.groups, method="predict_proba"
            )
        except (ValueError, IndexError):  # a part without both answers
            continue
        scores.append(float(roc_auc_score(answer, shares[:, -1])))
    return float(np.mean(scores)) if scores else None


def _list(scores: dict[str, float]) -> str:
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return ", ".join(f"{name} (AUC {auc:.2f})" for name, auc in ordered[:5]) + more
