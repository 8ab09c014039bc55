"""The errors that a user can fix. Each class has one exit code.

    KitError             1   something failed while running
    ├── RunError         1   training or prediction cannot continue              R..
    ├── ConfigError      2   config.json, an override, a command's options       C..
    ├── PluginError      2   a plugin is unknown, broken, or exists twice        P..
    ├── DataError        3   tables, ids, images                                 D01-D39, D60
    │   └── CheckpointError 3  a checkpoint that is damaged or too long      D50-D59
    ├── InvalidError     4   predictions or a submission that do not fit         D40-D49
    ├── BusyError       75   another process works on the same run                   R08
    └── StoppedError 130, 143, 6  a signal or --time ended it, everything is saved  R05, R27

    (TIME_OVER)          6   the status of a StoppedError if the time of --time is over
    (PARTLY)             5   a command is done, and some of its jobs failed: trials of kit sweep
    KitWarning               printed once on stderr, the work continues           W..

A message is a summary line (problem, count, fix), then at most five cases.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

OneError = TypeVar("OneError", bound="KitError")
FROZEN = ("summary", "code", "cases", "hint", "exit_code")  # the fields of an error that never change
MAX_CASES = 5
# in place of a signal's number: the time of --time is over; 1 is SIGHUP's, which kit does not handle
TIME_OVER = 1
TIME_OVER_STATUS = 6  # the exit status of a command that its --time ended
PARTLY = 5  # the exit status of a command that is done, some of whose jobs failed; no error is raised for it


@dataclass(frozen=True)
class Case:
    """One fault: the file, row or id, and its description."""

    detail: str
    path: str = ""
    id: str = ""
    split: str = ""
    code: str = ""

    def __str__(self) -> str:
        where = self.path or self.id
        return f"{where}: {self.detail}" if where else self.detail


def format_cases(cases: Sequence[object]) -> list[str]:
    """The first cases, a line each, and how many more there are."""
    more = [f"  … and {len(cases) - MAX_CASES} more"] if len(cases) > MAX_CASES else []
    return [*(f"  {case}" for case in cases[:MAX_CASES]), *more]


class KitError(Exception):
    """An error with its fault, its location and a fix. `exit_code` is the command's exit status. These never change."""

    exit_code = 1
    summary: str
    code: str
    cases: tuple[Case, ...]
    hint: str

    def __init__(
        self, summary: str, *, code: str = "", cases: Sequence[Case | str] = (), hint: str = ""
    ) -> None:
        super().__init__(summary)
        self.__dict__.update(summary=summary, code=code, cases=_as_cases(cases), hint=hint)

    def __setattr__(self, name: str, value: object) -> None:
        if name in FROZEN:
            raise AttributeError(f"a {type(self).__name__} keeps its {name}; make another one with replace()")
        super().__setattr__(name, value)

    def replace(
        self,
        *,
        summary: str | None = None,
        cases: Sequence[Case | str] | None = None,
        hint: str | None = None,
    ) -> Self:
        """Another error of the same class, code and exit status, for `raise ... from` this one."""
        fields = {**self.__dict__}
        if summary is not None:
            fields["summary"] = summary
        if cases is not None:
            fields["cases"] = _as_cases(cases)
        if hint is not None:
            fields["hint"] = hint
        return _again(type(self), fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the message without kit's own stack."""
        return [f"{type(self).__name__}: {self}"]

    def __str__(self) -> str:
        lines = [f"{self.code} {self.summary}".strip()]
        lines += format_cases(self.cases)
        if self.hint:
            lines.append(f"try: {self.hint}")
        return "\n".join(lines)


def _as_cases(cases: Sequence[Case | str]) -> tuple[Case, ...]:
    return tuple(case if isinstance(case, Case) else Case(case) for case in cases)


def _again(kind: type[OneError], fields: dict[str, Any]) -> OneError:
    """Returns an error that another process raised, for any arguments of its class."""
    error = kind.__new__(kind, fields["summary"])
    error.__dict__.update(fields)
    return error


class RunError(KitError):
    """Training or predicting cannot go on."""


class ConfigError(KitError):
    """config.json, an override or a command's options are not valid."""

    exit_code = 2


class PluginError(KitError):
    """A plugin is unknown, broken, or there twice; the message names kind, plugin and file."""

    exit_code = 2


class DataError(KitError):
    """A table, an id or an image cannot be used as it is."""

    exit_code = 3


class CheckpointError(DataError):
    """A checkpoint is damaged, unsafe, or made for something else."""


class InvalidError(KitError):
    """Predictions or a submission are incomplete, not valid, or do not fit together."""

    exit_code = 4


class BusyError(KitError):
    """Another process works on the same run."""

    exit_code = 75


class StoppedError(KitError):
    """A signal or the deadline requested a stop, and the finished work is saved.

    The exit status is the shell's, 128 + the signal, or 6 if the time of --time is over.
    """

    def __init__(self, summary: str, number: int) -> None:
        is_time = number == TIME_OVER
        super().__init__(
            summary, code="R27" if is_time else "R05", hint="run the same command again to resume"
        )
        self.__dict__["exit_code"] = TIME_OVER_STATUS if is_time else 128 + number

    @property
    def number(self) -> int:
        """The signal's number, or TIME_OVER."""
        return TIME_OVER if self.exit_code == TIME_OVER_STATUS else self.exit_code - 128


class KitWarning(UserWarning):
    """Something a user should know and that does not stop the work."""


def did_you_mean(word: str, known: Iterable[str], renamed: Mapping[str, str] | None = None) -> str:
    """`; did you mean 'focal'?` for the known word closest to `word`, or an empty string.

    `renamed` has words of before and the words of today.
    """
    known = list(known)
    if renamed is not None and renamed.get(word) in known:
        return f"; did you mean {renamed[word]!r}?"
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
