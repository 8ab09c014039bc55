"""Value columns: decides whether the sample's columns hold numbers, shares, or classes of parts of an answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kit.data.csv_file import is_number
from kit.data.label_values import SUM_TOLERANCE
from kit.data.part_labels import BLANK
from kit.data.side_columns import guess_kind, is_blank
from kit.stages.discovery.file_scan import TableFile
from kit.stages.discovery.name_matching import one_hot

MAX_VOTES = 1000  # maximum sum of a row; a larger sum of whole numbers is a measurement


def find_part_columns(train: TableFile, wanted: Sequence[str], sample_cells: Iterable[str]) -> bool:
    """Whether all wanted columns are in the training table and hold classes: repeated names, or numbers from 0 up.

    Numbers are not classes if the sample's cells, `sample_cells`, are fractions, as for shares of votes.
    """
    if len(wanted) < 2 or not set(wanted) <= set(train.columns):
        return False
    columns = [train.file.column(name) for name in wanted]
    has_fractions = any(is_number(cell) and not float(cell).is_integer() for cell in sample_cells)
    if has_fractions and any(is_number(cell) for column in columns for cell in column):
        return False
    return all(map(_are_classes, columns))


def _are_classes(cells: Sequence[str]) -> bool:
    """Whether cells are names, most of which repeat, or whole numbers without a gap from 0 to the largest."""
    labels = [cell.strip() for cell in cells if cell.strip().lower() not in BLANK]
    known = set(labels)
    if len(known) < 2 or 2 * len(known) > len(labels):
        return False
    if not all(map(is_number, known)):
        return not any(map(is_number, known))
    return {float(name) for name in known} == set(range(len(known)))


def find_part_groups(train: TableFile, columns: Sequence[str]) -> dict[str, list[str]]:
    """Returns columns of 0 and 1 by their names before the last underscore, if each row has a single 1 in
    each such group.

    It is empty without at least two groups, such as `kidney_healthy`, `kidney_low`, `liver_healthy`,
    `liver_low`.
    """
    groups: dict[str, list[str]] = {}
    for column in columns:
        groups.setdefault(column.rpartition("_")[0], []).append(column)
    if len(groups) < 2 or "" in groups or groups.keys() & set(train.columns):
        return {}
    return groups if all(one_hot(train, names) for names in groups.values()) else {}


def find_values(train: TableFile, columns: Sequence[str]) -> str | None:
    """Returns `shares` or `numbers` if the sample's columns are columns of such cells in the training table,
    else None.
    """
    if len(columns) < 2 or not set(columns) <= set(train.columns):
        return None
    cells = [train.file.column(column) for column in columns]
    if not all(is_number(cell) for column in cells for cell in set(column)):
        return None
    values = np.array([[float(cell) for cell in column] for column in cells])
    if set(np.unique(values).tolist()) <= {0.0, 1.0}:
        return None
    sums = values.sum(axis=0)
    are_votes = bool((values == np.round(values)).all()) and values.min() >= 0 and bool((sums > 0).all())
    if (values.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE) or (
        are_votes and sums.max() <= MAX_VOTES
    ):
        return "shares"
    return "numbers"


def find_longer_names(train: TableFile, columns: Sequence[str]) -> tuple[str, ...]:
    """Returns the training columns named like the sample's with one ending more, such as `X4_mean` for `X4`.

    Of several endings it is the one with the word mean. It is empty if there is none, or if several are
    equally good.
    """
    if len(columns) < 2 or set(columns) & set(train.columns):
        return ()
    first = str(columns[0])
    endings = [name.removeprefix(first) for name in train.columns if name.startswith(first)]
    fitting = [ending for ending in endings if all(f"{name}{ending}" in train.columns for name in columns)]
    best = [ending for ending in fitting if "mean" in ending.lower()] or fitting
    return tuple(f"{name}{best[0]}" for name in columns) if len(best) == 1 else ()


def describe_longer_names(data: Mapping[str, Any], sample: TableFile | None) -> dict[str, Any]:
    """Returns the key `format` of a sample whose columns have other names than the columns of numbers."""
    columns, label = sample.columns[1:] if sample else (), data.get("label")
    if data.get("target") != "numbers" or not isinstance(label, list) or len(columns) != len(label):
        return {}
    if set(columns) & set(label):
        return {}
    return {"format": {"name": "numbers", "columns": dict(zip(columns, label, strict=True))}}


MAX_TEXT_SHARE = 0.5  # maximum share of distinct texts: more are names or notes


def find_side_columns(train: TableFile, test: TableFile | None, taken: Collection[str]) -> list[str]:
    """Returns columns of both tables that may be useful: not `taken`, not constant, and not a distinct text per row."""
    side_columns = []
    for name in train.columns if test else ():
        if name in taken or test is None or name not in test.columns:
            continue
        cells = [cell for cell in train.file.column(name) if not is_blank(cell)]
        is_text = guess_kind(cells) == "category"
        if len(set(cells)) > 1 and not (is_text and len(set(cells)) > MAX_TEXT_SHARE * len(cells)):
            side_columns.append(name)
    return side_columns


def describe_side_columns(names: Sequence[str]) -> list[str]:
    """Returns a sentence on columns that a network can take; empty without any."""
    if not names:
        return []
    listed = json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))
    return [
        f"side columns: kit check tests them, kit train columns=mlp 'data.columns={listed}' learns from them"
    ]
