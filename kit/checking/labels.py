"""Labels: how many rows each class has, and whether every fold can learn it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.checking.finding import Finding
from kit.errors import Case
from kit.folds import Folds
from kit.kinds import Splitter
from kit.table import Table

UNEQUAL = 10.0  # times as many rows in the largest class as in the smallest are worth a warning


def of_counts(train: Table, folds: Folds, splitter: Splitter) -> Iterator[Finding]:
    """K03 for classes of very unequal sizes, K08 for classes that a fold does not train on or is not scored on."""
    counts = train.counts()
    few, many = int(counts.argmin()), int(counts.argmax())
    if counts[many] >= UNEQUAL * max(counts[few], 1):
        order = np.argsort(counts, kind="stable")
        yield Finding(
            "K03", "warning",
            f"class {train.classes[many]} has {counts[many]} rows, {train.classes[few]} {counts[few]}",
            "macro scores weigh each class alike, so a few rows of a rare one move them; accuracy hardly sees it",
            "sampler=class_balanced, or loss=class_weighted",
            tuple(Case(f"{counts[at]} rows", train.classes[at]) for at in order),
        )  # fmt: skip
    cases = [
        Case(f"fold {fold} {what} {', '.join(train.classes[at] for at in absent)}")
        for fold in range(folds.count)
        for what, mask in (
            ("does not train on", folds.train(splitter, fold)), ("is not scored on", folds.held_out(fold)),
        )
        if len(absent := np.flatnonzero((train.counts(mask) == 0) & (counts > 0)))
    ]  # fmt: skip
    if cases:
        yield Finding(
            "K08", "warning", "folds lack classes",
            "a class that is not trained on is always wrong there; one that is not scored adds nothing to the mean",
            "splitter=stratified_kfold, or fewer splitter.folds", tuple(cases),
        )  # fmt: skip
