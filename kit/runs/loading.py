"""Loading: a split's rows with their images in the cache; unreadable ones stop the work, or go by the config's word."""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kit.cache import Cache, Geometry, filling
from kit.config import Experiment
from kit.errors import Case, DataError, KitWarning
from kit.files import write_text
from kit.progress import Work
from kit.table import Table
from kit.workspace import Workspace

CACHE_MARGIN = 1.25  # the cache's short side by default, times the network's: room for crops


@dataclass(frozen=True)
class Loaded:
    """A table and the cache that holds its images: row i of one is row i of the other; `bad` rows have none."""

    table: Table
    cache: Cache
    bad: np.ndarray  # (rows,) bool


def geometry(experiment: Experiment) -> Geometry:
    """The size and the rule by which images enter the cache."""
    size = experiment.cache_size or round(CACHE_MARGIN * experiment.image_size)
    return Geometry(size, experiment.resize)


def loading(workspace: Workspace, table: Table, split: str, wanted: Geometry) -> Work[Loaded]:
    """Brings a table's images into the cache, and does with unreadable ones what the config says.

    Raises DataError where bad images stop the work; all are listed in quarantine.csv in either case.
    """
    data = workspace.competition.data
    filled = yield from filling(workspace.cache, table.paths, wanted, data)
    by_path = {case.path: case for case in filled.bad}
    bad = np.array([str(path) in by_path for path in table.paths], dtype=bool)
    if not bad.any():
        return Loaded(table, filled.cache, bad)
    cases = [
        replace(by_path[str(table.paths[row])], id=str(table.ids[row]), split=split)
        for row in np.flatnonzero(bad)
    ]
    quarantine(workspace, cases)
    choice = data.bad_train if split == "train" else data.bad_test
    kinds = ", ".join(
        f"{code} {count}" for code, count in sorted(Counter(case.code for case in cases).items())
    )
    summary = (
        f"{len(cases)} of {len(table)} {split} images cannot be used ({kinds}); all are in quarantine.csv"
    )
    if choice == "stop":
        other = "drop" if split == "train" else "prior"
        raise DataError(
            summary, code=cases[0].code, cases=cases, hint=f"mend them, or data.bad_{split}={other} to go on"
        )
    does = "left out of training" if choice == "drop" else "given the class prior"
    warnings.warn(KitWarning(f"{summary}; {does}"), stacklevel=2)
    return Loaded(table, filled.cache, bad)


def quarantine(workspace: Workspace, cases: Sequence[Case]) -> None:
    """Writes quarantine.csv: path, id, split, code and detail of each case."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "id", "split", "code", "detail"])
    writer.writerows([case.path, case.id, case.split, case.code, case.detail] for case in cases)
    write_text(workspace.root / "quarantine.csv", text.getvalue())
