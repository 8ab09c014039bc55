"""records: the runs of a workspace with their progress, and references such as `runs/r@d4`. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.config.workspace import Workspace
from kit.core.files import StrPath, read_json, write_json
from kit.core.locks import is_locked
from kit.data.predictions import provenance_of
from kit.errors import ConfigError, DataError, InvalidError, KitError, did_you_mean
from kit.kinds import Metric
from kit.runs.run import BUSY, LOCK, STATE_UNTRAINED, Run, lock_owner


@dataclass(frozen=True)
class Record:
    """One run. `state` is finished, busy, imported, stacked, untrained (it only embeds), or where it stopped.

    A run that a sweep has stopped early is pruned. `views` has each set's scores out of fold.
    """

    run: Run
    network: str
    image_size: int | None
    epochs: int | None
    folds: int  # total number; 0 if it is not known yet
    done: tuple[int, ...]  # number of finished folds
    state: str
    views: Mapping[str, Mapping[str, float]]
    checkpoints: tuple[Path, ...]

    @property
    def scores(self) -> Mapping[str, float]:
        """The scores of the plain predictions, the metric's first."""
        return self.views.get("plain", {})


PRUNED = "pruned.json"  # the note of a sweep in a run's folder
# keys that runs can be sorted by besides their scores
BY: dict[str, Callable[[Record], Any]] = {
    "run": lambda one: one.run.name,
    "network": lambda one: (one.network, one.run.name),
    "folds": lambda one: (-len(one.done), one.run.name),
    "state": lambda one: (one.state, one.run.name),
    "started": lambda one: _start_time(one.run),
}


def _start_time(run: Run) -> str:
    """Returns when a run was started, from its manifest; empty if that is missing or damaged."""
    try:
        return str(run.manifest.get("started", ""))
    except KitError:
        return ""


def all_records(workspace: Workspace) -> list[Record]:
    """Returns every run of a workspace, by name."""
    folders = workspace.runs.iterdir() if workspace.runs.is_dir() else ()
    return [record(Run(folder)) for folder in sorted(folders) if _is_run(folder)]


def sort_records(records: Sequence[Record], key: str, root: Path) -> list[Record]:
    """Sorts runs by a score, the best first, or by run, network, folds or state. Runs without it come last.

    Raises ConfigError C05 for a key that no run has.
    """
    if key in BY:
        return sorted(records, key=BY[key])
    names = list(dict.fromkeys(name for run_record in records for name in run_record.scores))
    if key not in names:
        known = [*BY, *names]
        raise ConfigError(
            f"runs have no {key!r} to sort by{did_you_mean(key, known)}",
            code="C05",
            hint=f"one of {', '.join(known)}",
        )
    own = Workspace.open(root).competition.metric  # whose options may decide the direction of the score
    sign = -1.0 if Metric.open(own if own["name"] == key else key, root).higher_is_better else 1.0
    return sorted(
        records, key=lambda run_record: (key not in run_record.scores, sign * run_record.scores.get(key, 0.0))
    )


def resolve_run(workspace: Workspace, text: StrPath) -> Run:
    """Returns the run for `r`, `runs/r` or its path. Raises ConfigError C15 if this workspace has no such run."""
    folder = workspace.run_folder(text)
    if folder is not None and _is_run(folder):
        return Run(folder)
    summary = f"no run {os.fspath(text)!r} in {workspace.runs}"
    if Path(text).is_absolute() and Path(text).resolve().parent != workspace.runs.resolve():
        hint = "use the name or path of a run of this workspace: kit runs lists them"
        raise ConfigError(summary, code="C15", hint=hint)
    known = sorted(folder.name for folder in workspace.runs.glob("*") if _is_run(folder))
    hint = f"one of {', '.join(known)}" if known else "kit train creates one"
    raise ConfigError(f"{summary}{did_you_mean(Path(text).name, known)}", code="C15", hint=hint)


def _is_run(folder: Path) -> bool:
    """Whether the folder has any file of a run, even a damaged one."""
    names = ("manifest.json", "config.json", "folds.csv", "predictions", LOCK)
    return not folder.name.startswith(".") and any((folder / name).exists() for name in names)


