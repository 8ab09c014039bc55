"""saving: a fold's checkpoints, and the held-out predictions that mark it as finished."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from kit.data.predictions import Predictions
from kit.data.provenance import CheckpointProvenance, Provenance
from kit.experiment.run_context import RunContext
from kit.model import checkpoints
from kit.runs.run import versions


def write_held_out(setting: RunContext, fold: int, held_out: Predictions, checkpoint: Path) -> None:
    """Writes a fold's out-of-fold predictions, which mark the fold as finished."""
    tags = {str(fold): checkpoints.tag(checkpoint)}
    provenance = Provenance(run=setting.run.name, fold=fold, rows="oof", checkpoints=tags)
    replace(held_out, provenance=provenance).write(setting.run.fold_predictions_file(fold))


def save_checkpoint(
    setting: RunContext,
    fold: int,
    number: int,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    soup: Sequence[str] = (),
    step: int = 0,
) -> Path:
    """Writes a checkpoint of a fold, with all that is needed to predict with it; `soup` names averaged runs."""
    table, known = setting.loaded.table, setting.classes_of(fold)
    provenance = CheckpointProvenance(
        run=setting.run.name,
        fold=fold,
        classes=table.classes,
        class_counts=tuple(table.counts().tolist()),
        class_groups=tuple(table.class_groups),
        class_factors=tuple(map(tuple, table.class_factors)),
        total=len(table),
        target=table.target,
        means=known.means,
        scales=known.scales,
        target_range=known.target_range,
        config=setting.resolve_config(),
        asked=setting.asked.config(),
        normalisation=setting.techniques.parts.backbone.normalisation(),
        folds=setting.folds.fingerprint(),
        versions=versions(),
        machine={"host": platform.node(), "device": str(setting.device)},
        soup=tuple(soup),
    )
    return checkpoints.save(setting.run.fold(fold), number, weights, average, state, provenance, step)
