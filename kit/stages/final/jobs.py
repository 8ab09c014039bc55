"""TrainingJob: one network to be trained on all rows, with its run, seed and views; and a plan of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.durations import write_duration
from kit.data.predictions import Predictions, concat_predictions, provenance_of
from kit.errors import ConfigError, KitError
from kit.kinds import Views
from kit.model.predict import Merge
from kit.runs.records import RunRef, split_ref
from kit.runs.run import STATE_UNTRAINED, Run, is_on_embeddings
from kit.runs.watching import epochs_of
from kit.stages.final.planning import TIME_MARGIN
from kit.stages.final.timing import Pace
from kit.stages.prediction.tta import views_name

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MemberSpec:
    """A cross-validated member of the blend, and the views and the merge of its name."""

    text: str  # r@d4
    run: Run
    views: Views
    merge: Merge

    @property
    def folder(self) -> str:
        """The folder of its predictions."""
        return split_ref(self.text)[1]


@dataclass(frozen=True)
class TrainingJob:
    """One run on all rows. Seconds are from measurements; 0 for trained runs."""

    run: Run
    member_run: Run
    seed: int | None  # None: the run's own
    workspace: Workspace = field(repr=False)
    members: tuple[MemberSpec, ...] = field(repr=False)
    pace: Pace = field(repr=False)
    prediction_seconds: float  # seconds for all its members' views of all test rows

    @property
    def epochs(self) -> int:
        """The number of its epochs."""
        return self.workspace.experiment.epochs

    @property
    def epochs_done(self) -> int:
        """The number of epochs in its log."""
        return self.epochs if self.is_trained else min(len(epochs_of(self.run, 0)), self.epochs)

    @property
    def is_trained(self) -> bool:
        """Whether its network exists."""
        return self.run.fold_predictions_file(0).is_file()

    @property
    def training_seconds(self) -> float:
        """The seconds of the remaining epochs."""
        return sum(self.pace.epochs[self.epochs_done :])

    @property
    def cost(self) -> float:
        """Its seconds, with a margin."""
        return TIME_MARGIN * (self.training_seconds + self.prediction_seconds)


@dataclass(frozen=True, repr=False)
class FinalPlan(Displayed):
    """The jobs to train, in order, and those left out for lack of time. `seconds` None: there is no deadline.

    `texts` are all members of the blend. `asked` are those that it depends on, at `places` of them. The
    others have weight 0, are not trained, and change nothing. The ensembler is fitted on the members at
    `fitted_on`.
    """

    texts: tuple[str, ...]
    specs: tuple[MemberSpec, ...]
    places: tuple[int, ...]
    fitted_on: tuple[int, ...]
    units: tuple[TrainingJob, ...]
    left_out: tuple[TrainingJob, ...]
    ensembler: Mapping[str, Any]
    seconds: float | None
    begun: float  # wall time
    blending: float  # seconds reserved for fitting the weights and writing
    metric: str
    cv: float  # of the blend of the members that fit the time
    notes: tuple[str, ...]
    top_k: int | None = None

    @property
    def total(self) -> float:
        """The total of its seconds."""
        return sum(unit.cost for unit in self.units) + self.blending

    def _lines(self) -> list[str]:
        left = "" if self.seconds is None else f" of {write_duration(self.seconds)}"
        skipped = [f"skipped, too long: {', '.join(unit.run.name for unit in self.left_out)}"]
        return [
            f"{len(self.units)} runs to train on all rows, {write_duration(self.total)}{left} in all",
            f"cross-validated {self.metric} of this blend: {self.cv:.4f}",
            *(skipped if self.left_out else []),
            *self.notes,
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per run: its members, seed, epochs, and the seconds of training and predicting;
        `fits` in the time.
        """
        names = ("run", "of", "seed", "epochs", "epochs_done", "trains", "predicts", "fits")
        rows = [
            {
                "run": unit.run.name,
                "of": " ".join(member.text for member in unit.members),
                "seed": unit.seed,
                "epochs": unit.epochs,
                "epochs_done": unit.epochs_done,
                "trains": unit.training_seconds,
                "predicts": unit.prediction_seconds,
                "fits": fits,
            }
            for units, fits in ((self.units, True), (self.left_out, False))
            for unit in units
        ]
        return frame(rows, names)


def find_asked(workspace: Workspace, text: str, run: Run) -> MemberSpec:
    """Returns a member's views. Raises ConfigError C33 if it is not a set of views, such as a policy."""
    name = split_ref(text)[1]
    provenance = provenance_of(run.predictions(name) / "test.parquet")
    if provenance.bn_adapt is not None:
        raise ConfigError(
            f"{text} adapts batch norm to the rows that it predicts, which kit final and kit bundle do not do",
            code="C33",
            hint=f"run kit tta --checkpoints runs/{run.name} --views d4, then kit final runs/{run.name}@d4",
        )
    merge: Merge = "geometric" if provenance.merge == "geometric" else "mean"
    spec = provenance.spec or name.removesuffix("-geometric")
    try:
        views = Views.open(spec, workspace.root, "views")
        known = views_name(views, merge) == name
    except KitError as error:
        raise _no_views(text, run) from error
    if not known:
        raise _no_views(text, run)
    return MemberSpec(text, run, views, merge)