def record(run: Run) -> Record:
    """Returns a run's record from its files. Missing or damaged values are empty, without an error."""
    config, folds = _config(run), _count(run)
    folders = [run.fold(fold) for fold in range(folds)] or sorted(run.folder.glob("fold-*"))
    done = tuple(fold for fold in range(folds) if run.made_by or run.fold_predictions_file(fold).is_file())
    checkpoints = tuple(checkpoint for folder in folders for checkpoint in _checkpoints(folder))
    state = _state(run, folds, done, config.get("epochs"))
    views = {folder.name: _scores(folder / "oof.parquet") for folder in run.folder.glob("predictions/*")}
    backbone = config.get("backbone")
    spec = backbone if isinstance(backbone, dict) else {}
    return Record(
        run=run,
        network=str(spec.get("arch") or spec.get("name") or ""),
        image_size=config.get("image_size"),
        epochs=config.get("epochs"),
        folds=folds,
        done=done,
        state=_with_prune(run, state),
        views={name: views[name] for name in sorted(views, key=lambda name: (name != "plain", name))},
        checkpoints=checkpoints,
    )


def _config(run: Run) -> dict[str, Any]:
    try:
        return run.config
    except KitError:
        return {}


def _count(run: Run) -> int:
    try:
        return run.folds().count
    except (DataError, OSError, ValueError):
        return 0


def _checkpoints(fold: Path) -> list[Path]:
    """Returns a fold's checkpoint folders with a manifest, oldest first."""
    return sorted(file.parent for file in fold.glob("[0-9]*/manifest.json"))


def _scores(file: Path) -> dict[str, float]:
    try:
        return dict(provenance_of(file).scores or {})
    except InvalidError:
        return {}


def _state(run: Run, folds: int, done: tuple[int, ...], epochs: int | None) -> str:
    if is_busy(run):
        return f"busy: {lock_owner(run.folder)}"
    if run.made_by:
        return f"{run.made_by} without folds" if run.lacks_folds else run.made_by
    if folds and len(done) == folds:
        whole = (run.predictions("plain") / "oof.parquet").is_file()
        return "finished" if whole else "folds to be put together"
    at = [fold for fold in range(folds) if fold not in done and _checkpoints(run.fold(fold))]
    if not at:
        if done:
            return f"stopped before fold {min(set(range(folds)) - set(done))}"
        return (
            STATE_UNTRAINED
            if any(run.folder.glob(f"embeddings/*/{STATE_UNTRAINED}/manifest.json"))
            else "not trained"
        )
    epoch, _, step = _checkpoints(run.fold(at[-1]))[-1].name.partition("-")
    within = f", step {int(step)} of the next" if step.isdecimal() else ""
    return f"stopped in fold {at[-1]} after epoch {int(epoch)}{f' of {epochs}' if epochs else ''}{within}"


def mark_pruned(run: Run, sweep: str) -> None:
    """Notes that a sweep has stopped a run where it is now. Training it further makes the note void."""
    state = record(run).state
    if not state.startswith("pruned "):
        write_json(run.folder / PRUNED, {"schema": 1, "sweep": sweep, "at": state})


def _with_prune(run: Run, state: str) -> str:
    """The state, or by which sweep the run was pruned if it was not trained further since."""
    try:
        note = dict(read_json(run.folder / PRUNED))
    except (OSError, ValueError, TypeError):
        return state
    if note.get("at") != state:
        return state
    return f"pruned by sweep {note.get('sweep')} {state.removeprefix('stopped ')}"


def is_busy(run: Run) -> bool:
    """Whether a process works on the run. A killed process has left its note, but no lock."""
    return (run.folder / BUSY).is_file() and is_locked(run.folder / LOCK)


PLAIN = "plain"  # the views of a text without `@`


def split_ref(text: StrPath) -> tuple[str, str]:
    """Splits a reference: `runs/r@d4` into `runs/r` and `d4`. The views of `runs/r` are `plain`.

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
        """Returns the reference for `r`, `runs/r`, `r@d4` or a path.

        Raises ConfigError C15 if this workspace has no such run.
        """
        run_path, views = split_ref(text)
        return cls(resolve_run(workspace, run_path), views)

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
