"""Calls: handles progress, warnings, the Stop button and memory around each call from Python."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from kit.core.legible import escape_control
from kit.core.progress import ResultOf, Work
from kit.core.stopping import Stop, Terminated
from kit.errors import TIME_OVER, DataError, KitError, KitWarning, StoppedError
from kit.session.frontend import choose_frontend, print_line

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

T = TypeVar("T")


class Interrupted(KeyboardInterrupt):
    """The Stop button or Ctrl-C ended a call; everything up to the last checkpoint is saved.

    Like KeyboardInterrupt, `except Exception` does not catch it, so a loop over runs ends too.
    """

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class Call:
    """One call of a session's method. It shows the progress of stages and handles the Stop button."""

    def __init__(self, progress: bool) -> None:
        self._show = choose_frontend(progress)
        self.stop = Stop(self.say)

    def set_time(self, time: str | None) -> None:
        """Sets the deadline, a time such as `8h30m` from now. Raises ConfigError C05."""
        self.stop.deadline = Stop.after(time).deadline

    def say(self, text: str) -> None:
        """Prints a line unless progress is off."""
        self._show.line(text)

    def follow(self, work: Work[T]) -> T:
        """Runs a stage to its end, shows its progress, and returns its result."""
        outcome = ResultOf(work)
        self._show.follow(outcome)
        return outcome.result

    def handle_signals(self) -> AbstractContextManager[None]:
        """Opens a block in which the first signal waits for the end of a step.

        Only the main thread receives signals.
        """
        alone = threading.current_thread() is threading.main_thread()
        return self.stop.handle_signals() if alone else nullcontext()


@contextmanager
def begin_call(progress: bool, strict: bool = False) -> Iterator[Call]:
    """Opens a block for one call. With `strict` a KitWarning is an error.

    Raises Interrupted for the Stop button and Ctrl-C, StoppedError R27 if the time is over. The memory of
    networks and batches is freed afterwards in all cases.
    """
    try:
        with warnings.catch_warnings():
            if strict:
                warnings.simplefilter("error", KitWarning)
            elif progress:
                warnings.showwarning = _show_warning
            yield Call(progress)
    except KitWarning as warning:
        _forget_frames(warning)
        raise DataError(str(warning)) from None
    except StoppedError as error:
        _forget_frames(error)
        if error.number == TIME_OVER:
            _raise_in_python(error)
        if error.exit_code == 128 + signal.SIGTERM:
            _terminate()
        raise Interrupted(f"{error.code} {error.summary}; run the same call again to resume") from None
    except Terminated:
        _terminate()
    except KeyboardInterrupt as error:
        _forget_frames(error)
        raise Interrupted("run the same call again to resume from the last checkpoint") from None
    except KitError as error:
        _forget_frames(error)
        _raise_in_python(error)
    finally:
        _free_memory()


def _raise_in_python(error: KitError) -> NoReturn:
    """Raises the handled error, with commands and options of its message as calls and keywords."""
    from kit.session.advice import error_in_python

    translated = error_in_python(error)
    if translated is error:
        raise
    raise translated.with_traceback(error.__traceback__) from None


def _terminate() -> NoReturn:
    """Ends this process as an unhandled SIGTERM does, after everything is saved."""
    signal.raise_signal(signal.SIGTERM)
    raise SystemExit(128 + signal.SIGTERM)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Shows a KitWarning as one line. Warnings of other libraries are hidden, as in a command."""
    if issubclass(category, KitWarning):
        from kit.session.advice import in_python

        print_line(escape_control(f"warning: {in_python(str(message))}"))


def _forget_frames(error: BaseException | None) -> None:
    """Deletes local variables of an error's frames, because a notebook keeps its last error, and so tensors."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _free_memory() -> None:
    """Frees unreachable networks and batches, and returns the GPU memory that torch caches."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
