"""merge: joins heads on cached embeddings with the networks of those embeddings, as a run with ordinary checkpoints.

The merged run predicts images, so views, soups and bundles take it, and other runs can start from its weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, remove_partial_files
from kit.core.progress import Progress, Work, finish, stage
from kit.data.predictions import Predictions
from kit.data.table import Table, train_table
from kit.errors import Case, ConfigError, InvalidError
from kit.experiment.loading import find_targets
from kit.experiment.prediction_file import assemble, check_config, experiment_of_request
from kit.experiment.run_context import RunContext, prepare_run
from kit.kinds import Backbone
from kit.model import checkpoints, network
from kit.model.checkpoints import Checkpoint
from kit.runs.run import Run, find_run, is_on_embeddings
from kit.stages.retrieval.source import EmbeddedRun, read_source
from kit.stages.training.fold_results import predict_held_out, save_checkpoint, write_held_out

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = (
    0.02  # mean difference of probabilities; float16 vectors and bfloat16 networks give less than .005
)
IMAGE_KEYS = (  # keys of the embedded run that the merged one takes: how an image becomes a vector
    "backbone",
    "channels",
    "normalisation",
    "image_size",
    "cache_size",
    "resize",
    "center_crop",
    "augmenter",
    "precision",
    "predict_precision",
    "memory_format",
)


@dataclass(frozen=True, repr=False)
class MergeResult(Displayed):
    """The merged run, its scores, and the mean difference of its probabilities from those of the heads."""

    run: Run
    heads: str
    folds: tuple[int, ...]
    scores: dict[str, float]
    difference: float
    pooling: str  # `pooling=...` of runs that start from this one

    @property
    def member(self) -> str:
        """The new run, as commands name it."""
        return f"runs/{self.run.name}"

    def _lines(self) -> list[str]:
        scores = "  ".join(f"{key} {value:.4f}" for key, value in self.scores.items())
        return [
            f"{self.member}: runs/{self.heads} with its networks, {len(self.folds)} folds",
            f"{scores}; its probabilities differ from those on vectors by {self.difference:.4f} on average",
            f"to fine-tune it: init_from={self.member} '{self.pooling}'",
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the run, its folds, the difference, and its scores."""
        folds = " ".join(map(str, self.folds))
        return frame([{"run": self.run.name, "folds": folds, "difference": self.difference, **self.scores}])


@stage
def merge_heads(workspace: Workspace | StrPath, path: StrPath, name: str) -> Work[MergeResult]:
    """Joins the heads of a run on cached embeddings with the embedded run's networks, as the run `name`.

    The network divides pooled features by their length and standardises them, as the heads' training did.

    Raises ConfigError C15 for a path that is not a run on embeddings with a finished fold, C16 for vectors of
    several runs or views, which no single network gives. Raises InvalidError D48 if the networks do not give
    the predictions of the heads, as with other initial weights; what `kit.experiment.run_context.prepare_run`
    raises.
    """
    workspace = Workspace.of(workspace)
    heads, *_ = find_targets(workspace, [path], with_heads=True)
    if not is_on_embeddings(heads.run):
        raise ConfigError(
            f"runs/{heads.run.name} was trained on images, so it has nothing to merge",
            code="C15",
            hint="kit tta predicts with it",
        )
    parts = {fold: checkpoints.load(file) for fold, file in heads.folds.items()}
    table = train_table(workspace.root, workspace.competition.data).sort_by_id()
    asked_by_heads = experiment_of_request(next(iter(parts.values())).provenance)
    source = _read_source(workspace, heads.run, asked_by_heads, table)
    experiment = _merge_experiments(asked_by_heads, source)
    space = replace(workspace, raw={**workspace.raw, **experiment, "tracker": None})
    run, request = find_run(space, name), {"merged": heads.run.name}
    with run.lock():
        remove_partial_files(run.folder)
        check_config(run, request, "merged run")
        setting = yield from prepare_run(space, run, like=heads.run)
        _check_folds(setting, parts, heads.run)
        setting.begin(request)
        differences, weights_by_tag = [], dict[str, Mapping[str, Tensor]]()
        for number, (fold, checkpoint) in enumerate(sorted(parts.items())):
            yield Progress("merge", number, len(parts), f"fold {fold}")
            tag = source.tags[str(fold)]
            if tag not in weights_by_tag:  # all folds of an untrained network have its one tag
                weights_by_tag = {tag: _source_weights(setting, fold, source)}
            joined = _join(checkpoint.prediction_weights, weights_by_tag[tag])
            differences.append(_merge_fold(setting, fold, joined, source, heads.run))
        whole = assemble(setting)
    scores = dict(whole.provenance.require_scores())
    pooling = f"pooling={json.dumps(experiment['pooling'], separators=(',', ':'))}"
    return MergeResult(
        run, heads.run.name, tuple(sorted(parts)), scores, float(np.mean(differences)), pooling
    )


