"""Foreign tables: ids, folds and probabilities of another framework, with every cell checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from kit.data.csv_file import read_csv
from kit.data.spelling import number_of
from kit.data.table import Table
from kit.errors import MAX_CASES, Case, ConfigError, DataError, InvalidError, did_you_mean
from kit.kinds.targets import ONE_CLASS, Target

FOLD = "fold"  # the column with the number of the model that predicts a row
PARQUET = (".parquet", ".pq")
ROUNDED = 0.02  # maximum difference from 1 of a row's sum, for values with few digits
SUM_TOLERANCE = 1e-3  # of a sum that is not changed
HINT_LOGITS = "these look like logits: write the softmax of each row"


@dataclass(frozen=True)
class TableLayout:
    """The possible names of a foreign table's columns.

    `ids` are names of the id column; the first that the table has is used. `written` is the only class with a
    probability, in the column `alone`, as in a sample of two classes.
    """

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    target: Target = ONE_CLASS
    written: str | None = None
    alone: str = ""
    sep: str = ","
    encoding: str = "utf-8"


@dataclass(frozen=True, eq=False)
class ForeignTable:
    """Rows of a table: ids (N,), fold numbers (N,) or None, and probabilities (N, K) in the order of the classes."""

    path: Path
    ids: np.ndarray
    folds: np.ndarray | None
    probabilities: np.ndarray
    notes: tuple[str, ...]


def read_foreign_table(path: Path, layout: TableLayout) -> ForeignTable:
    """Reads a CSV or parquet table with one column per class, or the sample's one column of two classes.

    Columns are found by name. Other columns are not read, and a note names them.

    Raises DataError if the file is not a table. Raises InvalidError D40 for cells that are not probabilities,
    D41 for blank or duplicate ids, D42 for classes without a column.
    """
    cells, lines = _read_cells(path, layout)
    name = _id_column(path, cells, layout)
    ids = np.array(cells[name].tolist(), dtype=str)
    has_folds = FOLD in cells and FOLD not in layout.classes
    _check_ids(path, ids, lines, cells[FOLD].tolist() if has_folds else None)
    columns = _class_columns(path, cells, layout, name)
    values = np.stack([_numbers(path, cells[column], ids, lines) for column in columns.values()], axis=1)
    values, notes = _check_values(path, values, ids, lines, layout.target, whole=len(columns) > 1)
    if len(columns) == 1 and len(layout.classes) == 2:
        values = np.concatenate([values, 1 - values], axis=1)
        columns = {**columns, next(label for label in layout.classes if label not in columns): ""}
    order = [list(columns).index(label) for label in layout.classes]
    unread = [label for label in cells if label not in (name, FOLD, *columns.values())]
    if unread:
        notes = (
            *notes,
            f"columns not read: {', '.join(map(str, unread[:MAX_CASES]))}{' …' * (len(unread) > MAX_CASES)}",
        )
    folds = _fold_numbers(path, cells[FOLD], ids, lines) if has_folds else None
    return ForeignTable(path, ids, folds, values[:, order].astype(np.float32), notes)


def expand_answers(rows: ForeignTable, images: Table) -> ForeignTable:
    """Returns rows of answers as rows of their images, each with the prediction of its answer; rows of images stay.

    `images` is the table with the rows to predict.
    """
    if images.answers is None or set(rows.ids.tolist()) != set(images.answers.tolist()):
        return rows
    ids, at = images_of_answers(rows.ids, images)
    note = f"{len(np.unique(rows.ids))} answers: each of the {len(images)} images has the row of its answer"
    return replace(
        rows,
        ids=ids,
        folds=None if rows.folds is None else rows.folds[at],
        probabilities=rows.probabilities[at],
        notes=(*rows.notes, note),
    )


def images_of_answers(answers: np.ndarray, images: Table) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids of the images of each answer, and the row of each one's answer in `answers` (N,)."""
    own: dict[str, list[str]] = {}
    for image, answer in zip(images.ids.tolist(), np.asarray(images.answers).tolist(), strict=True):
        own.setdefault(answer, []).append(image)
    pairs = [(image, row) for row, answer in enumerate(answers.tolist()) for image in own[answer]]
    return np.array([image for image, _ in pairs], dtype=str), np.array([row for _, row in pairs], np.int64)


