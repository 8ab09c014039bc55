"""Stopping: the first signal lets a run come to its next whole step and save; the second ends it where it is."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """A SIGTERM that arrived where nothing waits for a step; like KeyboardInterrupt, no error of a program's own."""


@dataclass
class Stop:
    """Whether a signal has asked to stop; `announce` tells that it was heard."""

    announce: Callable[[str], None] = field(default=lambda text: None)
    requested: int = 0  # the signal's number
    is_deferring: bool = False
    repeat_window_s: float = (
        0.0  # seconds in which a signal comes twice, by a launcher that passes on what it gets
    )
    _heard: float = 0.0

    @contextmanager
    def at_step_boundary(self) -> Iterator[None]:
        """A block that looks at `requested` after each step, so that the first signal need not break into one."""
        before, self.is_deferring = self.is_deferring, True
        try:
            yield
        finally:
            self.is_deferring = before

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """A block in which this process's signals are heard here."""
        before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.is_deferring and self.requested and time.monotonic() - self._heard < self.repeat_window_s:
            return
        if self.is_deferring and not self.requested:
            self.requested, self._heard = number, time.monotonic()
            self.announce("stopping after this step; repeat to stop immediately")
            return
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
