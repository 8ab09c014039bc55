"""RunRef: `runs/r@d4` as a user writes it: a run of the workspace and a set of views."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.runs.records import resolve_run
from kit.runs.run import Run

PLAIN = "plain"  # the views of a text without `@`


def split_ref(text: StrPath) -> tuple[str, str]:
    """The run and the views that `runs/r@d4` names, `runs/r` and `d4`. The views of `runs/r` are `plain`.

    An `@` in a folder above the run is part of its path.
    """
    folder, name = os.path.split(os.fspath(text).rstrip("/"))
    run, _, views = name.partition("@")
    return str(Path(folder, run)), views or PLAIN


@dataclass(frozen=True)
class RunRef:
    """A run of the workspace and the name of a set of views."""

    run: Run
    views: str = PLAIN

    @classmethod
    def parse(cls, text: StrPath, workspace: Workspace) -> RunRef:
        """What `r`, `runs/r`, `r@d4` or a path means. Raises ConfigError C15 if this workspace has no such run."""
        place, views = split_ref(text)
        return cls(resolve_run(workspace, place), views)

    @property
    def predictions(self) -> Path:
        """The folder of the run's predictions by these views."""
        return self.run.predictions(self.views)

    @property
    def embeddings(self) -> Path:
        """The folder of the run's embeddings by these views."""
        return self.run.embeddings(self.views)

    def __str__(self) -> str:
        return f"{self.run.name}@{self.views}"
