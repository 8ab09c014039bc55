"""Watching: shows the progress of a running run from its files, without torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kit.runs.epoch_log import EpochLog
from kit.runs.records import record
from kit.runs.run import BUSY, Run, lock_owner

WRITTEN = {"epoch", "lr", "train_loss", "images_per_second"}  # keys of every line
End = Literal["", "finished", "stopped", "gone"]


@dataclass(frozen=True)
class FoldProgress:
    """One fold: the lines of its log, one per epoch, and whether its predictions are written."""

    fold: int
    lines: tuple[Mapping[str, Any], ...]
    finished: bool


@dataclass(frozen=True)
class RunSnapshot:
    """A run at one moment. `end` says why no process works on it any more; `seconds` is the time left.

    The time left is that of all epochs of all folds at the mean time of the finished ones, and None before
    the first is finished.
    """

    run: str
    state: str  # in words
    end: End
    epochs: int  # of a fold; 0 if it is not known yet
    folds: tuple[FoldProgress, ...]
    seconds: float | None

    @property
    def share(self) -> float:
        """The finished part of all folds' epochs."""
        done = sum(len(fold.lines) for fold in self.folds)
        return done / max(self.epochs * len(self.folds), done, 1)


def snapshot(run: Run) -> RunSnapshot:
    """Returns the run as it is now. Parts that are not written yet, or damaged, are left out."""
    there = record(run)
    folds = tuple(FoldProgress(fold, epochs_of(run, fold), fold in there.done) for fold in range(there.folds))
    lines = [line for one in folds for line in one.lines]
    left = max((there.epochs or 0) * len(folds) - len(lines), 0)
    durations = [float(line["seconds"]) for line in lines if isinstance(line.get("seconds"), int | float)]
    end = _end(run, there.state)
    state = (
        f"the process has ended: {lock_owner(run.folder)}; {there.state}" if end == "gone" else there.state
    )
    seconds = left * sum(durations) / len(durations) if durations and not end else None
    return RunSnapshot(run.name, state, end, there.epochs or 0, folds, seconds)


def epochs_of(run: Run, fold: int) -> tuple[Mapping[str, Any], ...]:
    """Returns the complete lines of a fold's log."""
    lines = EpochLog.read(run.fold(fold) / "log.jsonl").lines
    return tuple(line for line in lines if isinstance(line, dict) and line.keys() >= WRITTEN)


def _end(run: Run, state: str) -> End:
    """Returns why no process works on a run. A killed run has left its note behind."""
    if state.startswith("busy"):
        return ""
    if state == "finished":
        return "finished"
    return "gone" if (run.folder / BUSY).is_file() else "stopped"


def watch(run: Run, every: float, wait: Callable[[float], object] = time.sleep) -> Iterator[RunSnapshot]:
    """Yields a snapshot every `every` seconds, up to the first one that no process works on."""
    while True:
        seen = snapshot(run)
        yield seen
        if seen.end:
            return
        wait(every)
