"""restore: a network from a checkpoint, ready to predict, if its rows, classes and plugins are those of today."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kit.config.models import Data, Experiment
from kit.config.parsing import read_stored_experiment
from kit.core.files import shorten
from kit.data.folds import Folds
from kit.data.provenance import CheckpointProvenance
from kit.data.table import Table
from kit.device.precision import Precision, resolve_auto, warn_of_other_dtype
from kit.errors import Case, CheckpointError, ConfigError, DataError, KitWarning
from kit.kinds import Classes
from kit.model import checkpoints, network
from kit.model.checkpoints import Checkpoint, load
from kit.model.predict import Predictor, for_predicting
from kit.runs.run import Run

# keys of data that make another picture of the same file
READING = ("reader", "box", "box_margin", "tiles", "pixel_type")


def experiment_of(trained: CheckpointProvenance) -> Experiment:
    """The resolved experiment that a checkpoint was trained by, from what its manifest says.

    Raises CheckpointError D53 where this kit cannot read it, such as a newer one's.
    """
    return _experiment(trained, trained.require_config())


def experiment_of_request(trained: CheckpointProvenance) -> Experiment:
    """The same with `auto` for each precision and layout that was not named.

    A checkpoint of a kit that did not record them has what was chosen where it was trained.
    """
    return _experiment(trained, {**trained.require_config(), **(trained.asked or {})})


def _experiment(trained: CheckpointProvenance, config: Mapping[str, Any]) -> Experiment:
    return read_stored_experiment(config, f"a checkpoint of run {trained.run!r}")


def classes_of_checkpoint(trained: CheckpointProvenance) -> Classes:
    """What a checkpoint's plugins knew of the classes, from what its manifest says."""
    return Classes(
        trained.classes,
        trained.class_counts,
        trained.class_groups,
        trained.class_factors,
        trained.total,
        trained.target,
        trained.means,
        trained.scales,
        trained.target_range,
    )


def precision_of(trained: CheckpointProvenance, network: nn.Module, device: torch.device) -> Precision:
    """The precision of a checkpoint's predictions on a device, which may be another one than it was trained on.

    A dtype or layout that the config named stays, `auto` is chosen again: bfloat16 of an A100 fails on a T4, and is
    several times slower than float32 on most CPUs.
    """
    began = Precision.of(experiment_of(trained).model_dump())
    chosen = resolve_auto(network, device, Precision.of(experiment_of_request(trained).model_dump()))
    warn_of_other_dtype(trained.run, began.predict, chosen.predict, device, "predicting")
    return chosen


def restore(checkpoint: Checkpoint, root: Path | None, device: torch.device) -> Predictor:
    """The averaged network where there is one, else the last weights.

    Raises CheckpointError D53 where the weights are not those of the network, naming the first keys.
    """
    experiment = experiment_of(checkpoint.provenance)
    classes = classes_of_checkpoint(checkpoint.provenance)
    parts = network.open_parts(experiment, root, classes).without_pretrained()
    built = network.build(parts, len(classes.names), experiment.image_size)
    wanted, found = built.state_dict(), checkpoint.prediction_weights
    wrong = sorted(
        {*wanted, *found} - {key for key in wanted if key in found and wanted[key].shape == found[key].shape}
    )
    if wrong:
        raise CheckpointError(
            f"{checkpoint.path} does not match its network: {len(wrong)} weights differ",
            code="D53",
            cases=wrong,
            hint="one of its plugins was changed after training",
        )
    built.load_state_dict(found)
    precision = precision_of(checkpoint.provenance, built, device)
    return Predictor(precision.to_device(built.eval(), device), parts.loss, precision, classes.target)


def load_for_prediction(path: Path, root: Path | None, device: torch.device) -> Predictor:
    """The network of a checkpoint folder, as it predicts fastest. Raises what `load` and `restore` raise."""
    checkpoint = load(path)
    made = restore(checkpoint, root, device)
    size = experiment_of(checkpoint.provenance).image_size
    return replace(made, network=for_predicting(made.network, made.precision, size))


def same_experiment(run: Run, folds: Mapping[int, Path], table: Table) -> Experiment:
    """The experiment of a run's checkpoints. Raises CheckpointError D53 where one was made for other classes."""
    found = {path: checkpoints.provenance_of(path) for path in folds.values()}
    for path, trained in found.items():
        if trained.classes != table.classes:
            raise CheckpointError(
                f"{path} was trained for {len(trained.classes)} classes, but the table has "
                f"{len(table.classes)} or different classes",
                code="D53",
                hint=f"train {run.name} again under another --name",
            )
    return experiment_of(next(iter(found.values())))


def warn_of_changed(run: Run, plugins: Mapping[str, str]) -> None:
    """Warns (W14) of plugins whose source is not what the run was trained with."""
    began = run.provenance.get("plugins", {})
    changed = [name for name, mark in plugins.items() if began.get(name, mark) != mark]
    if changed:
        text = f"W14 {', '.join(changed)} changed since {run.name} was trained; kit uses the current version"
        warnings.warn(KitWarning(text), stacklevel=2)


def check_config(run: Run, asked: Mapping[str, Any], what: str) -> None:
    """Raises ConfigError C11 where a run was begun as something else than what is asked for now, such as a soup."""
    if run.is_started and run.manifest.get("asked") != asked:
        raise ConfigError(f"runs/{run.name} does not match this {what}", code="C11", hint="another --name")


def check_reading(run: Run, data: Data) -> None:
    """Raises DataError D60 if config.json reads images in another way than a run was trained with.

    A run may have been started with keys of data on the command line.
    """
    stored = run.config.get("data")
    if not isinstance(stored, Mapping):
        return
    known = {key: stored[key] for key in READING if key in stored}
    then = Data.model_validate(known).model_dump(mode="json")
    now = data.model_dump(mode="json")
    changed = [key for key in READING if key in known and then[key] != now[key]]
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
    """Raises DataError D60 where the table's rows are not those that the run's folds were made of."""
    if folds.ids.tolist() != table.ids.tolist():
        raise DataError(
            f"the training table has {len(table)} rows, but {run.name} was trained on {len(folds.ids)} "
            "or different rows",
            code="D60",
            hint=f"restore the table, or train {run.name} again under another --name",
        )
