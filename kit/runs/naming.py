"""Naming: which names a run's classes have, by its checkpoints or predictions; the table in these names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from kit.config.models import Data
from kit.core.files import read_json
from kit.data.predictions import classes_of
from kit.data.renamed_classes import Naming, as_then, rename_in, rename_of
from kit.data.table import Table
from kit.errors import KitError
from kit.runs.run import Run


def class_naming_of(run: Run) -> Naming | None:
    """The classes of a run of which anything is trained or embedded; None if nothing says what they are."""
    with suppress(KitError):
        return next(_namings(run), None)
    return None


def _namings(run: Run) -> Iterator[Naming]:
    """The classes as each file of a run names them; torch is not needed to read these files."""
    for file in sorted(run.folder.glob("fold-*/*/manifest.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):  # another checkpoint may be whole
            about = read_json(file)["about"]
            yield Naming(tuple(about["classes"]), rename_in(about["config"]))
    for file in sorted(run.folder.glob("fold-*/oof.parquet")):
        yield Naming(classes_of(file), rename_of(run.folder))
    for file in sorted(run.folder.glob("embeddings/*/*/manifest.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield Naming(tuple(read_json(file)["about"]["classes"]), rename_of(run.folder))


def table_of(run: Run, table: Table, data: Data) -> Table:
    """The table with its classes named and ordered as in a run of the same classes; else the table itself."""
    return rename_classes(run, table, data)[0]


def rename_classes(run: Run, table: Table, data: Data) -> tuple[Table, Mapping[str, str]]:
    """What `table_of` gives, and the `data.rename` that gives these names."""
    then = class_naming_of(run)
    named = table if then is None else as_then(table, then, data.rename)
    return named, data.rename if then is None or named is table else then.rename
