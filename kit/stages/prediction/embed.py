"""embed: writes networks' embeddings of every image, as unit vectors. Retrieval starts here.

Each fold's network embeds all training rows and all test rows. So a held-out row is compared with the images
that its network was trained on, in the same way as a test row. Cross-validation of retrieval thus measures
the same task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, atomic_folder, remove_folder
from kit.core.progress import Progress, ResultOf, Work, stage
from kit.data import embeddings
from kit.data.embeddings import SPLITS, EmbeddingProvenance, Vectors
from kit.data.predictions import ids_fingerprint
from kit.data.table import Table, rows_to_predict, table_of, test_table, train_table
from kit.device.precision import channels_of, choose_device, device_line
from kit.errors import Case, InvalidError, RunError
from kit.experiment.loading import (
    Loaded,
    RunCheckpoints,
    check_reading,
    check_rows_unchanged,
    find_targets,
    geometry,
    load_rows,
)
from kit.experiment.prediction_file import (
    check_config,
    load_for_prediction,
    prediction_batches,
    same_experiment,
    warn_of_changed,
)
from kit.experiment.run_context import RunContext, prepare_run
from kit.kinds import Plugin, Views
from kit.model import checkpoints, network
from kit.model.embedder import Embedder
from kit.model.network import Network
from kit.model.predict import NetworkReader, View, for_predicting, open_views, predict_shared
from kit.runs.run import STATE_UNTRAINED, Run, config_identity, find_run, plugin_hashes
from kit.stages.prediction.tta import views_name
from kit.stages.retrieval.index_source import INDEX_SUFFIX

if TYPE_CHECKING:
    import pandas as pd

TASK = "embed"


@dataclass(frozen=True, repr=False)
class EmbedResult(Displayed):
    """The embeddings of one run: their folder, the folds of their networks, and the size of the vectors."""

    member: str  # such as runs/r@hflip
    folder: Path
    folds: tuple[str, ...]
    features: int
    rows: tuple[int, int]  # of train and test
    computed: bool  # False: the embeddings existed

    def _lines(self) -> list[str]:
        state = "" if self.computed else " (reused)"
        (train, test), folds = self.rows, ", ".join(self.folds)
        rows = f"{train} training and {test} test rows"
        return [f"{self.member}: {rows}, {self.features} features, from {folds}{state}"]

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the member, its folds, the size of its vectors, and their number."""
        train, test = self.rows
        row = {"member": self.member, "folds": " ".join(self.folds), "features": self.features}
        return frame([row | {"train_rows": train, "test_rows": test}])


@stage
def embed(
    workspace: Workspace | StrPath,
    paths: StrPath | Sequence[StrPath],
    views: Any = "plain",
    device: str = "auto",
) -> Work[list[EmbedResult]]:
    """Embeds all rows by the checkpoints of runs, folds or single checkpoint folders, over a set of views.

    Raises what `tta` raises, and RunError R09 for a network whose features are zero or not finite.
    """
    workspace = Workspace.of(workspace)
    opened, torch_device = Views.open(views, workspace.root, "views"), choose_device(device)
    data = workspace.competition.data
    train = train_table(workspace.root, data).sort_by_id()
    tables = (train, rows_to_predict(workspace, data, train.classes))
    results = []
    for target in find_targets(workspace, paths):
        with target.run.lock():
            results.append((yield from _of_run(workspace, target, tables, opened, torch_device)))
    return results


@stage
def embed_index(
    workspace: Workspace | StrPath,
    paths: StrPath | Sequence[StrPath],
    index: StrPath,
    images: str | None = None,
    views: Any = "plain",
    device: str = "auto",
) -> Work[list[EmbedResult]]:
    """Embeds the images that a CSV lists, beside the embeddings of the same checkpoints and views.

    `images` is the path pattern of the index images, by default that of the test rows. Raises what `embed` raises.
    """
    workspace = Workspace.of(workspace)
    opened, torch_device = Views.open(views, workspace.root, "views"), choose_device(device)
    data = workspace.competition.data
    train = train_table(workspace.root, data).sort_by_id()
    pattern = images or data.test_images or data.images
    index_data = data.model_copy(
        update={"test": os.fspath(workspace.path(index)), "sample": None, "test_images": pattern}
    )
    table = test_table(workspace, index_data, train.classes)
    results = []
    for target in find_targets(workspace, paths):
        with target.run.lock():
            results.append(
                (yield from _of_run(workspace, target, (train, table), opened, torch_device, INDEX_SUFFIX))
            )
    return results


