"""remaining: the work that a run still has, in words, and its time at the speed of its log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kit.core.durations import write_duration
from kit.errors import KitError
from kit.runs.run import Run
from kit.runs.watching import epochs_of


def describe_remaining(run: Run, epochs: int, folds: Sequence[int] | None = None) -> list[str]:
    """Returns a line with the remaining time, then a line per unfinished fold; `folds` None: all of the run.

    The time is that of the remaining epochs at the mean seconds of the logged ones, and missing before the
    first. It is empty for a run without folds.csv.
    """
    try:
        wanted = range(run.folds().count) if folds is None else sorted(set(folds))
    except (KitError, OSError):
        return []
    logs = {fold: epochs_of(run, fold) for fold in wanted}
    left = {
        fold: epochs - len(logs[fold]) for fold in wanted if not run.fold_predictions_file(fold).is_file()
    }
    seconds = [float(line["seconds"]) for lines in logs.values() for line in lines if "seconds" in line]
    lines = [
        f"fold {fold}: {count} of {epochs} epochs left" for fold, count in left.items() if count < epochs
    ]
    whole = [str(fold) for fold, count in left.items() if count >= epochs]
    if whole:
        lines.append(f"fold{'s' * (len(whole) > 1)} {', '.join(whole)}: {epochs} epochs")
    if seconds and left:
        time = write_duration(sum(left.values()) * float(np.mean(seconds)))
        lines.insert(0, f"about {time} left at the pace of the logged epochs")
    return lines
