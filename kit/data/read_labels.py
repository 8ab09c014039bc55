"""Read labels: what the labels of source rows are, as the config says, and the labels themselves."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data import label_values, labels, part_labels
from kit.data.class_names import ClassNames, check_labels, find_classes
from kit.data.labels import Factors, class_factors
from kit.data.rows import SourceRows
from kit.data.spelling import Spelled, quote, rename_labels
from kit.errors import MAX_CASES, ConfigError, KitWarning
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, SOFT, Target

if TYPE_CHECKING:
    from kit.config.models import Data

Labelled = tuple[np.ndarray, tuple[str, ...], Factors, tuple[Spelled, ...]]


def read_labels(root: Path, data: Data, rows: SourceRows) -> tuple[Target, Labelled]:
    """What the labels are, and the labels."""
    if data.target == "numbers":
        return NUMBERS, (*label_values.read_numbers(root, data, rows.columns, rows.ids), (), ())
    if data.target == "shares":
        return SOFT, (*label_values.read_shares(root, data, rows.columns, rows.ids), (), ())
    if data.target == "several":
        values, names = part_labels.read_parts(root, data, rows.columns, rows.ids)
        return SeveralTarget.of(names), (values, names, (), ())
    return MULTI_HOT if data.is_multi_label else ONE_CLASS, _labels_of_classes(root, data, rows)


def _labels_of_classes(root: Path, data: Data, rows: SourceRows) -> Labelled:
    """Class numbers or multi-hot labels, the classes, the values that make up each class, and all spellings."""
    if data.is_multi_label and data.label_parts:
        raise ConfigError("data.label_parts needs one label per row", code="C07", hint="data.label_parts=[]")
    if data.label_is_columns:
        classes = labels.class_columns(root, data, rows.columns)
        return labels.multi_hot_from_columns(rows.columns, classes, rows.ids), classes, (), ()
    parts, separator = labels.label_parts(rows.columns, data, rows.ids), data.label_separator
    if separator is None:
        made = labels.compose_labels(parts, data, rows.ids)
        found, texts = _classes(
            root,
            data,
            [(row, label) for row, label in zip(rows.ids, made, strict=True)],
            "{} training rows have a label outside the {} classes",
        )
        factors = class_factors(root, data, found.names, texts, parts)
        return labels.encode_labels(texts, found.names), found.names, factors, _spellings(made, texts)
    cells = labels.split_labels(parts, data, separator)
    flat = [(row, label) for row, cell in zip(rows.ids, cells, strict=True) for label in cell]
    found, texts = _classes(root, data, flat, "{} labels of training rows are outside the {} classes")
    labels.check_separator(found.names, separator)
    left = iter(texts)
    spelled = [tuple(next(left) for _ in cell) for cell in cells]
    hot = labels.multi_hot(spelled, found.names, rows.ids)
    return hot, found.names, (), _spellings([label for _, label in flat], texts)


def _classes(
    root: Path, data: Data, rows: Sequence[tuple[str, str]], outside: str
) -> tuple[ClassNames, list[str]]:
    """The classes, and that of each label; `rows` are ids with labels as made. Raises DataError D24, D32."""
    made = [label for _, label in rows]
    plain = rename_labels(made, data.label_from.rename)
    found = find_classes(root, data, set(plain))
    texts = found.of(plain)
    given = zip(rows, texts, strict=True)
    check_labels(found, [(row, label, text) for (row, label), text in given], data, outside)
    if found.spelled:
        known = set(plain)
        shown = [
            f"{quote(label)} is {quote(found.spelled[label])}" for label in sorted(known & {*found.spelled})
        ]
        more = f" and {len(shown) - MAX_CASES} more" if len(shown) > MAX_CASES else ""
        by = f", spelled as in {found.source}" if found.shown else ""
        text = f"W40 labels that are equal as numbers are one class{by}: {', '.join(shown[:MAX_CASES])}{more}"
        warnings.warn(KitWarning(text), stacklevel=4)
    return found, texts


def _spellings(made: Sequence[str], texts: Sequence[str]) -> tuple[Spelled, ...]:
    counts = Counter(zip(made, texts, strict=True))
    return tuple(Spelled(label, name, rows) for (label, name), rows in sorted(counts.items()))
