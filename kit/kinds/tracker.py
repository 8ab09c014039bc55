"""The kind of plugin that shows a run's numbers elsewhere while it trains; kit.kinds lists it among the others."""

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
    """What is tracked: a fold of a run or, where `fold` is None, the pooled scores of its folds."""

    run: str
    fold: int | None
    folder: Path  # the fold's or the run's own, where a tracker may write
    root: Path  # the workspace
    config: Mapping[str, Any]  # as the run uses it, every default written out
    key: str  # the same whenever this fold of this run goes on, and no other's
    step: int = 0  # optimizer steps that are done already

    @property
    def name(self) -> str:
        """Such as `r/fold-0`, and the run's name for its pooled scores."""
        return self.run if self.fold is None else f"{self.run}/fold-{self.fold}"


class Tracker(Plugin):
    """Shows a run's numbers elsewhere while it trains."""

    kind: ClassVar[str] = "tracker"
    package: ClassVar[str] = ""  # what must be installed for it
    remote: ClassVar[bool] = False  # True: it may talk to a server, so laws do not start it

    every: int | None = Field(
        None,
        ge=1,
        description="optimizer steps between two reported batch losses; by default only epochs are reported",
    )

    def start(self, of: Tracked) -> AbstractContextManager[Log]:
        """A block that lasts while the fold trains and gives `log(step, values)`. The fold's errors pass through it.

        If the tracker raises, here or later, kit warns and training continues without it.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raises ConfigError (C24) where it cannot work here; asked before anything is trained."""
        require_package(self.package, f"tracker {self.plugin_name()!r}", "tracker=null")
