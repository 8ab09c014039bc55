"""Loading: a split's rows with their images in the cache; unreadable ones stop the work, or go by the config's word."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.files import fingerprint
from kit.core.progress import Work
from kit.data.quarantine import quarantine
from kit.data.table import Table
from kit.errors import Case, DataError, KitWarning, RunError, format_cases
from kit.images.cache import Cache, Geometry, fill_cache


@dataclass(frozen=True)
class Loaded:
    """A table and the cache that holds its images: row i of one is row i of the other; `bad` rows have none."""

    table: Table
    cache: Cache
    bad: np.ndarray  # (rows,) bool

    def fingerprint(self) -> str:
        """64 hex digits that are equal for the same files, read in the same way, of which the same are bad."""
        how = self.cache.file.parent.name  # geometry and whatever else makes other pixels of a file
        return fingerprint([how, list(self.cache.hashes), np.flatnonzero(self.bad).tolist()])


def geometry(experiment: Experiment) -> Geometry:
    """The size and the rule by which images enter the cache."""
    return Geometry.of(experiment)


def load_rows(
    workspace: Workspace,
    table: Table,
    split: str,
    wanted: Geometry,
    goes_on: str = "",
    needs_some: bool = False,
) -> Work[Loaded]:
    """Brings a table's images into the cache, and does with unreadable ones what the config says.

    `goes_on` is the setting that a hint names, by default the config's key. Raises DataError with all bad images as
    cases if they stop the work, or with `needs_some` if there is no other image; if it goes on, the first are shown
    and quarantine.csv has all.
    """
    data = workspace.competition.data
    filled = yield from fill_cache(workspace.cache, table.paths, wanted, data)
    by_path = {case.path: case for case in filled.bad}
    bad = np.array([str(path) in by_path for path in table.paths], dtype=bool)
    if not bad.any():
        return Loaded(table, filled.cache, bad)
    cases = [
        replace(by_path[str(table.paths[int(row)])], id=str(table.ids[row]), split=split)
        for row in np.flatnonzero(bad)
    ]
    choice = data.bad_train if split == "train" else data.bad_test
    kinds = ", ".join(
        f"{code} {count}" for code, count in sorted(Counter(case.code for case in cases).items())
    )
    summary = f"{len(cases)} of {len(table)} {split} images are unusable ({kinds})"
    if needs_some and bad.all():
        raise DataError(
            f"all {len(table)} {split} images are unusable ({kinds})",
            code=cases[0].code,
            cases=cases,
            hint=f"set --images to the folder of the images: kit looks for {cases[0].id!r} at "
            f"{cases[0].path}",
        )
    if choice == "stop":
        key = goes_on or f"data.bad_{split}={'drop' if split == 'train' else 'prior'}"
        raise DataError(  # the command that fails writes quarantine.csv, as for any bad data
            summary,
            code=cases[0].code,
            cases=cases,
            hint=f"repair them, or set {key} to continue without them",
        )
    does = "excluded from training" if choice == "drop" else "predicted as the class prior"
    lines = [f"{summary}, {does}; {_write_quarantine(workspace, cases)}", *format_cases(cases)]
    warnings.warn(KitWarning("\n".join(lines)), stacklevel=2)
    return Loaded(table, filled.cache, bad)


def _write_quarantine(workspace: Workspace, cases: Sequence[Case]) -> str:
    """Lists the cases in quarantine.csv, and says so; a list that cannot be written stops nothing."""
    try:
        return f"{quarantine(workspace.root, cases)} lists all"
    except (OSError, RunError) as error:
        return f"kit could not write quarantine.csv ({error})"