def _read_cells(path: Path, layout: TableLayout) -> tuple[pd.DataFrame, Sequence[int]]:
    """Returns all cells as text, and the line of each row."""
    if path.suffix.lower() not in PARQUET:
        hint = f"save it as CSV UTF-8, with {layout.sep!r} between the cells"
        file = read_csv(path, layout.sep, layout.encoding, fixed=hint)
        return file.frame(), file.lines
    if not path.is_file():
        raise DataError(f"no table {path}", code="D21", hint="give a CSV or parquet file")
    from pyarrow import ArrowException

    try:
        read = pd.read_parquet(path)
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a parquet file: {str(error).splitlines()[0]}", code="D70", hint="write it again"
        ) from None
    if read.index.name is not None and read.index.name not in read.columns:
        read = read.reset_index()
    read.columns = [str(column) for column in read.columns]
    if not len(read):
        raise DataError(f"{path} has no rows", code="D29", hint="check that the file is complete")
    return read.astype(str), range(1, len(read) + 1)


def _id_column(path: Path, cells: pd.DataFrame, layout: TableLayout) -> str:
    id_column = next((name for name in layout.ids if name in cells), None)
    if id_column is None:
        names = [str(column) for column in cells.columns]
        raise ConfigError(
            f"{path} has no column {layout.ids[0]!r}{did_you_mean(layout.ids[0], names)}",
            code="C07",
            hint=f"its columns: {', '.join(names[:MAX_CASES])}",
        )
    return id_column


def _check_ids(path: Path, ids: np.ndarray, lines: Sequence[int], folds: Sequence[str] | None) -> None:
    """Raises InvalidError D41 for blank ids, and for duplicate ids in one fold."""
    keys = ids.tolist() if folds is None else list(zip(ids.tolist(), folds, strict=True))
    first: dict[object, int] = {}
    cases = []
    for row, key in enumerate(keys):
        if not ids[row].strip():
            cases.append(Case(f"line {lines[row]}: blank id", str(path), code="D41"))
        elif first.setdefault(key, row) != row:
            detail = f"lines {lines[first[key]]} and {lines[row]} have the same id"
            cases.append(Case(detail, id=str(ids[row]), code="D41"))
    if cases:
        raise InvalidError(
            f"{path}: {len(cases)} rows have a blank id, or the id of another row",
            code="D41",
            cases=cases,
            hint="write each id once; for one row per model add a column fold",
        )


def _class_columns(path: Path, cells: pd.DataFrame, layout: TableLayout, ids: str) -> dict[str, str]:
    """Returns the column of each class that has one."""
    wide = {name: name for name in layout.classes if name in cells and name != ids}
    if len(wide) == len(layout.classes):
        return wide
    alone = {} if layout.written is None or layout.alone not in cells else {layout.written: layout.alone}
    if alone and wide in ({}, alone):
        return alone
    missing = [name for name in layout.classes if name not in wide]
    others = [str(name) for name in cells.columns if name not in (ids, FOLD, *wide)]
    cases = [Case(f"no column{did_you_mean(name, others)}", name, code="D42") for name in missing]
    raise InvalidError(
        f"{path} lacks the columns of {len(missing)} of {len(layout.classes)} classes",
        code="D42",
        cases=cases,
        hint="write one column of probabilities per class, with the name of the class"
        + (f", or the column {layout.alone!r} of the sample" if layout.written is not None else ""),
    )


def _numbers(path: Path, column: pd.Series, ids: np.ndarray, lines: Sequence[int]) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        what = "not finite numbers"
        raise _wrong_cells(path, column, ids, lines, bad, what, "D40", "write a probability into each cell")
    return values


