"""Label smoothing that goes to the classes which a class was measured to be mistaken for.

kit train --name first
kit train --name second loss=confusion_smoothing loss.confusions=runs/first

Source: group-wise smoothing (kit plugins loss group_smoothing), with a measured confusion matrix instead of groups.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from kit import Predictions, Workspace, train_table
from kit.data.csv_file import read_csv
from kit.errors import DataError
from kit.kinds import Loss, bound_field
from kit.kinds.registry import location_of

if TYPE_CHECKING:
    from torch import Tensor

NUMBER = r"\d+(\.\d*)?(e-?\d+)?"  # not below 0


class ConfusionSmoothing(Loss):
    """The true class gives a share to the other classes, in proportion to how often it was mistaken for them.

    A CSV has a row for each true class, its name first, and a column for each predicted one: counts or
    shares. A run gives the mean out-of-fold probabilities of each true class. Every fold then has this
    information about the rows that it holds out.
    """

    smoothing: float = Field(0.1, ge=0, lt=1, description="share that the true class gives up")
    confusions: str = Field("", description="a CSV, or a run such as runs/a@hflip; without one all are alike")
    names: tuple[str, ...] = bound_field()

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        targets = targets_of(self.input_files(), self.names, self.smoothing)
        return -(torch.from_numpy(targets).to(outputs)[labels] * outputs.log_softmax(1)).sum(1)

    def input_files(self) -> tuple[Path, ...]:
        path, _, views = self.confusions.partition("@")
        part = "" if path.endswith(".csv") else f"predictions/{views or 'plain'}/oof.parquet"
        return ((location_of(type(self)).root or Path()) / path / part,) if path else ()


@lru_cache
def targets_of(files: tuple[Path, ...], names: tuple[str, ...], smoothing: float) -> np.ndarray:
    """Returns the target of each class, (classes, classes). Every row sums to 1, evenly if nothing is confused."""
    read = _of_table if files and files[0].suffix == ".csv" else _of_run
    others = 1 - np.eye(len(names))
    mistaken = (read(files[0], names) if files else others) * others
    mistaken = np.where(mistaken.sum(1, keepdims=True) > 0, mistaken, others)
    return np.asarray(
        (1 - smoothing) * np.eye(len(names)) + smoothing * mistaken / mistaken.sum(1, keepdims=True)
    )


def _of_table(file: Path, names: tuple[str, ...]) -> np.ndarray:
    table = read_csv(file)
    rows = {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    missing = [name for name in names if name not in rows or name not in table.columns[1:]]
    if missing:
        raise DataError(f"{file} lacks a row or a column of: {', '.join(missing)}", code="D32")
    wrong = [cell for true in names for cell in rows[true].values() if not re.fullmatch(NUMBER, cell)]
    if wrong:
        raise DataError(f"{file}: {wrong[0]!r} is no count or share", code="D31")
    return np.array([[float(rows[true][other]) for other in names] for true in names])


def _of_run(file: Path, names: tuple[str, ...]) -> np.ndarray:
    confusions, workspace = (
        Predictions.read(file).mean(),
        Workspace.find(file.parents[3]),
    )  # a run has a config.json too
    table = train_table(workspace.root, workspace.competition.data)
    both = np.isin(table.ids, confusions.ids)
    shares = confusions.align(table.ids[both].tolist(), allow_extra=True)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, table.targets()[both], shares[:, [confusions.classes.index(name) for name in names]])
    return counts
