"""Kept: by fold, the predictions that a file holds already and that would come out the same again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kit.data.predictions import Empty, Predictions
from kit.errors import InvalidError
from kit.model import checkpoints
from kit.runs.run import Run


def load_reusable_predictions(
    file: Path, about: Mapping[str, Any], run: Run, empty: Empty | None = None
) -> dict[int, Predictions]:
    """What a file holds of exactly `about`: same rows, images, classes, views, plugins and checkpoints.

    The views' spec is left aside: their name says as much. Folds that `about` names no checkpoint of are kept too,
    while the one that they were made with stands. The arrays are parts of one that `empty` makes.
    """
    if not file.is_file():
        return {}
    try:
        old = Predictions.read(file, empty)
    except InvalidError:  # damaged: made again
        return {}
    if any(old.metadata.get(key) != about[key] for key in about if key not in ("checkpoints", "spec")):
        return {}
    tags = {
        int(fold): tag
        for fold, tag in old.metadata["checkpoints"].items()
        if about["checkpoints"].get(fold, tag) == tag
        and (fold in about["checkpoints"] or _stands(run, fold, tag))
    }
    return {fold: _of_fold(old, fold) for fold in sorted(tags)}


def _of_fold(whole: Predictions, fold: int) -> Predictions:
    """A fold's rows, without a copy where they stand together, as they are written."""
    rows = np.flatnonzero(whole.folds == fold)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return whole.take(slice(rows[0], rows[-1] + 1))
    return whole.take(rows)


def _stands(run: Run, fold: str, tag: str) -> bool:
    """Whether a run still has the checkpoint that a tag names."""
    try:
        return checkpoints.tag(run.fold(int(fold)) / tag.partition(":")[0]) == tag
    except (OSError, ValueError, KeyError):
        return False


def checkpoint_tags(parts: Mapping[int, Predictions]) -> dict[str, str]:
    """The checkpoint of each fold, as predictions say it of themselves."""
    return {str(fold): parts[fold].metadata["checkpoints"][str(fold)] for fold in sorted(parts)}
