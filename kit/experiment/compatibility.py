"""Same: whether a run's checkpoints were trained on the rows, classes and plugins that the workspace has now."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.config.models import Experiment
from kit.data.folds import Folds
from kit.data.table import Table
from kit.errors import CheckpointError, ConfigError, DataError, KitWarning
from kit.experiment.restore import experiment_of
from kit.model import checkpoints
from kit.runs.run import Run


def same_experiment(run: Run, folds: Mapping[int, Path], table: Table) -> Experiment:
    """The experiment of a run's checkpoints. Raises CheckpointError D53 where one was made for other classes."""
    told = {path: checkpoints.manifest_of(path)["about"] for path in folds.values()}
    for path, about in told.items():
        if tuple(about["classes"]) != table.classes:
            raise CheckpointError(
                f"{path} was trained for {len(about['classes'])} classes, but the table has "
                f"{len(table.classes)} or different classes",
                code="D53",
                hint=f"train {run.name} again under another --name",
            )
    return experiment_of(next(iter(told.values())))


def warn_of_changed(run: Run, plugins: Mapping[str, str]) -> None:
    """Warns (W14) of plugins whose source is not what the run was trained with."""
    began = run.manifest.get("made_from", {}).get("plugins", {})
    changed = [name for name, mark in plugins.items() if began.get(name, mark) != mark]
    if changed:
        text = f"W14 {', '.join(changed)} changed since {run.name} was trained; kit uses the current version"
        warnings.warn(KitWarning(text), stacklevel=2)


def check_config(run: Run, asked: Mapping[str, Any], what: str) -> None:
    """Raises ConfigError C11 where a run was begun as something else than what is asked for now, such as a soup."""
    if run.is_started and run.manifest.get("asked") != asked:
        raise ConfigError(f"runs/{run.name} does not match this {what}", code="C11", hint="another --name")


def check_rows_unchanged(run: Run, folds: Folds, table: Table) -> None:
    """Raises DataError D60 where the table's rows are not those that the run's folds were made of."""
    if folds.ids.tolist() != table.ids.tolist():
        raise DataError(
            f"the training table has {len(table)} rows, but {run.name} was trained on {len(folds.ids)} "
            "or different rows",
            code="D60",
            hint=f"restore the table, or train {run.name} again under another --name",
        )
