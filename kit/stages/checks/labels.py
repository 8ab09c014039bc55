"""Labels: counts the rows of each class, and checks that every fold can learn it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.config.models import Experiment
from kit.data.folds import Folds
from kit.data.quantity import is_quantity, ranges
from kit.data.table import Table
from kit.errors import Case
from kit.kinds import Splitter
from kit.kinds.advice import choose_stratified_splitter, innermost, weigh_rare
from kit.stages.checks.finding import Finding

UNEQUAL = 10.0  # ratio of the largest class to the smallest from which a warning is given


def check_class_counts(
    train: Table, folds: Folds, splitter: Splitter, experiment: Experiment
) -> Iterator[Finding]:
    """Yields K03 for classes of very unequal sizes, K08 for classes that a fold does not train on or is not
    scored on.
    """
    if not train.target.has_classes:
        return
    counts = train.counts()
    few, many = int(counts.argmin()), int(counts.argmax())
    if counts[many] >= UNEQUAL * max(counts[few], 1):
        order = np.argsort(counts, kind="stable")
        yield Finding(
            "K03",
            "warning",
            f"class {train.classes[many]} has {counts[many]} rows, class {train.classes[few]} only "
            f"{counts[few]}",
            "macro scores weight all classes equally, so a few rows of a rare class change them; "
            "accuracy hardly changes",
            weigh_rare(experiment.sampler, experiment.loss, train.label_kind),
            tuple(Case(f"{counts[at]} rows", train.classes[at]) for at in order),
        )
    cases, lacking = [], np.zeros(len(counts), bool)
    for fold in range(folds.count):
        for what, mask in (
            ("does not train on", folds.training_mask(splitter, fold)),
            ("is not scored on", folds.oof_mask(fold)),
        ):
            absent = np.flatnonzero((train.counts(mask) == 0) & (counts > 0))
            lacking[absent] = True
            if len(absent):
                cases.append(Case(f"fold {fold} {what} {', '.join(train.classes[at] for at in absent)}"))
    if cases:
        yield Finding(
            "K08",
            "warning",
            "folds without some classes",
            "rows of a class without training rows are always predicted wrongly; a class without scored "
            "rows does not count in the mean",
            _every_class(train, np.flatnonzero(lacking), splitter),
            tuple(cases),
        )


def _every_class(train: Table, lacking: np.ndarray, splitter: Splitter) -> str:
    """Returns the settings that give each fold a row of each of these classes, without those that are already set."""
    key, inner = innermost(splitter)
    wanted = choose_stratified_splitter(train.label_kind, train.groups is not None)
    answers = [] if "stratified" in inner.plugin_name() or _is_stratified(inner) else [f"{key}={wanted}"]
    folds, fewest = int(getattr(inner, "folds", 0)), min(_units(train, at) for at in lacking.tolist())
    if fewest < 2:
        unit = "row" if train.groups is None else "group of rows"
        answers.append(
            f"add rows of these classes, of which one has a single {unit}, or use data.label_from.rename to merge it"
        )
    elif fewest < folds:
        answers.append(f"{key}.folds={fewest}")
    return ", or ".join(answers) or (
        "use another split_seed, such as split_seed=1, or more and smaller groups"
    )


def _is_stratified(splitter: Splitter) -> bool:
    return bool(getattr(splitter, "stratified", False))


def _units(train: Table, label: int) -> int:
    """Returns the number of a class's groups, or of its rows without groups: at most this many folds can have it."""
    labels = train.targets()
    rows = np.flatnonzero(
        (labels[:, label] > 0 if labels.ndim == 2 else labels == label) & train.competition_rows
    )
    return len(rows) if train.groups is None else len(set(train.groups[rows].tolist()))


def check_label_numbers(train: Table) -> Iterator[Finding]:
    """Yields K44 for labels that are many distinct numbers, which are a quantity and not classes."""
    if is_quantity(train):
        yield Finding(
            "K44",
            "warning",
            f"the label has {len(train.classes):,} different numbers in {len(train):,} rows, so it may "
            "be a quantity",
            "with one class per number each class has few rows, and the model cannot use that 12.7 is "
            "close to 12.8",
            "if it is a quantity: data.target=numbers, with loss=mse and metric=rmse; or classes of ranges: "
            f"{ranges(train) or 'another data.label'}",
        )