def _of_run(
    workspace: Workspace,
    target: RunCheckpoints,
    tables: tuple[Table, Table],
    views: Views,
    device: torch.device,
    suffix: str = "",
) -> Work[EmbedResult]:
    """Embeds one run after checks: its classes and rows are the tables', its network takes the views.

    With `suffix` only the second table is embedded, into a folder with that suffix.
    """
    run = target.run
    train = table_of(run.folder, tables[0], workspace.competition.data)
    tables = (train, replace(tables[1], classes=train.classes))
    experiment, folds = same_experiment(run, target.folds, train), run.folds()
    check_rows_unchanged(run, folds, train)
    check_reading(run, workspace.competition.data)
    parts = network.open_parts(experiment, workspace.root, network.classes_from_table(train))
    provenance = _provenance(
        run, views, target.epoch_suffix, train, parts.without_pretrained().all(), folds.fingerprint()
    )
    if suffix:
        provenance = replace(provenance, views=provenance.views + suffix)
        tables = (train.take([]), tables[1])
    warn_of_changed(run, provenance.plugins)
    networks = {
        str(fold): (checkpoints.tag(path), partial(_restore, path, workspace.root, device))
        for fold, path in target.folds.items()
    }
    opened_views = open_views(views, experiment.image_size, parts.backbone.input_size())
    job = _EmbedContext(workspace, run, experiment, opened_views, provenance, networks)
    return (yield from job.embed_missing((yield from _load(workspace, tables, experiment))))


@stage
def embed_untrained(
    workspace: Workspace | StrPath, name: str, views: Any = "plain", device: str = "auto"
) -> Work[EmbedResult]:
    """Embeds all rows by the experiment's initial network, such as a pretrained one, as the run `name`.

    Raises what training raises before its first step, such as DataError D61 for the weights of a run that
    trained on held-out rows, and ConfigError C11 if another run has the name.
    """
    workspace = Workspace.of(workspace)
    opened = Views.open(views, workspace.root, "views")
    space = replace(workspace, raw={**workspace.raw, "device": device})
    run, request = find_run(space, name), {**config_identity(workspace.experiment), STATE_UNTRAINED: True}
    with run.lock():
        check_config(run, request, "untrained network")
        setting = yield from prepare_run(space, run)
        train = setting.loaded.table
        tables = (train, rows_to_predict(space, space.competition.data, train.classes))
        setting.check_starts(range(setting.folds.count))
        setting.begin(request)
        parts, experiment = setting.techniques.parts, setting.experiment
        provenance = _provenance(run, opened, "", train, parts.all(), setting.folds.fingerprint())
        networks = {STATE_UNTRAINED: (f"seed {experiment.seed}", partial(_initial_embedder, setting))}
        opened_views = open_views(opened, experiment.image_size, parts.backbone.input_size())
        job = _EmbedContext(space, run, experiment, opened_views, provenance, networks)
        return (yield from job.embed_missing((yield from _load(space, tables, experiment))))


def _load(workspace: Workspace, tables: tuple[Table, Table], experiment: Experiment) -> Work[list[Loaded]]:
    rows_by_table = []
    for split, table in zip(SPLITS, tables, strict=True):
        rows_by_table.append((yield from load_rows(workspace, table, split, geometry(experiment))))
    return rows_by_table


def _provenance(
    run: Run, views: Views, suffix: str, table: Table, plugins: Sequence[Plugin], folds: str
) -> EmbeddingProvenance:
    """Returns the provenance of embeddings by any fold's network."""
    return EmbeddingProvenance(
        run=run.name,
        views=views_name(views, "mean", suffix),
        merge="mean",
        classes=table.classes,
        plugins=plugin_hashes([views, *plugins]),
        folds=folds,
    )


def _restore(path: Path, root: Path, device: torch.device) -> Embedder:
    predictor = load_for_prediction(path, root, device)
    return Embedder(cast(Network, predictor.network), predictor.precision)


def _initial_embedder(setting: RunContext) -> Embedder:
    """Returns the network with its initial weights, drawn or loaded."""
    experiment = setting.experiment
    built = network.build_untrained(setting.parts_of(0), len(setting.loaded.table.classes), experiment)
    placed = setting.precision.to_device(built.eval(), setting.device)
    prepared = for_predicting(placed, setting.precision, experiment.image_size)
    return Embedder(cast(Network, prepared), setting.precision)


