"""FeatureContext: the state that the folds of a run on cached embeddings share.

All errors before training are raised here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.files import fingerprint
from kit.core.progress import Work
from kit.data.column_encoder import SideValues
from kit.data.embeddings import embedding_manifest
from kit.data.folds import Folds, make_folds
from kit.data.table import Table, rows_to_predict, train_table
from kit.data.vector_table import VectorTable
from kit.device.precision import Precision, choose_device
from kit.device.ranks import Ranks
from kit.engine.feature_batches import Bags
from kit.errors import ConfigError, DataError, InvalidError
from kit.evaluation.competition import Scoring
from kit.experiment.auto_groups import write_auto_groups
from kit.experiment.bags import Places, bag_classes, bags_digest, bags_of, check_no_mixing, open_instances
from kit.experiment.loading import Loaded
from kit.experiment.run_context import RunContext, check_rows, name_classes, with_columns
from kit.experiment.sample_fit import warn_about_prediction
from kit.experiment.techniques import OpenPlugins, check_row_weights, open_techniques
from kit.experiment.tracking import Trackers
from kit.images.cache import Cache
from kit.kinds import Classes, Instances
from kit.kinds.advice import predict_command
from kit.kinds.network import CachedVectors
from kit.model import network
from kit.runs.changes import check_unchanged
from kit.runs.records import RunRef
from kit.runs.row_checksums import RowChecksums
from kit.runs.run import STATE_UNTRAINED, Run
from kit.stages.retrieval.source import EmbeddedRun, read_source


@dataclass(frozen=True)
class EmbeddedRows(Loaded):
    """The training rows; those without a vector are bad. There is no cache of images."""

    digest: str = ""

    def fingerprint(self) -> str:
        return self.digest


@dataclass(frozen=True)
class FeatureContext(RunContext):
    """A run's context whose rows are vectors: those of each fold's network, or the same for all folds."""

    sources: tuple[EmbeddedRun, ...] = ()
    instances: Instances | None = None  # how the vectors of a bag are pooled; None: a row is one image
    order: Places | None = None  # of the images in their bags
    test: Table = field(default_factory=lambda: Table(np.array([], dtype=str), (), ()))

    @property
    def reads_test_rows(self) -> bool:
        """Whether there are rows to predict."""
        return len(self.test) > 0

    def train_features(self, fold: int) -> VectorTable:
        """Returns the vectors of the training rows by the fold's networks."""
        return VectorTable.of(
            [embeddings.train for embeddings in _of_fold(self.sources, fold)], self.loaded.table.ids
        )

    def test_features(self, fold: int) -> VectorTable:
        """Returns the vectors of the rows to predict by the fold's networks."""
        return VectorTable.of([embeddings.test for embeddings in _of_fold(self.sources, fold)], self.test.ids)

    def test_side(self, fold: int) -> SideValues | None:
        """Returns the side columns of the rows to predict, as fitted on a fold's training rows. None: none used."""
        side = self.side_of(fold)
        return None if side is None else side.encoder.encode(self.test, "test")

    def bags(self, rows: np.ndarray) -> Bags:
        """Returns the bags of training rows: the images of an answer, if vectors are pooled."""
        return bags_of(
            self.loaded.table, rows, self.instances, None if self.order is None else self.order.train
        )

    def test_bags(self, rows: np.ndarray) -> Bags:
        """Returns the bags of rows to predict."""
        return bags_of(self.test, rows, self.instances, None if self.order is None else self.order.test)

    def classes_of(self, fold: int) -> Classes:
        if self.instances is None:
            return super().classes_of(fold)
        table = self.loaded.table
        return bag_classes(
            table, self.bags(np.arange(len(table))).first, self.bags(self.training_rows(fold)).first
        )

    def provenance(self) -> dict[str, Any]:
        provenance = super().provenance()
        if self.instances is None:
            return provenance
        places = None if self.order is None else [self.order.train.tolist(), self.order.test.tolist()]
        return provenance | {"bags": bags_digest(self.loaded.table, places)}

    def row_checksums(self) -> RowChecksums:
        return RowChecksums.of(self.loaded.table, ())


def prepare_feature_run(workspace: Workspace, run: Run, ranks: Ranks) -> Work[FeatureContext]:
    """Opens every plugin, makes the folds and maps the vectors.

    Raises what `kit.experiment.run_context.prepare_run` raises for tables, plugins and folds. Raises
    ConfigError C83 for keys that do not apply to vectors, and if the source is not a run. Raises InvalidError
    D47 and D48 for embeddings that are damaged, missing or of other rows; DataError D61 for those by networks
    of other folds.
    """
    experiment = workspace.experiment
    _check_keys(experiment, ranks)
    device = choose_device(experiment.device)
    trackers = Trackers.open(experiment, workspace.root)
    yield from write_auto_groups(workspace)
    now = train_table(workspace.root, workspace.competition.data).sort_by_id()
    table, rename = name_classes(workspace, now, run)
    scoring = Scoring.of(workspace, table)
    techniques = open_techniques(workspace, network.classes_from_table(table), scoring.metric)
    _check_plugins(techniques)
    check_row_weights([stage.loss for stage in techniques.stages], table, None)
    techniques = with_columns(workspace, techniques, table)
    test = rows_to_predict(workspace, workspace.competition.data, table.classes)
    instances, order = open_instances(workspace, table, test, scoring)
    warn_about_prediction(workspace, now)
    folds = make_folds(table, techniques.splitter, experiment.split_seed)
    sources = _read_sources(workspace, techniques, now, folds)
    precision = _precision(experiment)
    digest = fingerprint([_digests(source) for source in sources])
    has_vector = np.all([source.has_vector for source in sources], axis=0)
    setting = FeatureContext(
        workspace=workspace,
        run=run,
        experiment=experiment.model_copy(update=precision.config()),
        techniques=techniques,
        scoring=scoring,
        loaded=EmbeddedRows(table, cast(Cache, None), ~has_vector, digest=digest),
        folds=folds,
        precision=precision,
        device=device,
        trackers=trackers,
        rename=rename,
        sources=sources,
        test=test,
        instances=instances,
        order=order,
    )
    check_rows(setting)
    check_unchanged(run, setting.provenance(), setting.row_checksums())
    return setting


