"""Whether the cells of a label's column hold several labels each, and what separates them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kit.tables.multi_labels import parts

SEPARATORS = ("|", ";", ",", " ")
SHARED = 0.9  # of the labels must stand in two different cells or more
ALONE = 0.8  # of the labels must have a cell of their own where blanks separate, for many a name has a blank


def separator_of(cells: Iterable[str], classes: Sequence[str] = ()) -> tuple[str, str] | None:
    """The separator of labels in cells, and what speaks for it; None where cells are single labels.

    Cells are lists where their parts are fewer than they are, of unlike number, and come in other company too. No
    separator takes known `classes` apart.
    """
    different = sorted({cell for cell in cells if cell.strip()})
    for separator in SEPARATORS:
        if all(parts(name, separator) == (name,) for name in classes) and _are_lists(different, separator):
            labels = {label for cell in different for label in parts(cell, separator)}
            most = max(len(parts(cell, separator)) for cell in different)
            return separator, f"{len(labels)} labels in {len(different)} different cells, up to {most} in one"
    return None


def _are_lists(cells: Sequence[str], separator: str) -> bool:
    rows = [parts(cell, separator) for cell in cells]
    counts = Counter(label for row in rows for label in row)
    if len({len(row) for row in rows}) < 2 or any(len(set(row)) < len(row) for row in rows):
        return False
    if len(counts) >= len(rows) or sum(count > 1 for count in counts.values()) < SHARED * len(counts):
        return False
    if not separator.isspace() or all(label.isdigit() for label in counts):
        return True
    alone = {row[0] for row in rows if len(row) == 1}
    return len(alone) >= ALONE * len(counts)
