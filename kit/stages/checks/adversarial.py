"""Adversarial validation: whether a model can separate test rows from training rows, how well, and by which measures.

Source: Pan et al. 2020, "Adversarial Validation Approach to Concept Drift Problem in User Targeting Automation".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kit.core.randomness import generator
from kit.errors import Case
from kit.evaluation import bootstrap
from kit.kinds import Metric
from kit.stages.checks.finding import Finding

MIN_AUC = 0.6  # lower end of the AUC's interval, below which the two sets count as equal
FOLDS, MIN_ROWS = (
    5,
    20,
)  # number of cross-fitting parts, and minimum rows of either set
MAX_ROWS = 20_000  # maximum rows, drawn if there are more
MIN_AUC_DROP = 0.01  # minimum drop of the AUC when a measure that matters is shuffled
MAX_SHOWN_ROWS = 10  # rows of either set

Model = Literal["trees", "linear"]


@dataclass(frozen=True, eq=False)
class Separability:
    """How well a classifier separates test rows from training rows.

    `shares` (rows,) is how much each row looks like a test row.
    """

    auc: float
    interval: tuple[float, float]  # 95 %, by drawing groups
    shares: np.ndarray  # cross-fitted; NaN for rows that were not used
    falls: Mapping[str, float]  # the drop of the AUC when a measure is shuffled, the largest first


def classify_train_vs_test(
    values: np.ndarray, names: Sequence[str], is_test: np.ndarray, groups: np.ndarray, model: Model = "trees"
) -> Separability | None:
    """Cross-fits a model that separates test rows from training rows, by `values` (rows, measures), groups whole.

    Returns None if either set has too few groups. Values that are not finite require trees.
    """
    rows = _sample_rows(is_test)
    kind, units = is_test[rows].astype(np.int64), np.unique(groups[rows], return_inverse=True)[1]
    if min(_groups(units, kind == side) for side in (0, 1)) < MIN_ROWS:
        return None
    fitted = list(_cross_fitted(values[rows], kind, units, model))
    predicted = _predict(fitted, values[rows])
    auc = Metric.open("auc")
    draws = bootstrap.resample_scores(auc, kind, [_both(predicted)], units)[:, 0]
    whole = auc.score(kind, _both(predicted))
    falls = {}
    for column, name in enumerate(names if model == "trees" else ()):
        shuffled = values[rows].copy()
        for _, held_out in fitted:
            shuffled[held_out, column] = generator(0, "shuffle", column).permutation(
                shuffled[held_out, column]
            )
        falls[name] = whole - auc.score(kind, _both(_predict(fitted, shuffled)))
    shares = np.full(len(is_test), np.nan)
    shares[rows] = predicted
    low, high = np.nanquantile(draws, [0.025, 0.975])
    order = sorted(falls, key=lambda name: -falls[name])
    return Separability(whole, (float(low), float(high)), shares, {name: falls[name] for name in order})


def _sample_rows(is_test: np.ndarray) -> np.ndarray:
    """Returns all rows, or an equal share of MOST from either set."""
    if len(is_test) <= MAX_ROWS:
        return np.arange(len(is_test))
    return np.sort(generator(0, "adversarial").choice(len(is_test), MAX_ROWS, replace=False))


def _groups(units: np.ndarray, mask: np.ndarray) -> int:
    return len(np.unique(units[mask]))


def _both(share: np.ndarray) -> np.ndarray:
    return np.stack([1 - share, share], axis=1)


Fitted = tuple[Any, np.ndarray]  # a model, and the rows that it did not see


def _cross_fitted(values: np.ndarray, kind: np.ndarray, units: np.ndarray, model: Model) -> Iterator[Fitted]:
    """Yields fitted models with their held-out rows.

    Groups are assigned to the parts at random, and those with a test row evenly.
    """
    order = generator(0, "parts").permutation(units.max() + 1)
    order = order[np.argsort(np.bincount(units, kind)[order] > 0, kind="stable")]
    part_of = np.empty(len(order), np.int64)
    part_of[order] = np.arange(len(order)) % FOLDS
    for part in range(FOLDS):
        is_held_out = part_of[units] == part
        yield MODELS[model]().fit(values[~is_held_out], kind[~is_held_out]), np.flatnonzero(is_held_out)


def _predict(fitted: Sequence[Fitted], values: np.ndarray) -> np.ndarray:
    """Returns each row's share by the model that did not see it."""
    predicted = np.empty(len(values))
    for model, held_out in fitted:
        predicted[held_out] = model.predict_proba(values[held_out])[:, 1]
    return predicted


def _trees() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, learning_rate=0.15, random_state=0)


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))


MODELS: Mapping[Model, Callable[[], Any]] = {"trees": _trees, "linear": _linear}


def check_measures(
    separability: Separability | None, values: np.ndarray, names: Sequence[str], ids: np.ndarray, train: int
) -> Iterator[Finding]:
    """Yields K14 if test rows can be separated by file properties, or by columns that both tables have.

    The first `train` rows of `values` and `ids` are the training rows.
    """
    if separability is None or separability.interval[0] < MIN_AUC:
        return
    cases = []
    for name, fall in separability.falls.items():
        if fall > MIN_AUC_DROP:
            one, other = (
                np.nanmedian(part[:, names.index(name)]) for part in (values[:train], values[train:])
            )
            cases.append(
                Case(
                    f"median {one:.4g} in train, {other:.4g} in test; the AUC falls by {fall:.2f} if it "
                    "is shuffled",
                    name,
                )
            )
    yield Finding(
        "K14",
        "warning",
        f"a classifier separates test rows from training rows by these measures: {_auc(separability)}",
        "cross-validation predicts the test score less well: expect a gap that grows with the AUC",
        "augment the training images to look like test images (kit plot augment), or hold out training "
        "rows that look like test rows (splitter=column)",
        (*cases, *most_separable_rows(separability, ids, train)),
    )


def _auc(separability: Separability) -> str:
    low, high = separability.interval
    return f"AUC {separability.auc:.3f} (95 % {low:.3f} to {high:.3f}; 0.5 means no difference)"


def most_separable_rows(separability: Separability, ids: np.ndarray, train: int) -> list[Case]:
    """Returns the test rows that look least like training rows, and the training rows that look most like test rows."""
    shares = np.nan_to_num(separability.shares, nan=-1.0)
    order = np.argsort(-shares, kind="stable")
    test, own = order[order >= train][:MAX_SHOWN_ROWS], order[order < train][:MAX_SHOWN_ROWS]
    cases = [
        Case(f"least similar to training rows ({shares[row]:.2f})", id=str(ids[row]), split="test")
        for row in test
    ]
    return cases + [
        Case(f"most similar to test rows ({shares[row]:.2f})", id=str(ids[row]), split="train") for row in own
    ]


def check_embeddings(
    separability: Separability, member: str, ids: np.ndarray, train: int
) -> Iterator[Finding]:
    """Yields K15 if the network's embeddings separate test rows from training rows that it did not see
    either.
    """
    if separability.interval[0] < MIN_AUC:
        return
    yield Finding(
        "K15",
        "warning",
        f"a classifier separates test rows from held-out training rows by the features of {member}: "
        f"{_auc(separability)}",
        "test images show different content than training images, so cross-validation predicts the test "
        "score less well",
        "review the most separable rows (kit plot); augment the training images to look like test "
        "images; or hold out similar rows (splitter=column)",
        tuple(most_separable_rows(separability, ids, train)),
    )
