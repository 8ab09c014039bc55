"""Decides whether the cells of a label's column have several labels each, and which separator they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from kit.data.labels import split_cell

SEPARATORS = ("|", ";", ",", " ")
# shares of the labels or cells that are evidence for a list; a few misspelt cells decide nothing
RECURRING = 0.9  # share of the labels that occur in two different cells or more
MIN_SINGLE = 0.8  # share of the labels with their own cell, or of the cells made of such labels
UNCLEAR = 0.5  # share from which the user is asked
MAX_DOUBLE = (
    0.05  # share of lists with a duplicate label, which names often have and the table's reader refuses (D19)
)
MIN_SORTED = 5  # lists in alphabetical order, which is unlikely for names


@dataclass(frozen=True)
class Separation:
    """The possible separator of the labels of a cell, the evidence in words, and whether it is clear."""

    separator: str
    why: str
    is_clear: bool


def separator_of(
    cells: Iterable[str], classes: Sequence[str] = (), sample: Iterable[str] = ()
) -> Separation | None:
    """Returns the separator of labels in `cells`, the training rows' labels; None if they are surely single labels.

    No separator may split one of the known `classes`. `sample` are the sample submission's cells.
    """
    different = sorted({cell.strip() for cell in cells if cell.strip()})
    sample_cells = {cell.strip() for cell in sample}
    unclear = None
    for separator in SEPARATORS:
        if any(split_cell(name, separator) != (name,) for name in classes):
            continue
        rows = [split_cell(cell, separator) for cell in different]
        lists = [row for row in rows if len(row) > 1]
        double = sum(len(set(row)) < len(row) for row in lists)
        if not lists or double > MAX_DOUBLE * len(lists):
            continue
        why = _evidence(rows, lists, separator, sample_cells)
        if why:
            return Separation(separator, f"{_count_rows(rows)}; {why}", True)
        if unclear is None and _may_be_lists(rows, lists):
            unclear = Separation(separator, _count_rows(rows), False)
    return unclear


def _evidence(
    rows: Sequence[tuple[str, ...]], lists: Sequence[tuple[str, ...]], separator: str, sample: set[str]
) -> str:
    """Returns the evidence that cells are lists of labels, in words; empty if there is none.

    Names of several words look like lists separated by a blank, so a blank needs more evidence.
    """
    counts = Counter(label for row in rows for label in row)
    alone = {row[0] for row in rows if len(row) == 1}
    combined = sum(alone.issuperset(row) for row in lists)
    if len({len(row) for row in rows}) > 1 and len(counts) < len(rows):
        # two lists at least, because "hot", "dog" and "hot dog" are three dishes; two labels have only one
        # combination
        if combined >= MIN_SINGLE * len(lists) and (
            combined > 1 or len(counts) == 2 or not separator.isspace()
        ):
            return f"{combined} of {len(lists)} combinations are made of labels that have cells of their own"
        if _share_of_recurring(counts) >= RECURRING:
            if not separator.isspace():
                return "nearly every label is in several cells"
            if all(label.isdigit() for label in counts):
                return "all labels are numbers"
            if len(alone) >= MIN_SINGLE * len(counts):
                return "nearly every label has a cell of its own"
            if len(lists) >= MIN_SORTED and all(list(row) == sorted(row) for row in lists):
                return "the labels of each cell are in alphabetical order"
            if _in_both_orders(lists):
                return "the same labels are in different orders"
    if _sample_lists(sample, set(map(separator.join, rows)), set(counts), separator):
        return "the sample's cells are made of the same labels in other combinations"
    return ""


def _may_be_lists(rows: Sequence[tuple[str, ...]], lists: Sequence[tuple[str, ...]]) -> bool:
    """Whether the cells could be lists as well as names. Names with equal numbers of words are names."""
    counts = Counter(label for row in rows for label in row)
    alone = {row[0] for row in rows if len(row) == 1}
    if len({len(row) for row in rows}) < 2:
        return False
    combined = sum(alone.issuperset(row) for row in lists)
    return combined > 0 or (len(rows) > 2 and _share_of_recurring(counts) >= UNCLEAR)


def _share_of_recurring(counts: Counter[str]) -> float:
    return sum(count > 1 for count in counts.values()) / len(counts)


def _in_both_orders(lists: Sequence[tuple[str, ...]]) -> bool:
    pairs = {pair for row in lists for pair in combinations(row, 2)}
    return any((second, first) in pairs for first, second in pairs)


def _sample_lists(sample: set[str], cells: set[str], labels: set[str], separator: str) -> bool:
    """Whether the sample has cells of several known labels that are not cells of the training rows."""
    rows = {cell: split_cell(cell, separator) for cell in sample}
    lists = [row for cell, row in rows.items() if len(row) > 1 and separator.join(row) not in cells]
    return bool(lists) and all(labels.issuperset(row) for row in lists)


def _count_rows(rows: Sequence[tuple[str, ...]]) -> str:
    labels, most = {label for row in rows for label in row}, max(map(len, rows))
    return f"{len(labels)} labels in {len(rows)} different cells, up to {most} in one"
