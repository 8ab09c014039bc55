"""Front ends: progress as a bar in a notebook or a terminal, and as lines in a script or a saved log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Protocol

from kit.core.legible import escape_control
from kit.core.progress import Progress

MAX_REGULAR_LINES = 100  # similar lines of one call, such as one per epoch
REFRESH_S = 0.25  # between two drawings of a notebook's bar


class Frontend(Protocol):
    """Shows a call's progress."""

    def line(self, text: str) -> None:
        """Shows one line."""

    def follow(self, steps: Iterable[Progress]) -> None:
        """Iterates the steps of a stage and shows them."""


def choose_frontend(progress: bool) -> Frontend:
    """Returns a bar if a person watches, lines in a log, and silence if `progress` is off."""
    if not progress:
        return Silence()
    kernel = _kernel()
    if kernel is not None and _has_reader(kernel):
        return NotebookBar()
    return TerminalBar() if kernel is None and sys.stderr.isatty() else Lines()


def print_line(text: str) -> None:
    """Prints a line into the output of a cell, or elsewhere on stderr, as commands do."""
    print(escape_control(text), file=sys.stdout if _kernel() is not None else sys.stderr, flush=True)


class Silence:
    """Shows nothing."""

    def line(self, text: str) -> None:
        """Shows nothing."""

    def follow(self, steps: Iterable[Progress]) -> None:
        """Iterates the steps."""
        for _ in steps:
            pass


class Lines:
    """Prints a line for each important step. Of similar lines, such as one per epoch, it prints about a hundred."""

    def __init__(self) -> None:
        self._last: float | None = None  # progress of the last regular line, from 0 to 1

    def line(self, text: str) -> None:
        """Prints one line."""
        print_line(text)

    def follow(self, steps: Iterable[Progress]) -> None:
        """Prints the lines among the steps."""
        for step in steps:
            self.show(step)

    def show(self, step: Progress) -> None:
        """Prints a step if it has a line."""
        if step.line and (not step.regular or self._is_due(step.done / step.total)):
            self.line(f"{step.task}: {step.detail}")

    def _is_due(self, share: float) -> bool:
        last = self._last
        due = last is None or share < last or share > 1 - 1e-9 or share - last > 1 / MAX_REGULAR_LINES - 1e-9
        if due:
            self._last = share
        return due


class TerminalBar:
    """The bar of commands."""

    def line(self, text: str) -> None:
        """Prints one line."""
        print_line(text)

    def follow(self, steps: Iterable[Progress]) -> None:
        """Draws the bar on stderr."""
        from kit.commands._console import draw_progress

        draw_progress(steps)


class NotebookBar:
    """rich's bar as a widget of the cell, with the time left and the last scores. Lines stay above it."""

    def __init__(self) -> None:
        self._lines = Lines()

    def line(self, text: str) -> None:
        """Prints one line."""
        print_line(text)

    def follow(self, steps: Iterable[Progress]) -> None:
        """Draws the bar until the last step, and removes it."""
        from rich.console import Console

        from kit.commands._console import make_bars

        # drawn from this thread, because a cell's output belongs to the thread that runs the cell
        options = {"auto_refresh": False, "redirect_stdout": False, "redirect_stderr": False}
        bars = make_bars(Console(force_jupyter=True, width=110), **options)
        task, last_drawn = None, 0.0
        with bars:
            for step in steps:
                self._lines.show(step)
                if task is None or bars.tasks[0].description != step.task:
                    if task is not None:
                        bars.remove_task(task)
                    task, last_drawn = bars.add_task(step.task, total=step.total, detail=""), 0.0
                bars.update(task, completed=step.done, total=step.total)
                if not step.line:
                    bars.update(task, detail=step.detail)
                if time.monotonic() - last_drawn > REFRESH_S:
                    bars.refresh()
                    last_drawn = time.monotonic()


def _kernel() -> Any:
    """Returns the kernel of the notebook that this process runs, or None."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None)


def _has_reader(kernel: Any) -> bool:
    """Whether a person watches the cell, and the widget of the bar is installed.

    "Save & Run All", papermill and nbclient run a notebook without a person: they take no input.
    """
    watched = bool(getattr(kernel, "_allow_stdin", True))
    return (
        watched
        and os.environ.get("KAGGLE_KERNEL_RUN_TYPE") != "Batch"
        and find_spec("ipywidgets") is not None
    )
