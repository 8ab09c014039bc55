"""Sample answers: which answer each row of sample submission belongs to, as its format says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import ConfigError, PluginError
from kit.kinds import Format, registry

if TYPE_CHECKING:
    import pandas as pd

    from kit.data.csv_file import CsvFile


def find_answers(root: Path, sample: pd.DataFrame, classes: Sequence[str], spec: Any = None) -> list[str]:
    """For each row of a sample the id of the answer that it is a part of.

    `spec` is the config's format. Without one, a format with ids of its own that knows the sample decides, if there
    is one. Else each row's first cell is the id. Raises ConfigError and PluginError for the format of a spec.
    """
    if spec is not None:
        return Format.open(spec, root, where="format").ids(sample, classes)
    first = list(map(str, sample.iloc[:, 0]))
    known = [shape.ids(sample, classes) for shape in formats_with_ids(root) if shape.matches(sample, classes)]
    return known[0] if known and all(ids == known[0] for ids in known) else first


def formats_with_ids(root: Path) -> list[Format]:
    """The formats whose ids are not the first column's cells, without those that have options to be given."""
    found = []
    for name in registry.locations("format", root):
        try:
            shape = Format.open(name, root)
        except (ConfigError, PluginError):  # choose_format reports it
            continue
        if type(shape).ids is not Format.ids:
            found.append(shape)
    return found


def one_row_per_answer(file: CsvFile, ids: Sequence[str]) -> CsvFile:
    """The first row of each answer, with its id in the first cell; the file as it is where those cells are the ids."""
    if ids == file.column(file.columns[0]):
        return file
    firsts: dict[str, int] = {}
    for row, name in enumerate(ids):
        firsts.setdefault(name, row)
    rows = tuple((name, *file.rows[row][1:]) for name, row in firsts.items())
    return replace(file, rows=rows, lines=[file.lines[row] for row in firsts.values()])
