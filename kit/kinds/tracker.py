"""The kind of plugin that shows a run's numbers elsewhere while it trains. kit.kinds lists it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from kit.core.installed import require_package
from kit.kinds.plugin import Plugin

Log = Callable[[int, Mapping[str, float]], None]  # log(step, values)


@dataclass(frozen=True)
class Tracked:
    """The tracked subject: a fold of a run, or, if `fold` is None, the pooled scores of its folds."""

    run: str
    fold: int | None
    folder: Path  # the folder of the fold or run, which a tracker may write to
    root: Path  # the workspace
    config: Mapping[str, Any]  # as the run uses it, with all defaults
    key: str  # the same if this fold of this run resumes, and different for any other
    step: int = 0  # number of finished optimizer steps

    @property
    def name(self) -> str:
        """The name, such as `r/fold-0`, and the run's name for its pooled scores."""
        return self.run if self.fold is None else f"{self.run}/fold-{self.fold}"


class Tracker(Plugin):
    """Shows a run's numbers elsewhere while it trains."""

    kind: ClassVar[str] = "tracker"
    package: ClassVar[str] = ""  # the package that must be installed
    remote: ClassVar[bool] = False  # True: it may contact a server, so contract tests do not start it

    every: int | None = Field(
        None,
        ge=1,
        description="optimizer steps between two reported batch losses; by default only epochs are reported",
    )

    def start(self, of: Tracked) -> AbstractContextManager[Log]:
        """Opens a block for the training of a fold, which receives `log(step, values)`.

        The fold's errors pass through it.

        If the tracker raises, here or later, kit warns and training continues without it.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raises ConfigError (C24) if it cannot work on this machine. kit calls it before training."""
        require_package(self.package, f"tracker {self.plugin_name()!r}", "tracker=null")
