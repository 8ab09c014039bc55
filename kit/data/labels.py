"""Labels: read from a column or made from several, and turned into class numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data.csv_file import is_number, read_csv
from kit.data.patterns import columns_of, fill
from kit.data.spelling import fold_spelling, rename_labels
from kit.errors import Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data


def label_parts(
    columns: Mapping[str, Sequence[str]], data: Data, ids: Sequence[str]
) -> dict[str, Sequence[str]]:
    """What a label may be made of, a text a row: the columns, words for files, number ranges.

    Raises DataError D30 for a file without a word, D31 for a number that is none.
    """
    parts = dict(columns)
    if "file" in columns_of(data.label or "") and data.file_labels:
        parts["file"] = _words(columns["file"], data.file_labels, ids)
    for name, edges in data.bins.items():
        parts[name] = _ranges(fill(name, columns, "data.bins"), name, edges, ids)
    return parts


def compose_labels(parts: Mapping[str, Sequence[str]], data: Data, ids: Sequence[str]) -> list[str]:
    """Every row's label as text, by the column or pattern `data.label`, before `data.rename`.

    Raises DataError D30 for a row without one, of which there is nothing to see.
    """
    made = fill(data.label or "", parts, "data.label")
    blank = [
        Case("no label", "", row, "train", "D30")
        for row, label in zip(ids, rename_labels(made, data.rename), strict=True)
        if not fold_spelling(label)
    ]
    if blank:
        raise DataError(f"{len(blank)} training rows have no label", code="D30", cases=blank)
    return made


def _words(stems: Sequence[str], words: Mapping[str, str], ids: Sequence[str]) -> list[str]:
    """The word of the first pattern that each stem matches."""
    made = {
        stem: next((word for glob, word in words.items() if fnmatchcase(stem, glob)), None)
        for stem in set(stems)
    }
    cases = [
        Case(f"no pattern for {stem!r}", "", row, "train", "D30")
        for row, stem in zip(ids, stems, strict=True)
        if made[stem] is None
    ]
    if cases:
        raise DataError(
            f"{len(cases)} images match no pattern of data.file_labels",
            code="D30",
            cases=cases,
            hint=f"its patterns: {', '.join(words)}",
        )
    return [made[stem] or "" for stem in stems]


def _ranges(cells: Sequence[str], name: str, edges: Sequence[float], ids: Sequence[str]) -> list[str]:
    """`<30`, `30-60` (30 included, 60 not) or `>=60` for each number."""
    if list(edges) != sorted(set(edges)) or not edges:
        raise ConfigError(f"data.bins.{name}: edges must increase, not {list(edges)}", code="C02")
    texts = [f"{edge:g}" for edge in edges]
    names = [f"<{texts[0]}", *(f"{low}-{high}" for low, high in pairwise(texts)), f">={texts[-1]}"]
    cases = [
        Case(f"{name} is {cell!r}, not a number", "", row, "train", "D31")
        for row, cell in zip(ids, cells, strict=True)
        if not is_number(cell)
    ]
    if cases:
        raise DataError(f"{len(cases)} cells of column {name!r} are not numbers", code="D31", cases=cases)
    places = np.searchsorted(np.asarray(edges), [float(cell) for cell in cells], side="right")
    return [names[place] for place in places]


def superclasses(root: Path, data: Data) -> tuple[str, ...]:
    """The group of each class, in class order, from a column of `data.classes`; empty where none is named.

    Raises ConfigError where there is no such file or column.
    """
    if data.class_groups is None:
        return ()
    if data.classes is None:
        raise ConfigError("data.class_groups needs data.classes, the CSV with that column", code="C07")
    file = read_csv(root / data.classes, data.sep, data.encoding)
    if data.class_groups not in file.columns:
        hint = f"data.class_groups is one of {', '.join(file.columns[1:])}"
        close = did_you_mean(data.class_groups, file.columns)
        raise ConfigError(f"{file.path} has no column {data.class_groups!r}{close}", code="C07", hint=hint)
    place = file.columns.index(data.class_groups)
    return tuple(row[place] for row in file.rows)


def encode_labels(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Class numbers, int64 (rows,), of labels that are all classes."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[label] for label in labels], dtype=np.int64)