@dataclass(frozen=True, eq=False)
class _EmbedContext:
    """One run to be embedded by a set of views. `networks` has a fold's tag and a function that opens its network."""

    workspace: Workspace
    run: Run
    experiment: Experiment
    views: Sequence[View]
    provenance: EmbeddingProvenance
    networks: Mapping[str, tuple[str, Callable[[], Embedder]]]

    def embed_missing(self, loaded: Sequence[Loaded]) -> Work[EmbedResult]:
        """Embeds the images that are not embedded yet."""
        folder = self.run.embeddings(self.provenance.views)
        provenances = {fold: self._of_fold(tag, loaded) for fold, (tag, _) in self.networks.items()}
        missing = {
            fold: self.networks[fold][1]()
            for fold in provenances
            if not _is_there(folder / fold, provenances[fold])
        }
        if missing:
            embedder = next(iter(missing.values()))
            yield device_line(
                embedder.device, embedder.precision, self.workspace.experiment.workers, trains=False
            )
            yield from self._write(folder, missing, provenances, loaded)
        rows = (len(loaded[0].table), len(loaded[1].table))
        features = np.load(folder / next(iter(provenances)) / "train.npy", mmap_mode="r").shape[1]
        member = f"runs/{self.run.name}@{self.provenance.views}"
        return EmbedResult(member, folder, tuple(provenances), int(features), rows, bool(missing))

    def _of_fold(self, tag: str, loaded: Sequence[Loaded]) -> EmbeddingProvenance:
        """Returns the provenance of a fold's embeddings."""
        images = {split: rows.fingerprint() for split, rows in zip(SPLITS, loaded, strict=True)}
        ids = {split: ids_fingerprint(rows.table.ids) for split, rows in zip(SPLITS, loaded, strict=True)}
        return replace(self.provenance, checkpoint=tag, ids=ids, images=images)

    def _write(
        self,
        folder: Path,
        networks: Mapping[str, Embedder],
        provenances: Mapping[str, Any],
        loaded: Sequence[Loaded],
    ) -> Work[None]:
        """Writes one folder per fold, all of them in one pass over the images."""
        size = self.experiment.image_size
        features = {fold: _features(embedder, size) for fold, embedder in networks.items()}
        rows = sum(len(each.table) for each in loaded)
        with ExitStack() as stack:
            parts = {}
            for fold in networks:
                if (folder / fold).exists():
                    remove_folder(folder / fold)
                parts[fold] = stack.enter_context(atomic_folder(folder / fold, 2 * rows * features[fold]))
            begun = 0
            for split, each in zip(SPLITS, loaded, strict=True):
                maps = {
                    fold: embeddings.create_memmap(parts[fold], split, each.table.ids, features[fold])
                    for fold in parts
                }
                work = ResultOf(self._pass(each, networks, maps, split))
                for step in work:
                    yield replace(step, done=(begun + step.done / len(networks)) / rows, total=1)
                begun += len(each.table)
                for fold, filled in maps.items():
                    _check(Vectors(each.table.ids, filled), each.bad, f"runs/{self.run.name} fold {fold}")
            for fold, part in parts.items():
                embeddings.write_manifest(part, provenances[fold])

    def _pass(
        self, loaded: Loaded, networks: Mapping[str, Embedder], maps: Mapping[str, np.ndarray], split: str
    ) -> Work[None]:
        rows = np.flatnonzero(~loaded.bad)
        if not len(rows):
            return
        experiment = self.experiment.model_copy(update={"workers": self.workspace.experiment.workers})
        readers = [
            NetworkReader(embedder, self.views, "mean", rows, experiment.batch_rows(), maps[fold], rows)
            for fold, embedder in networks.items()
        ]
        batches = prediction_batches(loaded, experiment, rows, readers[0].predictor.device)
        try:
            yield from predict_shared(
                readers, batches, TASK, f"{self.run.name}@{self.provenance.views} {split}"
            )
        finally:
            batches.close()
        text = f"{self.run.name}@{self.provenance.views} {split}: {len(rows)} rows, {len(networks)} networks"
        yield Progress(TASK, len(rows) * len(networks), 1, text, line=True)


@torch.inference_mode()
def _features(embedder: Embedder, size: int) -> int:
    """Returns the number of features of an image, by trying one."""
    blank = torch.zeros(
        1, channels_of(embedder.network), size, size, dtype=torch.uint8, device=embedder.device
    )
    return int(embedder.vectors(embedder.precision.to_layout(blank, embedder.device)).shape[1])


def _is_there(folder: Path, wanted: EmbeddingProvenance) -> bool:
    try:
        return bool(embeddings.embedding_manifest(folder)["about"] == wanted.to_json())
    except InvalidError:
        return False


def _check(vectors: Vectors, bad: np.ndarray, where: str) -> None:
    """Raises RunError R09 for rows with an image whose features are zero or not finite."""
    cases = vectors.faults()
    cases += [
        Case("all features are zero", id=str(vectors.ids[row]))
        for row in np.flatnonzero(~vectors.has_image() & ~bad)
    ]
    if cases:
        raise RunError(
            f"{where} returns zero or non-finite features for {len(cases)} images",
            code="R09",
            cases=cases,
            hint="use another checkpoint or pooling, or predict_precision=float32",
        )
