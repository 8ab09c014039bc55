"""Label values: columns of numbers, or of shares of classes such as votes, as the labels of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data.csv_file import is_number
from kit.data.image_paths import fill
from kit.data.label_columns import class_columns, column_of
from kit.errors import Case, ConfigError, DataError

if TYPE_CHECKING:
    from kit.config.models import Data

SUM_TOLERANCE = 0.015  # tolerance of a row's sum of shares, which are often rounded

Labelled = tuple[np.ndarray, tuple[str, ...]]  # float64 (rows, K), and the names of the columns


def read_numbers(
    root: Path, data: Data, columns: Mapping[str, Sequence[str]], ids: Sequence[str]
) -> Labelled:
    """Returns the numbers of each row, in the columns that `data.label` names.

    Raises DataError D31 for a cell that is not a finite number, or not within `data.target_range`;
    ConfigError C07.
    """
    refuse_idle_keys(data)
    if isinstance(data.label, str):
        names: tuple[str, ...] = (data.label,)
        cells: dict[str, Sequence[str]] = {data.label: fill(data.label, columns, "data.label")}
    else:
        names = class_columns(root, data, columns)
        cells = _cells(names, columns)
    values = _numbers(cells, ids)
    if data.target_range is not None:
        _check_range(values, names, ids, data.target_range)
    return values, names


def read_shares(root: Path, data: Data, columns: Mapping[str, Sequence[str]], ids: Sequence[str]) -> Labelled:
    """Returns the share of each class in each row, from columns of shares or whole numbers of votes.

    Raises DataError D31 for a cell that is not a number of 0 or more. Raises DataError D18 for rows whose
    shares do not sum to 1, or without a vote; ConfigError C07.
    """
    refuse_idle_keys(data)
    if isinstance(data.label, str):
        raise ConfigError(
            "data.target=shares needs a column per class, but data.label is one column",
            code="C07",
            hint="data.label=null, or a list of columns in data.label",
        )
    names = class_columns(root, data, columns)
    values = _numbers(_cells(names, columns), ids)
    negative = [
        Case(f"column {names[at]!r} holds {values[row, at]:g}", id=ids[row], split="train", code="D31")
        for row, at in np.argwhere(values < 0).tolist()
    ]
    if negative:
        raise DataError(f"{len(negative)} shares are below 0", code="D31", cases=negative, hint=NO_SHARES)
    sums = values.sum(axis=1)
    are_votes = bool((values == np.round(values)).all())
    wrong = sums == 0 if are_votes else np.abs(sums - 1) > SUM_TOLERANCE
    if wrong.any():
        cases = [
            Case(f"sums to {sums[row]:g}", id=ids[row], split="train", code="D18")
            for row in np.flatnonzero(wrong).tolist()
        ]
        what = "have no vote" if are_votes else "have shares that do not sum to 1"
        hint = "remove these rows" if are_votes else NO_SHARES
        if not are_votes and (np.abs(sums - 100) < 100 * SUM_TOLERANCE).all():
            hint = "they are percentages: divide them by 100"
        raise DataError(f"{len(cases)} training rows {what}", code="D18", cases=cases, hint=hint)
    return values / sums[:, None], names


NO_SHARES = "correct the cells, or remove the rows; data.target=numbers if the columns are not shares"


def refuse_idle_keys(data: Data) -> None:
    """Raises ConfigError C07 for keys that turn labels into classes."""
    idle = [f"data.{key}" for key in ("label_separator", "label_parts") if getattr(data, key)]
    idle += [f"data.label_from.{key}" for key, value in data.label_from if value]
    if data.target_range and data.target != "numbers":
        idle.append("data.target_range")
    if data.parts and data.target != "several":
        idle.append("data.parts")
    if idle:
        text = f"data.target is {data.target}, so {', '.join(idle)} has no effect"
        raise ConfigError(text, code="C07", hint="remove these keys, or data.target=classes")


def _cells(names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name: columns[column_of(name, columns) or name] for name in names}


def _numbers(cells: Mapping[str, Sequence[str]], ids: Sequence[str]) -> np.ndarray:
    """Returns the cells as numbers, float64 (rows, columns). Raises DataError D31."""
    wrong = [
        Case(f"column {name!r} holds {cell!r}", id=row, split="train", code="D31")
        for name, column in cells.items()
        for row, cell in zip(ids, column, strict=True)
        if not is_number(cell)
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} labels are not finite numbers",
            code="D31",
            cases=wrong,
            hint=_hint_of_numbers(cells),
        )
    return np.array(
        [[float(cell) for cell in column] for column in cells.values()], dtype=np.float64
    ).T.copy()


def _hint_of_numbers(cells: Mapping[str, Sequence[str]]) -> str:
    """Returns what to do about cells of labels of which some are no numbers."""
    wrong = [cell for column in cells.values() for cell in column if not is_number(cell)]
    if all(cell.count(",") == 1 and is_number(cell.replace(",", ".")) for cell in wrong):
        return "write a point instead of the comma into each number"
    if len(wrong) == sum(map(len, cells.values())):
        return "data.target=classes if the labels are names, or another data.label"
    return "correct the cells, or remove their rows"


def _check_range(
    values: np.ndarray, names: Sequence[str], ids: Sequence[str], limits: tuple[float, float]
) -> None:
    low, high = limits
    wrong = [
        Case(f"column {names[at]!r} holds {values[row, at]:g}", id=ids[row], split="train", code="D31")
        for row, at in np.argwhere((values < low) | (values > high)).tolist()
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} labels are outside data.target_range, {low:g} to {high:g}",
            code="D31",
            cases=wrong,
            hint="correct the cells, or data.target_range",
        )
