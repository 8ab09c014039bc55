"""Estimates before any submission how far sampling noise moves the metric on as many rows as the test set
has.
"""

from __future__ import annotations

from collections.abc import Iterator

from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.errors import Case, InvalidError
from kit.evaluation.competition import Scoring
from kit.evaluation.standard_error import error
from kit.evaluation.unscored_folds import find_unscored_folds
from kit.kinds import Metric
from kit.stages.blending.members import OutOfFold
from kit.stages.checks.finding import Finding


def check_folds_have_scores(metric: Metric, train: Table, folds: Folds) -> Iterator[Finding]:
    """Yields K53 for folds whose held-out rows have no score, whatever is predicted."""
    unscored = find_unscored_folds(metric, train, folds)
    if unscored:
        yield Finding(
            "K53",
            "warning",
            f"{len(unscored)} of {folds.count} folds have no {metric.plugin_name()}",
            "kit cannot compare runs fold by fold; the pooled score uses the rows of all folds",
            "fewer folds, or a splitter that stratifies",
            tuple(Case(f"fold {fold}: {reason}") for fold, reason in unscored.items()),
        )


def check_score_noise(
    seen: OutOfFold, scoring: Scoring, train: Table, rows: int, public_share: float | None
) -> Iterator[Finding]:
    """Yields K18: the standard error of one score on this many test answers, and on their public part."""
    shares = seen.members.mean(axis=0)
    predictions = Predictions(seen.ids, seen.folds, train.classes, shares, target=train.target)
    metric, answers, blended = scoring.bind(predictions, train)
    name, truth = metric.plugin_name(), answers.targets()
    sizes = {"the test set": rows}
    if public_share is not None:
        public = min(max(round(public_share * rows), 1), rows - 1)
        sizes |= {"its public part": public, "its private part": rows - public}
    try:
        score = metric.score(truth, blended)
        errors = {
            where: error(metric, truth, blended, size, answers.groups)[0] for where, size in sizes.items()
        }
    except InvalidError:  # rows that are all correct do not show the noise
        return
    first = errors["the test set"]
    cases = tuple(
        Case(f"{errors[where]:.4f} on {size} rows, 95 % within {1.96 * errors[where]:.4f}", where)
        for where, size in sizes.items()
    )
    yield Finding(
        "K18",
        "note",
        f"the sampling noise of {name} is {first:.4f} on {rows} test rows (one standard error, from "
        f"{' and '.join(seen.names)}, {score:.4f} out of fold)",
        "a gap between leaderboard and cross-validation below twice this value is not evidence of a leak "
        "or a shift",
        "nothing: select by cross-validation and paired intervals (kit blend prints them)",
        cases,
    )