def _wrong_cells(
    path: Path,
    column: pd.Series,
    ids: np.ndarray,
    lines: Sequence[int],
    bad: np.ndarray,
    what: str,
    code: str,
    hint: str,
) -> InvalidError:
    """Returns an error on cells of a column, at these positions, that are `what`."""
    cases = [
        Case(
            f"line {lines[row]}: {column.iloc[row]!r} in column {column.name!r}", id=str(ids[row]), code=code
        )
        for row in bad[:MAX_CASES]
    ]
    text = f"{path}: {len(bad)} cells of column {column.name!r} are {what}"
    return InvalidError(text, code=code, cases=cases, hint=hint)


def _check_values(
    path: Path, values: np.ndarray, ids: np.ndarray, lines: Sequence[int], target: Target, whole: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the values, with rounded rows divided by their sums.

    Raises InvalidError D40 if they are not probabilities.
    """
    if not target.is_probability:
        return values, ()
    sums = values.sum(axis=1)
    must_sum = whole and target.sums_to_one
    outside = ((values < 0) | (values > 1)).any(axis=1)
    wrong = np.flatnonzero(outside | (must_sum & (np.abs(sums - 1) > ROUNDED)))
    if len(wrong):
        low, high = values.min(), values.max()
        cases = [
            Case(
                f"line {lines[row]}: from {values[row].min():.4g} to {values[row].max():.4g}, sum {sums[row]:.4g}",
                id=str(ids[row]),
                code="D40",
            )
            for row in wrong[:MAX_CASES]
        ]
        raise InvalidError(
            f"{path}: {len(wrong)} of {len(values)} rows are not probabilities; the values are from {low:.4g} to "
            f"{high:.4g}",
            code="D40",
            cases=cases,
            hint=_hint(values, sums, bool(outside.any()), target),
        )
    if not must_sum or (np.abs(sums - 1) <= SUM_TOLERANCE).all():
        return values, ()
    return values / sums[:, None], (
        f"sums of rows from {sums.min():.4f} to {sums.max():.4f}: kit divided each row by its sum",
    )


def _hint(values: np.ndarray, sums: np.ndarray, outside: bool, target: Target) -> str:
    if not outside:
        return "divide each row by its sum, if its values are probabilities"
    if values.min() >= 0 and values.max() <= 100 and np.allclose(sums, 100, atol=1):
        return "these look like percentages: divide them by 100"
    return (
        HINT_LOGITS
        if target.sums_to_one
        else HINT_LOGITS.replace("softmax of each row", "sigmoid of each cell")
    )


def _fold_numbers(path: Path, column: pd.Series, ids: np.ndarray, lines: Sequence[int]) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~(np.isfinite(values) & (values == np.round(values)) & (values >= -1)))
    if len(bad):
        raise _wrong_cells(path, column, ids, lines, bad, "not fold numbers", "D43", "folds count from 0")
    return values.astype(np.int64)


def check_same_ids(path: Path, ids: Iterable[str], wanted: Iterable[str], rows: str) -> None:
    """Raises InvalidError D41 if a table has other ids than its rows should have; `rows` names them."""
    has, needs = set(ids), set(wanted)
    extra, missing = sorted(has - needs), sorted(needs - has)
    if not extra and not missing:
        return
    cases = [Case(f"is missing from {path.name}", id=name, code="D41") for name in missing[:MAX_CASES]]
    cases += [Case(f"is not one of the {rows}", id=name, code="D41") for name in extra[:MAX_CASES]]
    raise InvalidError(
        f"{path} does not have the ids of the {len(needs)} {rows}: {len(missing)} missing, {len(extra)} extra",
        code="D41",
        cases=cases,
        hint=_id_hint(extra, missing),
    )


def _id_hint(extra: Sequence[str], missing: Sequence[str]) -> str:
    numbers = {number_of(name) for name in missing} - {None}
    if extra and all(number_of(name) in numbers for name in extra):
        return "the ids lost zeros or became numbers: read them as text"
    stems = {name.rpartition(".")[0] for name in extra}
    if extra and missing and set(missing) <= stems:
        return "remove the file extension from the ids"
    return "write one row for each id"
