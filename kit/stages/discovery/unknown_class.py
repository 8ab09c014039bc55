"""Finds a class that the sample names and no training row has, such as new_whale; or class names with
underscores for blanks.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from kit.data.labels import SEPARATORS
from kit.data.spelling import fold_spelling, number_of
from kit.stages.discovery.file_scan import TableFile

NUMBER = "-1"  # the only number that is accepted as such a class


def find_unknown_class(sample: TableFile | None, labels: Collection[str]) -> tuple[str | None, str]:
    """Returns the class and the finding in words; None unless the cells of one column are labels and one other name."""
    if sample is None or len(labels) < 2:
        return None, ""
    known = set(labels)
    for column in sample.columns[1:]:
        if column in known:
            continue  # a class has this column, so its cells are not labels
        name = _find_in(sample.values(column), known)
        if name is not None:
            spec = json.dumps(
                {"name": "unknown_class", "label": name, "unknown_rate": 0.1}, ensure_ascii=False
            )
            text = (
                f"{sample.name}: no training row has the class {name!r}; kit blend RUN --ensembler '{spec}' "
            )
            return name, f"{text}predicts it, with the fraction of test rows that you expect"
    return None, ""


def find_underscores(sample: TableFile | None, labels: Collection[str]) -> tuple[dict[str, str], str]:
    """Returns the labels with blanks and their names with underscores, if the sample's cells use those; and
    the finding in words.

    Quick, Draw! has the class `alarm clock` and its submission `alarm_clock cat dog`.
    """
    renamed = {label: label.replace(" ", "_") for label in labels if " " in label}
    if sample is None or not renamed or set(renamed.values()) & set(labels):
        return {}, ""
    words_of_cells = {
        word for name in sample.columns[1:] for cell in sample.values(name) for word in cell.split()
    }
    with_underscores = sorted(words_of_cells & set(renamed.values()))
    if not with_underscores or not words_of_cells <= {*renamed.values(), *labels}:
        return {}, ""
    text = f"{sample.name}: labels have underscores for blanks, such as {with_underscores[0]}: data.label_from.rename"
    return dict(sorted(renamed.items())), text


def _find_in(cells: Collection[str], known: set[str]) -> str | None:
    """Returns the only name among cells, or among their parts, that is not a label, if another one is."""
    for separator in (None, *SEPARATORS):
        name = _find_stranger(cells, known, separator)
        if name is None or any(part in known for by in SEPARATORS for part in name.split(by)):
            continue  # several labels, or a label with its confidence
        is_label = not name.strip() or fold_spelling(name) in set(map(fold_spelling, known))
        return None if is_label or (number_of(name) is not None and name != NUMBER) else name
    return None


def _find_stranger(cells: Collection[str], known: set[str], separator: str | None) -> str | None:
    """Returns the only part that is not a label.

    It stops at the second, because a sample may have many probabilities.
    """
    strange, has_label = None, False
    for cell in cells:
        for part in [cell] if separator is None else cell.split(separator):
            if part in known:
                has_label = True
            elif strange not in (None, part):
                return None
            else:
                strange = part
    return strange if has_label else None