def _read_source(workspace: Workspace, heads: Run, experiment: Experiment, table: Table) -> EmbeddedRun:
    """Returns the embedded run. Raises ConfigError C16 if the vectors are not those of one network and view."""
    vectors = experiment.open(Backbone, workspace.root).cached_vectors()
    names = () if vectors is None else vectors.runs
    if len(names) != 1:
        raise ConfigError(
            f"runs/{heads.name} was trained on the vectors of {len(names)} runs, and a network has one backbone",
            code="C16",
            hint="merge heads on the vectors of one run each, and blend the merged runs",
        )
    source = read_source(workspace, names[0], table)
    if source.views != "plain":
        raise ConfigError(
            f"runs/{heads.name} was trained on {source.member}, which averages vectors over views, and a network "
            "sees one view",
            code="C16",
            hint=f"train the heads on backbone.run={source.run.name}; kit tta averages the views of the merged run",
        )
    return source


def _merge_experiments(heads: Experiment, source: EmbeddedRun) -> dict[str, Any]:
    """Returns the config of the merged run: the heads' with the network and the images of the embedded run."""
    mine, theirs = heads.model_dump(mode="json"), source.experiment.model_dump(mode="json")
    features = int(source.by_fold[min(source.by_fold)].train.features)
    pooling = {"name": "standardised", "base": theirs["pooling"], "features": features}
    return {**mine, **{key: theirs[key] for key in IMAGE_KEYS}, "pooling": pooling}


def _check_folds(setting: RunContext, parts: Mapping[int, Checkpoint], heads: Run) -> None:
    """Raises InvalidError D42 and D43 for heads of other classes or folds than those of the table."""
    for checkpoint in parts.values():
        if checkpoint.provenance.classes != setting.loaded.table.classes:
            raise InvalidError(
                f"runs/{heads.name} was trained for other classes than the table's", code="D42"
            )
        if checkpoint.provenance.folds != setting.folds.fingerprint():
            raise InvalidError(f"runs/{heads.name} was trained on other folds than the table's", code="D43")


def _merge_fold(
    setting: RunContext, fold: int, weights: Mapping[str, Tensor], source: EmbeddedRun, heads: Run
) -> float:
    """Writes a fold's checkpoint and predictions; returns their mean difference from those of the head."""
    classes, size = len(setting.loaded.table.classes), setting.experiment.image_size
    parts = setting.parts_of(fold).without_pretrained()
    built = network.build(parts, classes, size)
    built.load_state_dict(weights)
    merged = setting.precision.to_device(built.eval(), setting.device)
    held_out = finish(predict_held_out(setting, fold, merged))
    before = Predictions.read(heads.fold_predictions_file(fold))
    before = before.take(np.isin(before.ids, held_out.ids))
    difference = (
        float(np.abs(held_out.align(before.ids) - before.probabilities).mean()) if len(before) else 0.0
    )
    if difference > TOLERANCE:
        raise InvalidError(
            f"fold {fold}: the network of runs/{source.run.name} does not give the predictions of runs/{heads.name}",
            code="D48",
            cases=[Case(f"probabilities differ by {difference:.3f} on average", f"fold {fold}")],
            hint=f"the weights of the backbone were changed; kit embed again, and train runs/{heads.name} again",
        )
    path = save_checkpoint(setting, fold, 1, merged.state_dict(), None, {})
    write_held_out(setting, fold, held_out, path)
    return difference


def _source_weights(setting: RunContext, fold: int, source: EmbeddedRun) -> Mapping[str, Tensor]:
    """Returns the weights of the network that embedded a fold's rows: its checkpoint's, or its initial ones."""
    tag = source.tags[str(fold)]
    path = source.run.fold(fold) / tag.partition(":")[0]
    if (path / checkpoints.MANIFEST).is_file():
        return checkpoints.load(path).prediction_weights
    experiment, root = source.experiment, setting.workspace.root
    parts = network.open_parts(experiment, root, network.classes_from_table(setting.loaded.table))
    return network.build_untrained(parts, len(source.table.classes), experiment).state_dict()


def _join(head: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights of a network with the source's backbone and pooling, and everything after from the head."""
    joined = {name: value for name, value in source.items() if name.startswith("backbone.")}
    joined |= {name: source[name] for name in ("scale", "shift")}
    joined |= {
        f"pooling.base.{name.removeprefix('pooling.')}": value
        for name, value in source.items()
        if name.startswith("pooling.")
    }
    joined |= {f"pooling.{name}": head[name] for name in ("mean", "scale")}
    return joined | {name: value for name, value in head.items() if name not in ("mean", "scale")}
