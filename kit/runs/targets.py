"""Targets: which checkpoints a path means: a run's, a fold's newest, or the one itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit import checkpoints
from kit.errors import ConfigError
from kit.runs.run import Run
from kit.workspace import Workspace


@dataclass
class Target:
    """Checkpoints of one run, by fold; `suffix` tells an earlier epoch's predictions from the last one's."""

    run: Run
    suffix: str = ""
    folds: dict[int, Path] = field(default_factory=dict)


def find_targets(workspace: Workspace, paths: Sequence[str | Path]) -> list[Target]:
    """Runs, folds and checkpoint folders as targets, one a run and epoch, in the order given.

    Raises ConfigError C15 for a path that is none of these or has no finished fold.
    """
    targets: dict[tuple[Path, str], Target] = {}
    for path in paths:
        folder = _resolve(workspace, path)
        found = _checkpoints(folder)
        if not found:
            raise ConfigError(
                f"{path} is no run, fold or checkpoint with a finished fold", code="C15",
                hint="kit train first, or a path such as runs/a, runs/a/fold-0, runs/a/fold-0/0012",
            )  # fmt: skip
        for run, fold, checkpoint in found:
            newest = checkpoints.numbers(run.fold(fold))[-1]
            suffix = "" if int(checkpoint.name) == newest else f"-{checkpoint.name}"
            target = targets.setdefault((run.folder, suffix), Target(run, suffix))
            target.folds[fold] = checkpoint
    return list(targets.values())


def _resolve(workspace: Workspace, path: str | Path) -> Path:
    """A path from where the user stands, or from the workspace."""
    here = Path(path).resolve()
    return here if here.exists() else workspace.path(path).resolve()


def _checkpoints(folder: Path) -> list[tuple[Run, int, Path]]:
    if folder.name.isdigit() and _fold_number(folder.parent) is not None and folder.is_dir():
        return [(Run(folder.parent.parent), _fold_number(folder.parent) or 0, folder)]
    fold = _fold_number(folder)
    if fold is not None:
        return _newest(Run(folder.parent), fold)
    if (folder / "manifest.json").is_file() and (folder / "folds.csv").is_file():
        run = Run(folder)
        return [entry for number in range(run.folds().count) for entry in _newest(run, number)]
    return []


def _newest(run: Run, fold: int) -> list[tuple[Run, int, Path]]:
    """A finished fold's newest checkpoint; none where it is still to be trained."""
    found = checkpoints.numbers(run.fold(fold))
    return (
        [(run, fold, checkpoints.place(run.fold(fold), found[-1]))]
        if found and run.part(fold).is_file()
        else []
    )


def _fold_number(folder: Path) -> int | None:
    number = folder.name.removeprefix("fold-")
    return int(number) if folder.name.startswith("fold-") and number.isdigit() else None
