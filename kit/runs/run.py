"""Run: the folder of one experiment; its name, lock and request, and the check that a second start is the same one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.models import NOT_IN_IDENTITY, Experiment
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, fingerprint, is_safe_folder_name, read_json, sha256, write_json
from kit.core.installed import version
from kit.core.locks import hold_lock
from kit.core.renamed import CONFIG_KEYS
from kit.data.external_rows import describe_sources
from kit.data.folds import Folds
from kit.data.predictions import Predictions, Provenance, provenance_of
from kit.errors import (
    BusyError,
    Case,
    CheckpointError,
    ConfigError,
    InvalidError,
    KitError,
)
from kit.kinds.network import EMBEDDINGS
from kit.kinds.plugin import Plugin
from kit.kinds.registry import location_of

if TYPE_CHECKING:
    import pandas as pd

    from kit.data.table import Table

SCHEMA = 1
MAX_NAME = 100  # characters of a run's name, which is a part of longer names
STATE_UNTRAINED = (
    "untrained"  # in place of a fold: a network's vectors before training on any row of the competition
)
# in a manifest's request: the origin of a run without networks, such as another framework's files by their
# hashes
IMPORTED, STACKED = "imported", "stacked"
PACKAGES = ("kit-competitions", "torch", "timm", "numpy", "albumentations", "opencv-python-headless")


@dataclass(frozen=True, repr=False, init=False)
class Run(Displayed):
    """The paths of a run's files."""

    folder: Path

    def __init__(self, folder: StrPath) -> None:
        object.__setattr__(self, "folder", Path(folder))

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    def fold(self, number: int) -> Path:
        """Returns the folder of a fold's checkpoints and log."""
        return self.folder / f"fold-{number}"

    def predictions(self, views: str) -> Path:
        """Returns the folder of the predictions by a set of views."""
        return self.folder / "predictions" / views

    def embeddings(self, views: str) -> Path:
        """Returns the folder of the embeddings by a set of views, with one folder per fold."""
        return self.folder / "embeddings" / views

    def fold_predictions_file(self, fold: int) -> Path:
        """Returns the file of a fold's own out-of-fold predictions, from which the run's are assembled."""
        return self.fold(fold) / "oof.parquet"

    @property
    def is_started(self) -> bool:
        """Whether anything was trained or embedded that another experiment would overwrite."""
        patterns = ("fold-*/*/manifest.json", "fold-*/oof.parquet", "embeddings/*/*/manifest.json")
        return any(file for pattern in patterns for file in self.folder.glob(pattern))

    @property
    def made_by(self) -> str:
        """The origin of its predictions: `imported`, `stacked`, or empty for networks that kit trained."""
        try:
            request = self.manifest.get("asked", {})
            return next((name for name in (IMPORTED, STACKED) if name in request), "")
        except (KitError, TypeError):
            return ""

    @property
    def lacks_folds(self) -> bool:
        """Whether its predictions were imported without folds, so that no score of them can be verified."""
        return self.made_by == IMPORTED and not (self.folder / "folds.csv").is_file()

    @property
    def manifest(self) -> dict[str, Any]:
        """The request and the inputs of the run; empty before its first start."""
        manifest = self._read("manifest.json") if (self.folder / "manifest.json").is_file() else {}
        return {"provenance" if key == "made_from" else key: value for key, value in manifest.items()}

    @property
    def provenance(self) -> dict[str, Any]:
        """Hashes of the rows, images, folds, plugins and versions that the run was started with; empty before."""
        return dict(self.manifest.get("provenance", {}))

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config; empty for a run without networks. Raises CheckpointError D51 if it is damaged."""
        return {} if self.made_by else self._read("config.json")

    def _lines(self) -> list[str]:
        about = self._plain_scores()
        if about is None:
            return [f"runs/{self.name}: no fold is finished"]
        count = len(about.fold_scores or {})
        scores = "  ".join(f"{name} {value:.4f}" for name, value in (about.scores or {}).items())
        return [
            f"runs/{self.name}: {count} fold{'s' * (count != 1)} trained",
            f"out of fold: {scores}" if scores else "no row was held out, so there is no score",
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns the scores by fold, and of all rows pooled out of fold."""
        about = self._plain_scores() or Provenance()
        folds = sorted((about.fold_scores or {}).items(), key=lambda item: int(item[0]))
        rows = [{"run": self.name, "fold": fold, **scores} for fold, scores in folds]
        pooled = [{"run": self.name, "fold": "all", **about.scores}] if about.scores else []
        return frame([*rows, *pooled], None if rows or pooled else ("run", "fold"))

    def _plain_scores(self) -> Provenance | None:
        """Returns the provenance of the plain out-of-fold predictions, or None."""
        with suppress(KitError, OSError):
            return provenance_of(self.predictions("plain") / "oof.parquet")
        return None

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(read_json(self.folder / name))
        except (OSError, ValueError, TypeError):
            raise CheckpointError(
                f"{self.folder / name} is missing or damaged",
                code="D51",
                hint="restore it, or use another --name",
            ) from None

    def folds(self) -> Folds:
        """Returns the fold that held out each row."""
        return Folds.read(self.folder / "folds.csv")

    def lock(self) -> AbstractContextManager[None]:
        """Locks the run against other processes. Raises BusyError, naming the one that works on it."""
        return lock_folder(self.folder)


