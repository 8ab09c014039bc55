"""Loading: a split's rows with their images in the cache, checks that a run read them so, and a path's checkpoints.

Unreadable images stop the work, or are treated as the config says.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kit.config.models import Data, Experiment
from kit.config.workspace import Workspace
from kit.core.files import StrPath, fingerprint, shorten
from kit.core.progress import Work
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.quarantine import quarantine
from kit.data.table import Table
from kit.errors import Case, ConfigError, DataError, KitWarning, RunError, format_cases
from kit.experiment.unusable import repair_hint
from kit.images.cache import Cache, Geometry, fill_cache
from kit.images.reader import ImageSource
from kit.runs.run import Run, is_on_embeddings


@dataclass(frozen=True)
class Loaded:
    """A table and the cache of its images: row i of one is row i of the other. `bad` rows have no image."""

    table: Table
    cache: Cache
    bad: np.ndarray  # (rows,) bool
    order: str | None = None  # the column with the place of an image in its bag

    def fingerprint(self) -> str:
        """Returns 64 hex digits that are equal for the same files, read in the same way, with the same bad ones."""
        how = self.cache.file.parent.name  # geometry and all else that changes the pixels of a file
        return fingerprint([how, list(self.cache.hashes), np.flatnonzero(self.bad).tolist()])


def geometry(experiment: Experiment) -> Geometry:
    """Returns the size and the rule by which images enter the cache."""
    return Geometry.of(experiment)


def open_source(workspace: Workspace) -> ImageSource:
    """Returns the image source of an experiment. Raises PluginError, and ConfigError C24 for a missing package."""
    return ImageSource.open(workspace.competition.data, workspace.root, workspace.experiment.channels)


def load_rows(
    workspace: Workspace,
    table: Table,
    split: str,
    wanted: Geometry,
    goes_on: str = "",
    needs_some: bool = False,
) -> Work[Loaded]:
    """Loads a table's images into the cache, and treats unreadable ones as the config says.

    `goes_on` is the setting that a hint names, by default the config's key. Raises DataError with all bad
    images as cases if they stop the work, or with `needs_some` if all images are bad. Otherwise it warns of
    the first ones and writes all to quarantine.csv.
    """
    data = workspace.competition.data
    filled = yield from fill_cache(workspace.cache, table.paths, wanted, data, root=workspace.root)
    by_path = {case.path: case for case in filled.bad}
    bad = np.array([str(path) in by_path for path in table.paths], dtype=bool)
    if not bad.any():
        return Loaded(table, filled.cache, bad, data.order)
    cases = [
        replace(by_path[str(table.paths[int(row)])], id=str(table.ids[row]), split=split)
        for row in np.flatnonzero(bad)
    ]
    choice = data.on_unreadable_train if split == "train" else data.on_unreadable_test
    kinds = ", ".join(
        f"{code} {count}" for code, count in sorted(Counter(case.code for case in cases).items())
    )
    summary = f"{len(cases)} of {len(table)} {split} images are unusable ({kinds})"
    if needs_some and bad.all():
        raise DataError(
            f"all {len(table)} {split} images are unusable ({kinds})",
            code=cases[0].code,
            cases=cases,
            hint=f"set --images to the folder of the images: kit looks for {cases[0].id!r} at "
            f"{cases[0].path}",
        )
    if choice == "stop":
        key = goes_on or f"data.on_unreadable_{split}={'skip' if split == 'train' else 'class_prior'}"
        raise DataError(  # as for any bad data, the command that fails writes quarantine.csv
            summary,
            code=cases[0].code,
            cases=cases,
            hint=repair_hint(cases, len(table), key),
        )
    does = "excluded from training" if choice == "skip" else "predicted as the class prior"
    lines = [f"{summary}, {does}; {_write_quarantine(workspace, cases)}", *format_cases(cases)]
    warnings.warn(KitWarning("\n".join(lines)), stacklevel=2)
    return Loaded(table, filled.cache, bad, data.order)


def _write_quarantine(workspace: Workspace, cases: Sequence[Case]) -> str:
    """Lists the cases in quarantine.csv, and returns a line about it. A list that cannot be written is not an error."""
    try:
        return f"{quarantine(workspace.root, cases)} lists all"
    except (OSError, RunError) as error:
        return f"kit could not write quarantine.csv ({error})"


# keys of data that make another picture of the same file
READING = ("reader", "box", "box_margin", "tiles", "pixel_type", "bit_depth", "max_value", "page")
BAGS = ("answer", "order")  # which images form a bag, and their order


def check_reading(run: Run, data: Data) -> None:
    """Raises DataError D60 if config.json reads images in another way than in the run's training.

    A run may have been started with keys of data on the command line.
    """
    stored = run.config.get("data")
    if not isinstance(stored, Mapping):
        return
    # a run on embeddings has its own places, and is not predicted again
    sees_bags = run.config.get("instances") is not None and not is_on_embeddings(run)
    keys = (*READING, *BAGS) if sees_bags else READING
    known = {key: stored[key] for key in keys if key in stored}
    then = Data.model_validate(known).model_dump(mode="json")
    now = data.model_dump(mode="json")
    changed = [key for key in keys if key in known and then[key] != now[key]]
    if changed:
        cases = [
            Case(f"{shorten(then[key])} then, {shorten(now[key])} now", f"data.{key}") for key in changed
        ]
        raise DataError(
            f"runs/{run.name} was trained on images that were read in another way than config.json says",
            code="D60",
            cases=cases,
            hint=f"write the run's data.{changed[0]} into config.json, or train it again under another --name",
        )


def check_rows_unchanged(run: Run, folds: Folds, table: Table) -> None:
    """Raises DataError D60 if the table's rows are not those of the run's folds."""
    if folds.ids.tolist() != table.ids.tolist():
        raise DataError(
            f"the training table has {len(table)} rows, but {run.name} was trained on {len(folds.ids)} "
            "or different rows",
            code="D60",
            hint=f"restore the table, or train {run.name} again under another --name",
        )


@dataclass
class RunCheckpoints:
    """Checkpoints of one run, by fold. `epoch_suffix` separates an earlier epoch's predictions from the last one's."""

    run: Run
    epoch_suffix: str = ""
    folds: dict[int, Path] = field(default_factory=dict)


def find_targets(
    workspace: Workspace, paths: StrPath | Sequence[StrPath], *, with_heads: bool = False
) -> list[RunCheckpoints]:
    """Returns runs, folds and checkpoint folders as targets: one per run and epoch, in the given order.

    Raises ConfigError C15 for a path that is none of these or has no finished fold, and C83 for a run on
    embeddings unless `with_heads`. Warns (W13) of a run's unfinished folds.
    """
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    targets: dict[tuple[Path, str], RunCheckpoints] = {}
    for path in paths:
        folder = _resolve(workspace, path)
        run_checkpoints = _checkpoints(folder)
        if not run_checkpoints and (how := Run(folder).made_by):
            raise ConfigError(
                f"runs/{folder.name} was {how}, so it has no networks",
                code="C15",
                hint="kit blend uses its predictions",
            )
        if not run_checkpoints:
            raise ConfigError(
                f"{path} is not a run, fold or checkpoint with a finished fold",
                code="C15",
                hint="run kit train first, or use a path such as runs/a, runs/a/fold-0, runs/a/fold-0/0012",
            )
        if not any(run_checkpoints[0][0].folder.glob("fold-*/*/model.safetensors")):
            name = run_checkpoints[0][0].name
            raise ConfigError(
                f"runs/{name} has no weights: it was exported without them",
                code="C15",
                hint=f"kit runs export {name} --weights --out {name}.zip where it was trained; kit blend needs none",
            )
        if is_on_embeddings(run_checkpoints[0][0]) and not with_heads:
            raise ConfigError(
                f"runs/{run_checkpoints[0][0].name} was trained on embeddings, so it cannot predict, embed or "
                "average images",
                code="C83",
                hint="kit blend uses its predictions, which kit train has written; "
                f"kit merge runs/{run_checkpoints[0][0].name} --name NAME makes a run that predicts images",
            )
        for run, fold, checkpoint in run_checkpoints:
            suffix = "" if checkpoint == _last(run, fold) else f"-{checkpoint.name}"
            target = targets.setdefault((run.folder, suffix), RunCheckpoints(run, suffix))
            target.folds[fold] = checkpoint
    return list(targets.values())


def _resolve(workspace: Workspace, path: StrPath) -> Path:
    """Returns a path relative to the present folder or to the workspace, or the folder of a run given by its name."""
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
        last_checkpoints = [
            entry for number in range(run.folds().count) for entry in _last_checkpoint(run, number)
        ]
        missing = sorted(set(range(run.folds().count)) - {fold for _, fold, _ in last_checkpoints})
        if last_checkpoints and missing:
            listed = ", ".join(map(str, missing))
            text = f"W13 {run.name} is not finished, so kit predicts without fold {listed}"
            warnings.warn(KitWarning(text), stacklevel=3)
        return last_checkpoints
    return []


def _last_checkpoint(run: Run, fold: int) -> list[tuple[Run, int, Path]]:
    """Returns a fold with its last checkpoint; empty if it is not trained yet."""
    last = _last(run, fold)
    return [] if last is None else [(run, fold, last)]


def _last(run: Run, fold: int) -> Path | None:
    """Returns the path of the checkpoint that made a finished fold's own predictions, whether it still exists
    or not.
    """
    if not run.fold_predictions_file(fold).is_file():
        return None
    tag = Predictions.read(run.fold_predictions_file(fold)).provenance.checkpoint(fold)
    return run.fold(fold) / tag.partition(":")[0]


def _fold_number(folder: Path) -> int | None:
    number = folder.name.removeprefix("fold-")
    return int(number) if folder.name.startswith("fold-") and number.isdigit() else None
