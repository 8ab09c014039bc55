"""Score: how far luck alone moves the metric on as many rows as the test set has, before anything is submitted."""

from __future__ import annotations

from collections.abc import Iterator

from kit.errors import Case, InvalidError
from kit.evaluation.competition import bind_rows
from kit.evaluation.standard_error import error
from kit.kinds import Metric
from kit.stages.blending.members import OutOfFold
from kit.stages.checks.finding import Finding


def check_score_noise(
    seen: OutOfFold, metric: Metric, rows: int, public_share: float | None
) -> Iterator[Finding]:
    """K18: the standard error of one score on so many test rows, and on their public part."""
    metric = bind_rows(metric, seen.table)
    name, blended = metric.plugin_name(), seen.members.mean(axis=0)
    sizes = {"the test set": rows}
    if public_share is not None:
        public = min(max(round(public_share * rows), 1), rows - 1)
        sizes |= {"its public part": public, "its private part": rows - public}
    try:
        score = metric.score(seen.truth, blended)
        errors = {
            where: error(metric, seen.truth, blended, size, seen.groups)[0] for where, size in sizes.items()
        }
    except InvalidError:  # rows that are all right tell nothing of the noise
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