def config_identity(experiment: Experiment) -> dict[str, Any]:
    """Returns the requested experiment without settings that do not identify it; "auto" stays "auto"."""
    config = experiment.model_dump(mode="json", exclude=set(NOT_IN_IDENTITY))
    # a run without bags or side columns has the same identity, and so the same name, as before these keys
    # existed
    newer = ("instances", "columns")
    return {key: value for key, value in config.items() if key not in newer or value is not None}


def is_on_embeddings(run: Run) -> bool:
    """Whether a run was trained on cached embeddings, so that its networks read no images."""
    backbone = run.config.get("backbone")
    return isinstance(backbone, dict) and backbone.get("name") == EMBEDDINGS


def default_name(experiment: Experiment) -> str:
    """Returns a name from the network, the image size and 6 hex digits of the experiment."""
    spec = dict(experiment.backbone)
    network = spec.get("arch") or spec["name"]
    return f"{network}-{experiment.image_size}-{fingerprint(config_identity(experiment))[:6]}".replace(
        "/", "-"
    )


def find_run(workspace: Workspace, name: str | None = None) -> Run:
    """Returns the run of a workspace's experiment. Raises ConfigError for an invalid folder name."""
    name = name or default_name(workspace.experiment)
    if not is_safe_folder_name(name) or "@" in name or len(name) > MAX_NAME:
        raise ConfigError(
            f"--name {name!r} is not a folder name of at most {MAX_NAME} letters, digits, - and _",
            code="C13",
        )
    return Run(workspace.runs / name)


def check_same_experiment(run: Run, experiment: Experiment) -> None:
    """Raises ConfigError C11 if the run was started as another experiment, naming the differences.

    Raises CheckpointError D51 if the run has folds but no record of its experiment.
    """
    if run.made_by:
        raise ConfigError(
            f"runs/{run.name} was {run.made_by}, not trained",
            code="C11",
            hint="use another --name, or --restart",
        )
    if not run.is_started:
        return
    started = run.manifest.get("asked")
    if started is None:
        raise CheckpointError(
            f"runs/{run.name} has folds but no manifest.json",
            code="D51",
            hint="restore manifest.json, remove the folder, or use another --name",
        )
    requested = config_identity(experiment)
    if started == requested:
        return
    cases = [
        Case(f"renamed to {CONFIG_KEYS[''][key]!r}", key)
        if key in CONFIG_KEYS[""]
        else Case(f"{started.get(key)!r} before, {requested.get(key)!r} now", key)
        for key in sorted({*started, *requested})
        if started.get(key) != requested.get(key)
    ]
    raise ConfigError(
        f"runs/{run.name} was started with a different config",
        code="C11",
        cases=cases,
        hint="use another --name, or --restart, which archives the old run",
    )


def is_finished(run: Run, folds: Sequence[int] | None = None) -> bool:
    """Whether the out-of-fold predictions of these folds (all, by default) exist and are assembled."""
    whole = run.predictions("plain") / "oof.parquet"
    if not (run.folder / "folds.csv").is_file() or not whole.is_file():
        return False
    wanted = select_folds(run.folds(), folds)
    if not all(run.fold_predictions_file(fold).is_file() for fold in wanted):
        return False
    try:
        checkpoints = Predictions.read(whole).provenance.checkpoints
    except InvalidError:  # damaged: assembled again
        return False
    return all(str(fold) in checkpoints for fold in wanted)


def select_folds(folds: Folds, only: Sequence[int] | None) -> list[int]:
    """Returns the folds to train. Raises ConfigError for one that the splitter does not make."""
    wanted = list(range(folds.count)) if only is None else sorted(set(only))
    wrong = [fold for fold in wanted if not 0 <= fold < folds.count]
    if wrong:
        raise ConfigError(f"no fold {wrong[0]}: the folds are 0 to {folds.count - 1}", code="C14")
    return wanted


