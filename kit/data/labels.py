"""Labels of rows and their classes: the classes, their order, and the sample's spelling."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data import label_columns, label_values, part_labels
from kit.data.class_factors import Factors, class_factors
from kit.data.csv_file import CsvFile, read_class_list, read_table
from kit.data.image_paths import columns_of, fill
from kit.data.rows import SourceRows
from kit.data.spelling import Spelled, as_numbers, fold_spelling, number_of, quote, rename_labels, rename_line
from kit.errors import MAX_CASES, Case, ConfigError, DataError, KitError, KitWarning, did_you_mean
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, SOFT, Target

if TYPE_CHECKING:
    from kit.config.models import Data

Cells = list[tuple[str, ...]]
Labelled = tuple[np.ndarray, tuple[str, ...], Factors, tuple[Spelled, ...]]
SEPARATORS = (" ", ",", ";", "|", "/", "+", "_")  # separator of labels in a cell of a sample
PAIRS = 3  # this many labels that occur in both cases are meant, not a slip
MAX_SUGGESTIONS = 50  # wrong labels whose nearest class is searched


def read_labels(root: Path, data: Data, rows: SourceRows) -> tuple[Target, Labelled]:
    """Returns the target and the labels."""
    if data.target == "numbers":
        return NUMBERS, (*label_values.read_numbers(root, data, rows.columns, rows.ids), (), ())
    if data.target == "shares":
        return SOFT, (*label_values.read_shares(root, data, rows.columns, rows.ids), (), ())
    if data.target == "several":
        target, values, names = part_labels.read_parts(data, rows.columns, rows.ids)
        return target, (values, names, (), ())
    return MULTI_HOT if data.is_multi_label else ONE_CLASS, _labels_of_classes(root, data, rows)


def _labels_of_classes(root: Path, data: Data, rows: SourceRows) -> Labelled:
    """Returns class numbers or multi-hot labels, the classes, the values that make up each class, and all spellings."""
    if data.is_multi_label and data.label_parts:
        raise ConfigError("data.label_parts needs one label per row", code="C07", hint="data.label_parts=[]")
    if data.label_is_columns:
        classes = label_columns.class_columns(root, data, rows.columns)
        return label_columns.multi_hot_from_columns(rows.columns, classes, rows.ids), classes, (), ()
    parts, separator = label_parts(rows.columns, data, rows.ids), data.label_separator
    if separator is None:
        labels = compose_labels(parts, data, rows.ids)
        class_names, texts = _classes(
            root,
            data,
            [(row, label) for row, label in zip(rows.ids, labels, strict=True)],
            "{} training rows have a label outside the {} classes",
        )
        factors = class_factors(root, data, class_names.names, texts, parts) if data.label_parts else ()
        return encode_labels(texts, class_names.names), class_names.names, factors, _spellings(labels, texts)
    cells = split_labels(parts, data, separator)
    flat = [(row, label) for row, cell in zip(rows.ids, cells, strict=True) for label in cell]
    class_names, texts = _classes(root, data, flat, "{} labels of training rows are outside the {} classes")
    check_separator(class_names.names, separator)
    left = iter(texts)
    spelled = [tuple(next(left) for _ in cell) for cell in cells]
    hot = multi_hot(spelled, class_names.names, rows.ids)
    return hot, class_names.names, (), _spellings([label for _, label in flat], texts)


def _classes(
    root: Path, data: Data, rows: Sequence[tuple[str, str]], outside: str
) -> tuple[ClassNames, list[str]]:
    """Returns the classes, and that of each label; `rows` are ids with labels as made. Raises DataError D24, D32."""
    labels = [label for _, label in rows]
    plain = rename_labels(labels, data.label_from.rename)
    class_names = find_classes(root, data, set(plain))
    texts = class_names.of(plain)
    given = zip(rows, texts, strict=True)
    check_labels(class_names, [(row, label, text) for (row, label), text in given], data, outside)
    if class_names.spelled:
        known = set(plain)
        examples = [
            f"{quote(label)} is {quote(class_names.spelled[label])}"
            for label in sorted(known & {*class_names.spelled})
        ]
        more = f" and {len(examples) - MAX_CASES} more" if len(examples) > MAX_CASES else ""
        by = f", spelled as in {class_names.source}" if class_names.sample_labels else ""
        text = (
            f"W40 labels that are equal as numbers are one class{by}: {', '.join(examples[:MAX_CASES])}{more}"
        )
        warnings.warn(KitWarning(text), stacklevel=4)
    return class_names, texts


def _spellings(labels: Sequence[str], texts: Sequence[str]) -> tuple[Spelled, ...]:
    counts = Counter(zip(labels, texts, strict=True))
    return tuple(Spelled(label, name, rows) for (label, name), rows in sorted(counts.items()))


def label_parts(
    columns: Mapping[str, Sequence[str]], data: Data, ids: Sequence[str]
) -> dict[str, Sequence[str]]:
    """Returns the parts that a label may be made of, one text per row: the columns, words for files, number ranges.

    Raises DataError D30 for a file without a word, D31 for a value that is not a number.
    """
    parts = dict(columns)
    if data.label_from.one_hot:
        parts[label_columns.LABEL] = label_columns.names_of_ones(columns, data.label_from.one_hot, ids)
    if "file" in columns_of(str(data.label)) and data.label_from.files:
        parts["file"] = label_columns.words_of_files(columns["file"], data.label_from.files, ids)
    for name, edges in data.label_from.bins.items():
        parts[name] = label_columns.ranges_of_numbers(
            fill(name, columns, "data.label_from.bins"), name, edges, ids
        )
    return parts


def compose_labels(parts: Mapping[str, Sequence[str]], data: Data, ids: Sequence[str]) -> list[str]:
    """Returns every row's label as text, by the column or pattern `data.label`, before `data.label_from.rename`.

    Raises DataError D30 for a row without a visible label.
    """
    labels = fill(str(data.label), parts, "data.label")
    blank = [
        Case("no label", "", row, "train", "D30")
        for row, label in zip(ids, rename_labels(labels, data.label_from.rename), strict=True)
        if not fold_spelling(label)
    ]
    if blank:
        raise DataError(f"{len(blank)} training rows have no label", code="D30", cases=blank)
    return labels


def encode_labels(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Returns class numbers, int64 (rows,), of labels that are all classes."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[label] for label in labels], dtype=np.int64)


def split_labels(columns: Mapping[str, Sequence[str]], data: Data, separator: str) -> Cells:
    """Returns every row's labels, by the column or pattern `data.label`, before `data.label_from.rename`.

    A row may have no label.
    """
    return [split_cell(cell, separator) for cell in fill(str(data.label), columns, "data.label")]


def split_cell(cell: str, separator: str) -> tuple[str, ...]:
    """Returns the labels in a cell, stripped. Empty text between two separators is not a label."""
    texts = cell.split() if separator.isspace() else map(str.strip, cell.split(separator))
    return tuple(part for part in texts if part)


def check_separator(classes: Sequence[str], separator: str) -> None:
    """Raises ConfigError C07 for classes that the separator would split."""
    torn = [name for name in classes if split_cell(name, separator) != (name,)]
    if torn:
        raise ConfigError(
            f"data.label_separator {separator!r} occurs in the names of {len(torn)} classes",
            code="C07",
            cases=torn,
            hint="data.label_separator=null if a cell is one label",
        )


def multi_hot(cells: Cells, classes: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """Returns 0 and 1, int8 (rows, classes), of labels that are all classes.

    Raises DataError D19 for a duplicate label.
    """
    number = {name: index for index, name in enumerate(classes)}
    _refuse_double(cells, ids)
    hot = np.zeros((len(cells), len(classes)), dtype=np.int8)
    for row, labels in enumerate(cells):
        hot[row, [number[label] for label in labels]] = 1
    return hot


def _refuse_double(cells: Cells, ids: Sequence[str]) -> None:
    cases = [
        Case(f"has {_double(labels)!r} twice", id=row, split="train", code="D19")
        for row, labels in zip(ids, cells, strict=True)
        if len(set(labels)) < len(labels)
    ]
    if cases:
        raise DataError(f"{len(cases)} training rows have a label twice", code="D19", cases=cases)


def _double(labels: tuple[str, ...]) -> str:
    return next(label for label in labels if labels.count(label) > 1)


@dataclass(frozen=True)
class ClassNames:
    """The classes in order, and the origin of their spelling."""

    names: tuple[str, ...]
    spelled: Mapping[str, str]  # label -> its class, for labels that are written as another number
    sample_labels: tuple[str, ...] = ()  # labels with a known spelling
    source: str = ""  # the file that shows them
    is_complete: bool = False  # whether all classes are shown

    def of(self, labels: Iterable[str]) -> list[str]:
        """Returns the class of each label. A label that is not a class stays as it is."""
        return [self.spelled.get(label, label) for label in labels]


def find_classes(root: Path, data: Data, labels: Collection[str]) -> ClassNames:
    """Returns the classes of these labels: of `data.class_list`, else of the sample's columns (one per
    class), else all labels.

    Labels that are equal as numbers are one class. The class's name is the sample's spelling, else that of
    `data.class_list`. `data.unknown_class` is the last class if it is not among them. Raises DataError for
    tables that cannot be read, D24 for a class that is listed twice.
    """
    class_names, more = _find_known_classes(root, data, labels), data.unknown_class
    return (
        class_names
        if more is None or more in class_names.names
        else replace(class_names, names=(*class_names.names, more))
    )


def _find_known_classes(root: Path, data: Data, labels: Collection[str]) -> ClassNames:
    """Returns the classes, without one that has no training row."""
    labels = set(labels)
    listed = _read_class_list(root, data)
    sample = _sample(root, data)
    if listed:
        sample_labels = labels_of_sample(sample, listed, data) if sample else ()
        renamed = as_numbers(listed, sample_labels)
        names = tuple(renamed.get(name, name) for name in listed)
        names = names if len(set(names)) == len(names) else listed
        by_list, right = as_numbers(labels, listed), dict(zip(listed, names, strict=True))
        listed_names = {label: by_list.get(label, label) for label in labels}
        spelled = {label: right.get(name, name) for label, name in listed_names.items()}
        return ClassNames(names, _find_respellings(spelled), names, str(data.class_list), is_complete=True)
    if sample and _is_column_a_class(sample.columns[1:], labels):
        columns = sample.columns[1:]
        return ClassNames(columns, as_numbers(labels, columns), columns, str(data.sample), is_complete=True)
    sample_labels = labels_of_sample(sample, labels, data) if sample else ()
    spelled = as_numbers(labels, sample_labels)
    names = tuple(sorted({spelled.get(label, label) for label in labels}, key=_rank(labels)))
    return ClassNames(names, spelled, sample_labels, str(data.sample))


def _find_respellings(spelled: Mapping[str, str]) -> dict[str, str]:
    return {label: name for label, name in spelled.items() if label != name}


def _read_class_list(root: Path, data: Data) -> tuple[str, ...]:
    if not data.class_list:
        return ()
    file = read_class_list(root, data)
    names = [row[0] for row in file.rows]
    double = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if double:
        raise DataError(f"{file.path} lists {len(double)} classes twice", code="D24", cases=double)
    return tuple(names)


def _sample(root: Path, data: Data) -> CsvFile | None:
    """Returns the sample submission. If the classes are listed, training does not need a readable one."""
    if not data.sample:
        return None
    with suppress(KitError) if data.class_list else nullcontext():
        return read_table(root, data, data.sample)
    return None


def _is_column_a_class(columns: Sequence[str], labels: Collection[str]) -> bool:
    """Whether more than half of the columns are labels, even if some are misspelt."""
    known = set(map(fold_spelling, labels))
    return len(columns) > 1 and sum(fold_spelling(column) in known for column in columns) * 2 > len(columns)


def labels_of_sample(sample: CsvFile, labels: Collection[str], data: Data) -> tuple[str, ...]:
    """Returns the labels that a sample submission shows, in its spelling: its columns', those in its cells, or none.

    A column holds labels if at least half of its distinct cells, whole or in parts, are labels.
    """
    columns = sample.columns[1:]
    if _is_column_a_class(columns, labels):
        return columns
    known = set(map(fold_spelling, labels))
    labels_by_column = {
        name: _in_cells(set(sample.column(name)) - {""}, known, data.label_separator) for name in columns
    }
    best = max(columns, key=lambda name: (name == data.label, len(labels_by_column[name])), default=None)
    best_labels = labels_by_column[best] if best is not None else ()
    if not best_labels and len(columns) == 1 and fold_spelling(columns[0]) in known:
        return (columns[0],)  # the column of a probability, named for the class
    return best_labels


def _in_cells(cells: set[str], known: set[str], separator: str | None) -> tuple[str, ...]:
    """Returns the labels among distinct cells, or among their parts; empty if fewer than half are labels."""
    separators = ([separator] if separator else []) + [
        candidate for candidate in SEPARATORS if candidate != separator
    ]
    for parts in (
        cells,
        *({part.strip() for cell in cells for part in cell.split(by)} - {""} for by in separators),
    ):
        labels = sorted(part for part in parts if fold_spelling(part) in known)
        # numbers of which some are not labels are probabilities
        needed = len(parts) if all(number_of(part) is not None for part in parts) else len(parts) / 2
        if labels and len(labels) >= needed:
            return tuple(labels)
    return ()


def _rank(labels: Collection[str]) -> Callable[[str], tuple[Fraction, str]]:
    """Returns the sort key of labels: by value if all are numbers, else as text."""
    if all(number_of(label) is not None for label in labels):
        return lambda label: (number_of(label) or Fraction(0), label)
    return lambda label: (Fraction(0), label)


Row = tuple[str, str, str]  # its id; a label of it as in the table; the same as its class would be called


def check_labels(class_names: ClassNames, rows: Sequence[Row], data: Data, outside: str) -> None:
    """Raises DataError D32 for labels that are not a class, or that the sample spells differently.

    `outside` is the summary for labels that are not a class, with a placeholder for their number.
    """
    labels = {label for _, _, label in rows}
    right = _find_misspelt(class_names, labels)
    wrong = labels - set(class_names.names) | set(right)
    if not wrong:
        return
    meant = {
        label: _describe_meaning(label, right, class_names.names, number)
        for number, label in enumerate(sorted(wrong))
    }
    says = "is not a class" if class_names.is_complete else f"is spelled differently in {class_names.source}"
    bad = [(row, composed, label) for row, composed, label in rows if label in wrong]
    more = {composed: right[label] for _, composed, label in bad if label in right}
    hints = [rename_line(data.label_from.rename, more)] if more else []
    if class_names.is_complete:
        text = outside.format(len(bad), len(class_names.names))
        hints += (
            ["the classes come from data.class_list, otherwise from the sample's columns"]
            if len(right) < len(wrong)
            else []
        )
    else:
        text = f"{len(bad)} labels of training rows are spelled differently in {class_names.source}"
        hints += ["if they are separate classes: set data.class_list to a CSV that lists all classes"]
    cases = [
        Case(f"label {quote(label)} {says}{meant[label]}", "", row, "train", "D32") for row, _, label in bad
    ]
    raise DataError(text, code="D32", cases=cases, hint="; ".join(hints))


def _find_misspelt(class_names: ClassNames, labels: Collection[str]) -> dict[str, str]:
    """Returns the right spelling of each label that is not spelled as in the sample or the class list."""
    sample_labels = set(class_names.sample_labels)
    by_key: dict[str, set[str]] = defaultdict(set)
    for name in sample_labels:
        by_key[fold_spelling(name)].add(name)
    right = {
        label: next(iter(names))
        for label in labels
        if label not in sample_labels and len(names := by_key.get(fold_spelling(label), set())) == 1
    }
    if class_names.is_complete:
        return right
    # classes that differ only by case are meant if they are many, or if they are letters: A and a
    cased = {label for label, name in right.items() if name in labels and label.casefold() == name.casefold()}
    if len(cased) < PAIRS or len(cased) * 4 < len(labels):
        cased = {label for label in cased if len(label) == 1}
    return {label: name for label, name in right.items() if label not in cased}


def _describe_meaning(label: str, right: Mapping[str, str], names: Sequence[str], number: int) -> str:
    if label in right:
        return f"; did you mean {quote(right[label])}?"
    return did_you_mean(label, names) if number < MAX_SUGGESTIONS else ""
