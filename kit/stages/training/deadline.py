"""FoldDeadline: when a fold stops because the time of its command ends; it measures steps, saves and validations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kit.core.stopping import SLOW_DISK_BYTES_PER_S, Stop
from kit.device.ranks import Ranks
from kit.errors import TIME_OVER

# bytes of state per byte of weights: the weights, their average and two moments of each
STATE_SIZE = 4
# times the seconds of a validation, below which the epoch's last step is saved before it
VALIDATION_MARGIN = 3.0


@dataclass(eq=False)
class FoldDeadline:
    """The stop requests of a fold, the deadline among them. All ranks get the same answers."""

    stop: Stop
    ranks: Ranks
    step_end: float | None = None  # None: the next step is the first of this start

    def guess_save_time(self, weights: int) -> None:
        """Guesses what the first checkpoint takes, for `weights` bytes of weights."""
        if self.stop.deadline is not None and not self.stop.deadline.longest_save_s:
            self.stop.deadline.longest_save_s = STATE_SIZE * weights / SLOW_DISK_BYTES_PER_S

    def start_step(self) -> None:
        """A step starts now: what came before is not counted to it."""
        self.step_end = time.monotonic()

    def end_step(self) -> None:
        """Measures a step, but the first of a start: it warms up, and no step before it can be lost."""
        now, deadline = time.monotonic(), self.stop.deadline
        if deadline is not None and self.step_end is not None:
            deadline.longest_step_s = max(deadline.longest_step_s, now - self.step_end)
        self.step_end = now

    def note_save_time(self, seconds: float) -> None:
        """Takes up how long a checkpoint took until it was written."""
        if self.stop.deadline is not None:
            self.stop.deadline.longest_save_s = max(self.stop.deadline.longest_save_s, seconds)

    @contextmanager
    def measure_validation(self) -> Iterator[None]:
        """A block that predicts held-out rows."""
        began, deadline = time.monotonic(), self.stop.deadline
        yield
        if deadline is not None:
            took = time.monotonic() - began
            deadline.longest_validation_s = max(deadline.longest_validation_s, took)

    def validation_seconds(self, guess: float) -> float:
        """Seconds of the longest validation; `guess` before the first one, 0 without a deadline."""
        return 0.0 if self.stop.deadline is None else self.stop.deadline.longest_validation_s or guess

    def requested(self, seconds: float = 0.0, is_writing: bool = False) -> int:
        """The signal's number, or TIME_OVER if `seconds` of work do not fit before the deadline; 0 to continue.

        A checkpoint that is still being written comes before the last one.
        """
        number, deadline = self.stop.requested, self.stop.deadline
        if not number and deadline is not None:
            pending = deadline.longest_save_s if is_writing else 0.0
            number = TIME_OVER if deadline.is_due(seconds + pending) else 0
        return self.ranks.all_reduce_max(number)

    def saves_before(self, seconds: float) -> bool:
        """Whether to save before an epoch's end of `seconds`: it was never measured, or is close to the deadline."""
        deadline = self.stop.deadline
        if deadline is None:
            return False
        is_close = not deadline.longest_validation_s or deadline.is_due(VALIDATION_MARGIN * seconds)
        return self.ranks.all_reduce_max(int(is_close)) > 0