def provenance(table: Table, folds: Folds, images: str, plugins: Sequence[Plugin]) -> dict[str, Any]:
    """Returns hashes of a run's inputs: rows, images (their fingerprint), folds, plugins' sources, versions."""
    labels = [] if table.labels is None else table.labels.tolist()
    if table.is_multi_label:
        labels = [table.label_names(row) for row in range(len(table))]
    groups = [] if table.groups is None else table.groups.tolist()
    levels = [(level.name, level.parents) for level in table.class_levels]
    described = [known for known in (table.class_groups, table.class_factors, levels) if known]
    external = [] if table.sources is None else [table.sources.tolist()]
    return {
        "rows": fingerprint([table.ids.tolist(), labels, groups, table.classes, *described, *external]),
        "images": images,
        "folds": folds.fingerprint(),
        **({"sources": describe_sources(table.external_rows())} if external else {}),
        "plugins": plugin_hashes(plugins),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a result depends on."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def plugin_hashes(plugins: Sequence[Plugin]) -> dict[str, str]:
    """Returns the SHA-256 of each plugin's code, including nested ones, by kind/name, and of its input files,
    by their names too.
    """
    hashes: dict[str, str] = {}
    for plugin in plugins:
        location = location_of(type(plugin))
        code = [sha256(file) for file in code_of(type(plugin)) if file.is_file()]
        hashes[f"{location.kind}/{location.name}"] = fingerprint(code)
        read = {file.name: sha256(file) for path in plugin.input_files() for file in _files(path)}
        hashes |= {f"{location.kind}/{location.name} {name}": mark for name, mark in read.items()}
        nested = [getattr(plugin, name) for name in type(plugin).model_fields]
        hashes |= plugin_hashes([value for value in nested if isinstance(value, Plugin)])
    return dict(sorted(hashes.items()))


def _files(path: Path) -> tuple[Path, ...]:
    """Returns the file, or the files of weights in a folder; empty if building the network will report the error."""
    from kit.model.weight_files import find_weights  # it loads torch

    with suppress(CheckpointError):
        return find_weights(path)
    return ()


def code_of(plugin: type[Plugin]) -> list[Path]:
    """Returns the files of a plugin's class and of its base classes, with the `_` modules beside each."""
    modules = [sys.modules[base.__module__] for base in plugin.__mro__ if issubclass(base, Plugin)]
    files = [Path(module.__file__) for module in modules if module.__file__]
    shelved = [file for file in files if file.parent.parent.name == "plugins"]
    beside = [helper for file in shelved for helper in file.parent.glob("_*.py")]
    return sorted({*shelved, *beside} or set(files[:1]))


def begin(
    run: Run, request: Mapping[str, Any], resolved: Mapping[str, Any], run_provenance: Mapping[str, Any]
) -> None:
    """Writes the manifest, with the request, and the resolved config of a run that is not trained yet."""
    if run.is_started:
        return
    write_json(run.folder / "config.json", dict(resolved))
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(
        run.folder / "manifest.json",
        {
            "schema": SCHEMA,
            "name": run.name,
            "started": started,
            "asked": dict(request),
            "provenance": dict(run_provenance),
            "git": commit(run.folder),
        },
    )


GIT_TIMEOUT_S = 10.0  # seconds; git on a slow disk must not delay training


def commit(folder: Path) -> dict[str, Any] | None:
    """Returns the checked-out commit of a folder's repository, and whether tracked files differ from it.

    It is None outside a repository, before its first commit, and without git. No program from the
    repository's own settings is run.
    """
    name = _git(folder, "rev-parse", "--verify", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if name is None or changed is None:
        return None
    return {"commit": name.strip(), "dirty": bool(changed.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        process = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=GIT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return process.stdout if process.returncode == 0 else None


BUSY, LOCK = "busy.json", ".lock"
POLL_S = 0.5  # seconds to wait for the lock, so that a mere look at it (`kit runs ls`) turns nobody away


@contextmanager
def lock_folder(folder: Path, patience: float = POLL_S) -> Iterator[None]:
    """Locks a folder against other processes.

    Raises BusyError R08, naming the one that holds it, after this many seconds.
    """
    note = folder / BUSY

    def busy() -> BusyError:
        return BusyError(
            f"{folder} is in use by {lock_owner(folder)}",
            code="R08",
            hint="wait until it ends, or use another name",
        )

    with hold_lock(folder / LOCK, busy, patience):
        try:
            write_json(note, _myself())
            yield
        finally:
            note.unlink(missing_ok=True)


def _myself() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def lock_owner(folder: Path) -> str:
    """Returns the process that works on a run's folder, in words."""
    try:
        owner = read_json(folder / BUSY)
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def prediction_provenance(
    run: Run, views: str, merge: str, table: Table, plugins: Sequence[Plugin]
) -> Provenance:
    """Returns the provenance of a run's predictions by a set of views, before their rows are known."""
    return Provenance(
        run=run.name,
        views=views,
        merge=merge,
        classes=table.classes,
        plugins=plugin_hashes(plugins),
    )
