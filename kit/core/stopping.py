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
    """Whether a signal has asked to stop; `say` tells that it was heard."""

    say: Callable[[str], None] = field(default=lambda text: None)
    asked: int = 0  # the signal's number
    waits: bool = False
    echo: float = 0.0  # seconds in which a signal comes twice, by a launcher that passes on what it gets
    _heard: float = 0.0

    @contextmanager
    def after_a_step(self) -> Iterator[None]:
        """A block that looks at `asked` after each step, so that the first signal need not break into one."""
        before, self.waits = self.waits, True
        try:
            yield
        finally:
            self.waits = before

    @contextmanager
    def heard(self) -> Iterator[None]:
        """A block in which this process's signals are heard here."""
        before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.waits and self.asked and time.monotonic() - self._heard < self.echo:
            return
        if self.waits and not self.asked:
            self.asked, self._heard = number, time.monotonic()
            self.say("stopping after this step; once more to stop at once")
            return
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
