"""Renamed: classes that have other names or another order than when a run was trained, and are the same classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.config.models import Data
from kit.core.files import read_json
from kit.data.predictions import Predictions, classes_of
from kit.data.spelling import number_of, rename_labels
from kit.data.table import Table
from kit.errors import KitError


@dataclass(frozen=True)
class Naming:
    """The classes of a run in its own names and order, and the `data.label_from.rename` that gave these names."""

    classes: tuple[str, ...]
    rename: Mapping[str, str]


def names_now(then: Naming, table: Table, rename: Mapping[str, str]) -> tuple[str, ...] | None:
    """The name that each class of a run has in the table, in the run's order; `rename` is `data.label_from.rename`
    now.

    None if they are not the same classes: one was added, or some were joined or split.
    """
    if not table.spellings:
        return then.classes if set(then.classes) == set(table.classes) else None
    found: dict[str, set[str]] = {name: set() for name in then.classes}
    made = [one.made for one in table.spellings]
    for one, label in zip(table.spellings, rename_labels(made, then.rename), strict=True):
        name = _among(label, then.classes)
        if name is None:
            return None
        found[name].add(one.name)
    for name in [name for name, names in found.items() if not names]:  # listed, and without a row
        now = _among(rename_labels([name], rename)[0], table.classes)
        found[name] |= {now} if now is not None else set()
    names = [next(iter(each)) for each in found.values() if len(each) == 1]
    return tuple(names) if sorted(names) == sorted(table.classes) and len(names) == len(found) else None


def _among(label: str, classes: Sequence[str]) -> str | None:
    """The class of a label: of the same text, else the only one that is the same number."""
    if label in classes:
        return label
    value = number_of(label)
    same = [name for name in classes if value is not None and number_of(name) == value]
    return same[0] if len(same) == 1 else None


def as_then(table: Table, then: Naming, rename: Mapping[str, str]) -> Table:
    """The table with the classes named and ordered as a run has them; the same table if no class was renamed.

    Classes of the same names in another order are not renamed, and what compares them refuses them.
    """
    names = names_now(then, table, rename)
    if names is None or names == then.classes:
        return table
    order = [
        table.classes.index(name) for name in names
    ]  # of each of the run's classes, its number in the table
    old, labels = dict(zip(names, then.classes, strict=True)), table.labels
    if labels is not None:
        labels = table.target.reorder(labels, order)
    return replace(
        table,
        classes=then.classes,
        labels=labels,
        class_groups=tuple(table.class_groups[at] for at in order) if table.class_groups else (),
        class_factors=tuple(table.class_factors[at] for at in order) if table.class_factors else (),
        spellings=tuple(replace(one, name=old[one.name]) for one in table.spellings),
    )


def rename_in(config: Any) -> Mapping[str, str]:
    """The `data.label_from.rename` of a config as a file has it; empty if it has none, or is not a config at all."""
    found = config
    for key in ("data", "label_from", "rename"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def rename_of(run: Path) -> Mapping[str, str]:
    """The `data.label_from.rename` that the run in a folder was started with; none where the folder does not say."""
    try:
        return rename_in(read_json(run / "config.json"))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def predictions_now(run: Path, made: Predictions, table: Table, rename: Mapping[str, str]) -> Predictions:
    """Predictions of the run in a folder with the table's classes, if the config or the sample renamed them.

    They stay as they are if the run's classes are not the table's.
    """
    return as_now(made, Naming(made.classes, rename_of(run)), table, rename)


def as_now(made: Predictions, then: Naming, table: Table, rename: Mapping[str, str]) -> Predictions:
    """Predictions with the table's classes, if the run's are the same under other names; else as they are.

    Columns of the same names in another order stay as they are: nothing is ordered anew by guess.
    """
    names = names_now(replace(then, classes=made.classes), table, rename)
    if names is None or names == made.classes:
        return made
    order = [names.index(name) for name in table.classes]
    shares = made.probabilities if order == list(range(len(order))) else made.probabilities[:, order]
    return replace(made, classes=table.classes, probabilities=shares)


def class_naming_of(run: Path) -> Naming | None:
    """The classes of a run of which anything is trained or embedded; None if nothing says what they are."""
    with suppress(KitError):
        return next(_namings(run), None)
    return None


def _namings(run: Path) -> Iterator[Naming]:
    """The classes as each file of a run names them; torch is not needed to read these files."""
    for file in sorted(run.glob("fold-*/*/manifest.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):  # another checkpoint may be whole
            about = read_json(file)["about"]
            yield Naming(tuple(about["classes"]), rename_in(about["config"]))
    for file in sorted(run.glob("fold-*/oof.parquet")):
        yield Naming(classes_of(file), rename_of(run))
    for file in sorted(run.glob("embeddings/*/*/manifest.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield Naming(tuple(read_json(file)["about"]["classes"]), rename_of(run))


def table_of(run: Path, table: Table, data: Data) -> Table:
    """The table with its classes named and ordered as in a run of the same classes; else the table itself."""
    return rename_classes(run, table, data)[0]


def rename_classes(run: Path, table: Table, data: Data) -> tuple[Table, Mapping[str, str]]:
    """What `table_of` gives, and the `data.label_from.rename` that gives these names."""
    then = class_naming_of(run)
    named = table if then is None else as_then(table, then, data.label_from.rename)
    return named, data.label_from.rename if then is None or named is table else then.rename
