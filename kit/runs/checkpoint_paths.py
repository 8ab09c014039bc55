"""Targets: which checkpoints a path means: a run's, a fold's newest, or the one itself."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.data.predictions import Predictions
from kit.errors import ConfigError, KitWarning
from kit.runs.run import Run, is_on_embeddings


@dataclass
class RunCheckpoints:
    """Checkpoints of one run, by fold; `epoch_suffix` tells an earlier epoch's predictions from the last one's."""

    run: Run
    epoch_suffix: str = ""
    folds: dict[int, Path] = field(default_factory=dict)


def find_targets(workspace: Workspace, paths: StrPath | Sequence[StrPath]) -> list[RunCheckpoints]:
    """Runs, folds and checkpoint folders, or a single one, as targets: one a run and epoch, in the order given.

    Raises ConfigError C15 for a path that is none of these or has no finished fold. Warns (W13) of a run's others.
    """
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    targets: dict[tuple[Path, str], RunCheckpoints] = {}
    for path in paths:
        folder = _resolve(workspace, path)
        found = _checkpoints(folder)
        if not found and (how := Run(folder).made_by):
            raise ConfigError(
                f"runs/{folder.name} was {how}, so it has no networks",
                code="C15",
                hint="kit blend uses its predictions",
            )
        if not found:
            raise ConfigError(
                f"{path} is not a run, fold or checkpoint with a finished fold",
                code="C15",
                hint="run kit train first, or use a path such as runs/a, runs/a/fold-0, runs/a/fold-0/0012",
            )
        if not any(found[0][0].folder.glob("fold-*/*/model.safetensors")):
            name = found[0][0].name
            raise ConfigError(
                f"runs/{name} has no weights: it was exported without them",
                code="C15",
                hint=f"kit runs export {name} --weights --out {name}.zip where it was trained; kit blend needs none",
            )
        if is_on_embeddings(found[0][0]):
            raise ConfigError(
                f"runs/{found[0][0].name} was trained on embeddings, so it cannot predict, embed or average images",
                code="C83",
                hint="kit blend uses its predictions of held-out and test rows, which kit train has written",
            )
        for run, fold, checkpoint in found:
            suffix = "" if checkpoint == _last(run, fold) else f"-{checkpoint.name}"
            target = targets.setdefault((run.folder, suffix), RunCheckpoints(run, suffix))
            target.folds[fold] = checkpoint
    return list(targets.values())


def _resolve(workspace: Workspace, path: StrPath) -> Path:
    """A path from where the user stands or from the workspace, or the folder of a run that is given by its name."""
    here = Path(path).resolve()
    if here.exists():
        return here
    run = workspace.run_folder(path)
    return workspace.path(path).resolve() if run is None else run


def _checkpoints(folder: Path) -> list[tuple[Run, int, Path]]:
    if folder.name.isdigit() and _fold_number(folder.parent) is not None and folder.is_dir():
        return [(Run(folder.parent.parent), _fold_number(folder.parent) or 0, folder)]
    fold = _fold_number(folder)
    if fold is not None:
        return _last_checkpoint(Run(folder.parent), fold)
    if (folder / "manifest.json").is_file() and (folder / "folds.csv").is_file():
        run = Run(folder)
        found = [entry for number in range(run.folds().count) for entry in _last_checkpoint(run, number)]
        missing = sorted(set(range(run.folds().count)) - {fold for _, fold, _ in found})
        if found and missing:
            listed = ", ".join(map(str, missing))
            text = f"W13 {run.name} is not finished, so kit predicts without fold {listed}"
            warnings.warn(KitWarning(text), stacklevel=3)
        return found
    return []


def _last_checkpoint(run: Run, fold: int) -> list[tuple[Run, int, Path]]:
    """A fold with its last checkpoint; none where it is still to be trained."""
    last = _last(run, fold)
    return [] if last is None else [(run, fold, last)]


def _last(run: Run, fold: int) -> Path | None:
    """The checkpoint that a finished fold's own predictions were made with, whether it is still there or not."""
    if not run.fold_predictions_file(fold).is_file():
        return None
    tag = Predictions.read(run.fold_predictions_file(fold)).provenance.checkpoint(fold)
    return run.fold(fold) / tag.partition(":")[0]


def _fold_number(folder: Path) -> int | None:
    number = folder.name.removeprefix("fold-")
    return int(number) if folder.name.startswith("fold-") and number.isdigit() else None
