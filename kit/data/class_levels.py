"""The parents of each class, such as genus and family: from columns, or from a list of children and parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kit.data.class_factors import check_blank, values_of_classes
from kit.data.csv_file import read_table
from kit.errors import Case, ConfigError, DataError, did_you_mean
from kit.kinds.levels import Level
from kit.kinds.targets import LabelKind

if TYPE_CHECKING:
    from kit.config.models import Data

LEVEL = "level_{}"  # the name of a level whose parents are those of a list, from 1 for the nearest


def read_levels(
    root: Path,
    data: Data,
    kind: LabelKind,
    classes: Sequence[str],
    labels: Sequence[str],
    columns: Mapping[str, Sequence[str]],
) -> tuple[Level, ...]:
    """Returns the levels of `data.parents` or `data.parent_list`, the nearest to the classes first; empty without them.

    `labels` are the classes of the training rows. Their `columns` have the parents if `data.class_list` has no such
    columns. `data.unknown_class`, which may have no rows, is its own parent. Raises ConfigError C07 for unknown
    columns, DataError D22 for classes without one parent in each column, D92 for parents that are not a tree.
    """
    if not data.parents and data.parent_list is None:
        return ()
    if kind not in ("class_index", "soft"):
        raise ConfigError(
            "data.parents and data.parent_list need one class per row, or shares of classes",
            code="C07",
            hint="leave them out",
        )
    if data.parents and data.parent_list is not None:
        raise ConfigError(
            "data.parents names columns, and data.parent_list a CSV: only one can have the parents",
            code="C07",
            hint="leave one out",
        )
    if data.parent_list is not None:
        levels = _of_list(root, data, data.parent_list, classes)
    else:
        levels = _of_columns(root, data, classes, labels, columns)
    _check_nested(levels)
    return levels


def _of_columns(
    root: Path,
    data: Data,
    classes: Sequence[str],
    labels: Sequence[str],
    columns: Mapping[str, Sequence[str]],
) -> tuple[Level, ...]:
    known = [name for name in classes if name != data.unknown_class or name in labels]
    parents = values_of_classes(root, data, data.parents, known, labels, columns, "parents")
    check_blank(known, data.parents, parents, "parents")
    own = dict(zip(known, parents, strict=False))
    return tuple(
        Level(name, tuple(own[label][at] if label in own else label for label in classes))
        for at, name in enumerate(data.parents)
    )


def _of_list(root: Path, data: Data, name: str, classes: Sequence[str]) -> tuple[Level, ...]:
    """Returns the levels of a table of children and parents.

    A class with few ancestors has its last one on the levels above.
    """
    parent = _read_pairs(root, data, name)
    lacking = [label for label in classes if label not in parent and label != data.unknown_class]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(classes)} classes have no parent in {name}",
            code="D92",
            cases=[
                Case(f"no row lists it as a child{did_you_mean(label, parent)}", label, code="D92")
                for label in lacking
            ],
            hint="add a row with the parent of each class",
        )
    paths = [_ancestors(label, parent) for label in classes]
    depth = max(map(len, paths))
    levels = [
        Level(LEVEL.format(at + 1), tuple(path[min(at, len(path) - 1)] for path in paths))
        for at in range(depth)
    ]
    while levels and len(levels[-1].nodes) < 2:  # a root of all classes separates none of them
        levels.pop()
    if not levels:
        raise DataError(
            f"{name} has the same parent for all classes", code="D92", hint="leave out data.parent_list"
        )
    return tuple(levels)


def _read_pairs(root: Path, data: Data, name: str) -> dict[str, str]:
    """Returns the parent of each child, from the first two columns; a blank parent counts as none."""
    file = read_table(root, data, name)
    if len(file.columns) < 2:
        raise ConfigError(
            f"{file.path} has one column", code="C07", hint="two columns: a child, and its parent"
        )
    parents_of: dict[str, set[str]] = {}
    for row in file.rows:
        child, parent = row[0].strip(), row[1].strip()
        if parent:
            parents_of.setdefault(child, set()).add(parent)
    check_one_parent({child: sorted(parents) for child, parents in parents_of.items()}, name)
    return {child: next(iter(parents)) for child, parents in parents_of.items()}


def check_one_parent(parents: Mapping[str, Sequence[str]], source: str) -> None:
    """Raises DataError D92 for children with several parents."""
    wrong = [
        Case(f"has the parents {' and '.join(sorted(parent)[:3])}", child, code="D92")
        for child, parent in parents.items()
        if len(parent) > 1
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} parents or classes have several parents in {source}",
            code="D92",
            cases=wrong,
            hint="each parent belongs to one parent of the level above; rename equal names of different parents",
        )


def _ancestors(name: str, parent: Mapping[str, str]) -> list[str]:
    """Returns the parents of a class from the nearest to the last, or the class itself if it has none."""
    path: list[str] = []
    seen = {name}
    while (name := parent.get(name, "")) != "":
        if name in seen:
            raise DataError(
                f"the parents of {path[0] if path else name!r} form a cycle: {' > '.join([*path, name])}",
                code="D92",
                hint="correct data.parent_list: parents must lead to a root",
            )
        seen.add(name)
        path.append(name)
    return path or [next(iter(seen))]


def _check_nested(levels: Sequence[Level]) -> None:
    """Raises DataError D92 for a parent with two parents on the level above."""
    for lower, upper in pairwise(levels):
        parents_of: dict[str, set[str]] = {}
        for child, parent in zip(lower.parents, upper.parents, strict=True):
            parents_of.setdefault(child, set()).add(parent)
        check_one_parent(
            {f"{lower.name} {child}": sorted(parents) for child, parents in parents_of.items()},
            f"column {upper.name}",
        )