def _check_keys(experiment: Experiment, ranks: Ranks) -> None:
    """Raises ConfigError C83 for keys that need images, or a network that reads them."""
    wrong: dict[str, bool] = {
        "adapter": experiment.adapter is not None,
        "init_from": experiment.init_from is not None,
        "pseudo_labels": experiment.pseudo_labels is not None,
        "columns with instances": None not in (experiment.columns, experiment.instances),
        "compile": experiment.compile,
        "gradient_checkpointing": experiment.gradient_checkpointing,
        "batch_size=auto": experiment.batch_size == "auto",
        "layer_decay": experiment.layer_decay < 1,
        "several ranks": ranks.count > 1,
    }
    unsupported = [name for name, is_set in wrong.items() if is_set]
    if unsupported:
        raise ConfigError(
            f"backbone 'embeddings' trains on vectors, and does not support {', '.join(unsupported)}",
            code="C83",
            hint=f"remove {unsupported[0]}, or train a network on images",
        )


def vectors_of(techniques: OpenPlugins) -> CachedVectors:
    """Returns the backbone's cached vectors."""
    return techniques.parts.backbone.cached_vectors() or CachedVectors((), standardise=False)


def _check_plugins(techniques: OpenPlugins) -> None:
    """Raises ConfigError C83 for a loss that needs images, and if no run is embedded."""
    backbone = techniques.parts.backbone
    if not vectors_of(techniques).runs:
        raise ConfigError(
            "backbone 'embeddings' needs the name of an embedded run",
            code="C83",
            hint="kit embed --untrained bare backbone.pretrained=true, then backbone.run=bare",
        )
    if backbone.weights is not None:
        raise ConfigError("backbone 'embeddings' takes no backbone.weights", code="C83", hint="omit it")
    check_no_mixing(techniques, "C83", "but backbone 'embeddings' has vectors")


def _precision(experiment: Experiment) -> Precision:
    """Returns the config's precision; float32 for `auto`, because heads are small."""
    train = "float32" if experiment.precision == "auto" else experiment.precision
    predict = train if experiment.predict_precision == "auto" else experiment.predict_precision
    return Precision(train, predict, "contiguous")


def _read_sources(
    workspace: Workspace, techniques: OpenPlugins, table: Table, folds: Folds
) -> tuple[EmbeddedRun, ...]:
    """Returns the embedded runs. Raises D47, D48, D61."""
    sources = []
    for name in vectors_of(techniques).runs:
        ref = RunRef.parse(name, workspace)
        if not (ref.run.folder / "folds.csv").is_file():
            raise InvalidError(
                f"runs/{ref.run.name} has no embeddings of views {ref.views!r}",
                code="D48",
                hint=predict_command(ref.run.name, ref.views, workspace.root, command="embed"),
            )
        source = read_source(workspace, name, table)
        _check_folds(source, folds)
        sources.append(source)
    return tuple(sources)


def _check_folds(source: EmbeddedRun, folds: Folds) -> None:
    """Raises DataError D61 for vectors by networks that saw held-out rows, InvalidError D48 for a missing fold."""
    if _is_untrained(source):
        return
    if source.folds.fingerprint() != folds.fingerprint():
        raise DataError(
            f"the networks of {source.member} were trained with other folds, so they have seen rows that this run "
            "holds out",
            code="D61",
            hint=f"use the splitter and split_seed of runs/{source.run.name}, or embed by an untrained network",
        )
    missing = sorted(set(range(folds.count)) - set(source.by_fold))
    if missing:
        raise InvalidError(
            f"{source.member} has no embeddings of fold {', '.join(map(str, missing))}",
            code="D48",
            hint=predict_command(source.run.name, source.views, command="embed"),
        )


def _is_untrained(source: EmbeddedRun) -> bool:
    return (source.run.embeddings(source.views) / STATE_UNTRAINED).is_dir()


def _of_fold(sources: Sequence[EmbeddedRun], fold: int) -> list[Any]:
    return [source.by_fold[min(source.by_fold) if _is_untrained(source) else fold] for source in sources]


def _digests(source: EmbeddedRun) -> Mapping[str, Any]:
    """Returns the hashes of a source's files, by fold."""
    folder = source.run.embeddings(source.views)
    names = [STATE_UNTRAINED] if _is_untrained(source) else [str(fold) for fold in sorted(source.by_fold)]
    return {name: embedding_manifest(folder / name)["sha256"] for name in names}
