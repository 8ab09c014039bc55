"""Part labels: the columns of each part of a row's answer, as the labels of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kit.config.data_blocks import PartBlock
from kit.data.csv_file import is_number
from kit.data.label_columns import column_of
from kit.data.label_values import refuse_idle_keys
from kit.data.spelling import as_numbers, number_of
from kit.errors import Case, ConfigError, DataError, did_you_mean
from kit.kinds.several_target import PART_SEPARATOR, PartKind, SeveralTarget

if TYPE_CHECKING:
    from kit.config.models import Data

BLANK = ("", "nan", "na")  # cells of a part without a label, in lower case


@dataclass(frozen=True)
class _Block:
    """The labels of a part, and the names of their columns."""

    name: str
    kind: PartKind
    labels: np.ndarray  # (rows, columns)
    columns: list[str]


def read_parts(
    data: Data, columns: Mapping[str, Sequence[str]], ids: Sequence[str]
) -> tuple[SeveralTarget, np.ndarray, tuple[str, ...]]:
    """Returns the target, the labels (rows, K) of all parts, and the names of their columns.

    Labels are int8 if all parts are classes of one column each, and float64 otherwise. A class's column is
    called `part=class`, and columns of other parts have the names of the table. An empty cell is a part
    without a label.

    Raises ConfigError C07 for parts that the config or the table does not describe. Raises DataError D30 for
    rows without any label, D31 for cells that are not of the part's kind, D39 for a part with no class or a
    single one.
    """
    refuse_idle_keys(data)
    wanted = _find_parts(data)
    missing = [
        Case(f"no such column{did_you_mean(column, columns)}", column)
        for name, part in wanted.items()
        for column in part.columns or (name,)
        if column_of(column, columns) is None
    ]
    if missing:
        raise ConfigError(
            f"{len(missing)} labels of parts are not columns of {data.train}",
            code="C07",
            cases=missing,
            hint="name columns of the table in data.label and data.parts",
        )
    wrong: list[Case] = []
    blocks = [_block(name, part, columns, ids, wrong) for name, part in wanted.items()]
    if wrong:
        raise DataError(
            f"{len(wrong)} labels of parts do not fit the kind of their part",
            code="D31",
            cases=wrong,
            hint="correct the cells, or the part's kind in data.parts",
        )
    _check_learnable(blocks)
    names = tuple(name for block in blocks for name in block.columns)
    _check_names(names)
    kinds = tuple(block.kind for block in blocks)
    plain = all(kind == "softmax" for kind in kinds)
    target = SeveralTarget(
        tuple((block.name, len(block.columns)) for block in blocks), () if plain else kinds
    )
    labels = np.concatenate([block.labels for block in blocks], axis=1)
    blank = [
        Case("no label", "", ids[row], "train", "D30")
        for row in np.flatnonzero(target.find_missing(labels).all(axis=1)).tolist()
    ]
    if blank:
        raise DataError(
            f"{len(blank)} training rows have no label of any part",
            code="D30",
            cases=blank,
            hint="fill in a label, or remove the rows from data.train",
        )
    return target, labels, names


def _find_parts(data: Data) -> dict[str, PartBlock]:
    """Returns the parts by name: those of `data.label`, then further ones of `data.parts`. Raises ConfigError C07."""
    if isinstance(data.label, str) or not (data.label or data.parts):
        raise ConfigError(
            "data.target=several needs a list of parts in data.label, or parts in data.parts",
            code="C07",
            hint="'data.label=[root,vowel]', with 'data.parts={\"height\": \"number\"}' for other kinds",
        )
    wanted = {name: data.parts.get(name, PartBlock()) for name in data.label or ()} | {
        name: part for name, part in data.parts.items() if name not in (data.label or ())
    }
    columns = [*wanted, *(column for part in wanted.values() for column in part.columns)]
    torn = [name for name in dict.fromkeys(columns) if PART_SEPARATOR in name]
    if torn:
        raise ConfigError(
            f"{len(torn)} columns of parts have {PART_SEPARATOR!r} in their names",
            code="C07",
            cases=torn,
            hint="rename these columns",
        )
    return wanted


def _block(
    name: str,
    part: PartBlock,
    columns: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    wrong: list[Case],
) -> _Block:
    """Returns the labels of a part. Cells that do not fit are added to `wrong`."""
    cells = {
        column: [cell.strip() for cell in columns[column_of(column, columns) or column]]
        for column in part.columns or (name,)
    }
    if part.kind == "softmax" and not part.columns:
        hot, classes = _hot(cells[name])
        return _Block(name, part.kind, hot, [f"{name}{PART_SEPARATOR}{label}" for label in classes])
    values = np.full((len(ids), len(cells)), np.nan)
    for at, (column, texts) in enumerate(cells.items()):
        for row, text in enumerate(texts):
            if text.lower() in BLANK:
                continue
            fits = is_number(text) if part.kind == "number" else number_of(text) in (0, 1)
            if fits:
                values[row, at] = float(text)
            else:
                what = "not a finite number" if part.kind == "number" else "not 0 or 1"
                wrong.append(Case(f"column {column!r} holds {text!r}, {what}", "", ids[row], "train", "D31"))
    if part.kind != "softmax":
        return _Block(name, part.kind, values, list(cells))
    ones = np.nansum(values, axis=1)
    odd = (ones != 1) & ~np.isnan(values).all(axis=1)
    wrong += [
        Case(f"part {name!r} has {ones[row]:g} columns with a 1", "", ids[row], "train", "D31")
        for row in np.flatnonzero(odd).tolist()
    ]
    hot = np.nan_to_num(values).astype(np.int8)
    return _Block(name, part.kind, hot, [f"{name}{PART_SEPARATOR}{column}" for column in cells])


def _check_learnable(blocks: Sequence[_Block]) -> None:
    """Raises DataError D39 for parts in which all rows are alike, or no row has a label."""
    unlearnable = []
    for block in blocks:
        if block.kind == "softmax":
            different = int(block.labels.any(axis=0).sum())
            if different < 2:
                unlearnable.append(
                    Case(
                        f"has {'the same class in all rows' if different else 'no label in any row'}",
                        block.name,
                    )
                )
            continue
        for column, values in zip(block.columns, block.labels.T, strict=True):
            different = len(np.unique(values[~np.isnan(values)]))
            if different < 2:
                unlearnable.append(
                    Case(
                        f"has {'the same label in all rows' if different else 'no label in any row'}", column
                    )
                )
    if unlearnable:
        raise DataError(
            f"{len(unlearnable)} parts have nothing to learn",
            code="D39",
            cases=unlearnable,
            hint="leave these columns out of data.label and data.parts",
        )


def _check_names(names: Sequence[str]) -> None:
    """Raises ConfigError C07 for a column that two parts name."""
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(
            f"{len(double)} columns are in two parts",
            code="C07",
            cases=double,
            hint="name each column in one part of data.label or data.parts",
        )


def _hot(cells: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Returns 0 and 1, int8 (rows, classes), and the classes, numbers by value; equal numbers are one class."""
    known = {cell for cell in cells if cell.lower() not in BLANK}
    spelled = as_numbers(known)
    classes = sorted(
        {spelled.get(cell, cell) for cell in known},
        key=lambda name: (not is_number(name), float(name) if is_number(name) else 0.0, name),
    )
    number = {name: index for index, name in enumerate(classes)}
    hot = np.zeros((len(cells), len(classes)), np.int8)
    for row, cell in enumerate(cells):
        if cell in known:
            hot[row, number[spelled.get(cell, cell)]] = 1
    return hot, classes
