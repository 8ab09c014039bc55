"""Fold files: the fold that holds out each row, for notebooks and team mates that must use the same folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Work, stage
from kit.data.folds import Folds, make_folds
from kit.data.table import Table, train_table
from kit.errors import ConfigError
from kit.experiment.auto_groups import write_auto_groups
from kit.kinds import Splitter
from kit.kinds.label_kinds import check_takes
from kit.runs.records import resolve_run
from kit.stages.sharing.importing import compare_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class FoldsResult(Displayed):
    """Folds of the training rows: the number of rows, and of rows of each class, that each fold holds out.

    `path` is the file that was written, `same_folds` and `other_folds` are runs of the same rows.
    """

    source: str  # the run, or the splitter with its options
    rows: int
    held_out: tuple[int, ...]  # rows, by fold
    by_class: Mapping[str, tuple[int, ...]]  # of each class, rows by fold
    same_folds: tuple[str, ...]
    other_folds: tuple[str, ...]
    path: Path | None = None

    def describe(self) -> list[str]:
        """Returns a description of the folds, in lines."""
        lines = [f"{self.rows} rows, {len(self.held_out)} folds, by {self.source}"]
        if self.same_folds:
            lines.append(f"same folds as {', '.join(self.same_folds)}")
        if self.other_folds:
            lines.append(f"other folds than {', '.join(self.other_folds)}")
        return lines

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per fold: its rows, and its rows of each class."""
        return frame(
            [
                {"fold": fold, "rows": rows, **{name: counts[fold] for name, counts in self.by_class.items()}}
                for fold, rows in enumerate(self.held_out)
            ]
        )


@stage
def show_folds(
    workspace: Workspace | StrPath, run: StrPath | None = None, out: StrPath | None = None
) -> Work[FoldsResult]:
    """Returns the folds of a run, or those that the config makes now, as in `kit train`; `out` is a CSV to write.

    The file has the columns id and fold; -1 is a row that no fold holds out. Raises ConfigError C15 for an unknown run,
    C38 if `out` exists with other content, and what making the folds raises.
    """
    space = Workspace.of(workspace)
    yield from write_auto_groups(space)
    table = train_table(space.root, space.competition.data).sort_by_id()
    if run is None:
        splitter = space.experiment.open(Splitter, space.root)
        check_takes([splitter], table.label_kind, space.root)
        folds, source = (
            make_folds(table, splitter, space.experiment.split_seed),
            f"splitter {splitter.plugin_name()}",
        )
    else:
        known = resolve_run(space, run)
        folds, source = known.folds(), f"runs/{known.name}"
    same, other = compare_folds(space, folds, "" if run is None else known.name)
    if out is not None:
        _write(folds, Path(out))
    return FoldsResult(
        source,
        len(folds.ids),
        tuple(int(folds.oof_mask(fold).sum()) for fold in range(folds.count)),
        _count_classes(folds, table),
        same,
        other,
        None if out is None else Path(out),
    )


def _write(folds: Folds, out: Path) -> None:
    if out.exists():
        if out.is_file() and Folds.read(out).fingerprint() == folds.fingerprint():
            return
        raise ConfigError(f"{out} already exists", code="C38", hint="use another --out, or remove the file")
    folds.write(out)


def _count_classes(folds: Folds, table: Table) -> dict[str, tuple[int, ...]]:
    """Returns for each class the rows that each fold holds out, without rows that the table now lacks."""
    known = np.isin(folds.ids, table.ids)
    row_of_id = table.index_of(folds.ids[known])
    counts = [table.counts(row_of_id[folds.oof_mask(fold)[known]]) for fold in range(folds.count)]
    return {name: tuple(int(count[at]) for count in counts) for at, name in enumerate(table.classes)}