def _no_views(text: str, run: Run) -> ConfigError:
    return ConfigError(
        f"{text} is not a set of views of a last checkpoint, which kit final needs",
        code="C33",
        hint=f"run kit tta --checkpoints runs/{run.name} --views d4, then kit final runs/{run.name}@d4",
    )


def on_all_rows(workspace: Workspace, run: Run, seed: int | None) -> tuple[Run, Workspace]:
    """Returns the run on all rows of a cross-validated run, and its workspace.

    All settings are those of the run, except the splitter and settings outside of its identity. Raises
    ConfigError C33 for a run that kit train does not make, that learns from pseudo-labels, or whose start or
    vectors are not of all rows.
    """
    request = run.manifest.get("asked", {})
    if "backbone" not in request:
        raise ConfigError(
            f"runs/{run.name} was not trained from a config by kit train; it may be a soup or an import",
            code="C33",
            hint="give the runs it was made from",
        )
    if request.get("pseudo_labels"):
        raise ConfigError(
            f"runs/{run.name} was trained on pseudo-labels of each fold's own teachers, and no teacher "
            "covers all rows",
            code="C33",
            hint=f"kit blend runs/{run.name}, which uses the networks of its folds",
        )
    now = workspace.experiment
    changed = ["splitter=all_rows", f"device={now.device}", f"workers={now.workers}"]
    # settings that the run's config.json resolved for its device are chosen again for this one
    changed += [
        f"{key}={request[key]}"
        for key in ("precision", "predict_precision", "memory_format")
        if key in request
    ]
    if seed is not None:
        changed.append(f"seed={seed}")
    if request.get("init_from"):
        changed.append(f"init_from={_start(workspace, run, str(request['init_from']))}")
    if is_on_embeddings(run):
        changed.append(f"backbone.run={json.dumps(_vectors(workspace, run, run.config['backbone']['run']))}")
    name = f"{run.name}-final" + ("" if seed is None else f"-seed{seed}")
    config = run.folder / "config.json"
    return Run(workspace.runs / name), Workspace.open(workspace.root, changed, config)


def _start(workspace: Workspace, run: Run, path: str) -> str:
    """Returns the run on all rows in place of the one that a run started from, because its weights have seen
    all rows too.
    """
    run_path = re.sub(r"/fold-\d+(/[\d-]+)?/?$", "", Path(path).as_posix())
    start = f"{run_path}-final"
    if not (workspace.path(start) / "folds.csv").is_file():
        raise ConfigError(
            f"runs/{run.name} started from {path}, but {start} is not trained",
            code="C33",
            hint=f"kit train --name {Path(start).name} --config {run_path}/config.json splitter=all_rows",
        )
    return start


def _vectors(workspace: Workspace, run: Run, names: Sequence[str]) -> list[str]:
    """Returns the embedded runs whose vectors replace those of a run.

    An untrained network has seen no row, so it stays. A trained run has a network for each fold, and its run
    on all rows replaces it.
    """
    sources = []
    for name in names:
        source = RunRef.parse(name, workspace)
        if (source.embeddings / STATE_UNTRAINED).is_dir():
            sources.append(name)
            continue
        final = f"{source.run.name}-final"
        embedded = Run(workspace.runs / final).embeddings(source.views)
        if not (embedded / "0" / "manifest.json").is_file():
            views = "" if source.views == "plain" else f" --views {source.views}"
            raise ConfigError(
                f"runs/{run.name} was trained on vectors by the folds of runs/{source.run.name}, and runs/{final} "
                "has none by a network of all rows",
                code="C33",
                hint=f"kit final runs/{source.run.name}, then kit embed --checkpoints runs/{final}{views}",
            )
        sources.append(f"{final}@{source.views}")
    return sources


def average_seeds(unit_runs: Sequence[Run], spec: MemberSpec) -> tuple[Predictions, list[dict[str, Any]]]:
    """Returns test predictions of a member's networks, one fold number per seed, and the provenance of each."""
    read = [Predictions.read(run.predictions(spec.folder) / "test.parquet") for run in unit_runs]
    numbered = [
        replace(predictions, folds=predictions.folds * 0 + number) for number, predictions in enumerate(read)
    ]
    return concat_predictions(numbered, read[0].provenance), [
        predictions.provenance.to_json() for predictions in read
    ]
