"""Stopping: after the first signal, or at the end of a command's time, a run ends its step and saves.

The second signal ends it at once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import TypeVar, cast

from kit.core.durations import parse_duration
from kit.core.progress import Work
from kit.errors import TIME_OVER, KitError

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MIN_MARGIN_S = 2.0  # reserved for messages, locks and the end of the process after the last save
SLOW_DISK_BYTES_PER_S = 5e7  # for the time of a first save, which is not measured yet
TIME_OVER_TEXT = "the time is over"  # the first words of a StoppedError by the deadline
MARGIN = 2.0  # factor on the longest step and the longest save, because the next one may take longer


class Terminated(BaseException):
    """A SIGTERM outside of a step boundary. Like KeyboardInterrupt, it is not an error of the program."""


class Deadline:
    """The end of a command's time, and how long before it work must be saved.

    The worker measures `longest_step_s`, `longest_save_s` and `longest_validation_s`.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.end = clock() + seconds
        self.longest_step_s = 0.0
        self.longest_save_s = 0.0
        self.longest_validation_s = 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until the end."""
        return self.end - self.clock()

    @property
    def margin(self) -> float:
        """Seconds before the end at which work stops: twice the longest step and the longest save."""
        return MARGIN * (self.longest_step_s + self.longest_save_s) + min(MIN_MARGIN_S, self.seconds / 10)

    def is_due(self, more: float = 0.0) -> bool:
        """Whether another step, followed by `more` seconds of work, might end too late to be saved."""
        return self.seconds_left < self.margin + more


class Stop:
    """The state of a stop request: a signal or the deadline. `announce` reports a received signal."""

    def __init__(
        self,
        announce: Callable[[str], None] = lambda text: None,
        requested: int = 0,
        repeat_window_s: float = 0.0,
        deadline: Deadline | None = None,
    ) -> None:
        self.announce, self.deadline = announce, deadline
        # seconds within which a second signal counts as the same one, forwarded by a launcher
        self.repeat_window_s = repeat_window_s
        self.is_deferring = False
        self._signal, self._received_at = requested, 0.0

    @classmethod
    def after(cls, time: str | None, announce: Callable[[str], None] = lambda text: None) -> Stop:
        """Returns a request to stop before a time such as `8h30m` is over, counted from now; None means no limit.

        Raises ConfigError C05 for a text that is not a time.
        """
        return cls(announce, deadline=None if time is None else Deadline(parse_duration(time)))

    @property
    def requested(self) -> int:
        """The signal's number, TIME_OVER if the deadline is near, else 0."""
        return self._signal or (TIME_OVER if self.is_time_over else 0)

    @requested.setter
    def requested(self, number: int) -> None:
        self._signal = number

    @property
    def is_time_over(self) -> bool:
        """Whether the deadline is near."""
        return self.deadline is not None and self.deadline.is_due()

    def cut(self, work: Work[T], error: Callable[[], KitError]) -> Work[T]:
        """Runs work that keeps its results if it ends early. If the deadline is near, it ends with `error`.

        The error is raised inside of `work`, so that its resources are closed, and other ranks learn of it.
        """
        with closing(work):
            try:
                step = next(work)
                while True:
                    if self.is_time_over:
                        step = work.throw(error())
                    else:
                        yield step
                        step = next(work)
            except StopIteration as end:
                return cast(T, end.value)

    @contextmanager
    def at_step_boundary(self) -> Iterator[None]:
        """Opens a block that checks `requested` after each step, so that the first signal need not interrupt one."""
        before, self.is_deferring = self.is_deferring, True
        try:
            yield
        finally:
            self.is_deferring = before

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handles this process's signals within the block."""
        before = {number: signal.signal(number, self._handle_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        if self.is_deferring and self._signal and time.monotonic() - self._received_at < self.repeat_window_s:
            return
        if self.is_deferring and not self._signal:
            self._signal, self._received_at = number, time.monotonic()
            self.announce("stopping after this step; repeat to stop immediately")
            return
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
