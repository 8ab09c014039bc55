"""Finds changes of a run's inputs since it was started: rows, images, folds, plugins and versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kit.core.files import shorten
from kit.errors import MAX_CASES, Case, DataError, KitError
from kit.runs.row_checksums import RowChecksums
from kit.runs.run import Run


def check_unchanged(run: Run, provenance: Mapping[str, Any], rows: RowChecksums | None = None) -> None:
    """Raises DataError D60 if a run would resume with other data, plugins or versions, naming which.

    `rows` are those of the training table, to name rows that are new or missing, or have another label or
    image.
    """
    started = run.provenance
    if not run.is_started or started == provenance:
        return
    cases = provenance_diff(started, provenance, "then", "now")
    if rows is not None:
        described = _describe_rows(run, rows, {case.path for case in cases})
        cases = described + [case for case in cases if case.path not in {known.path for known in described}]
    raise DataError(
        f"runs/{run.name} was started with different inputs",
        code="D60",
        cases=cases,
        hint="restore the inputs; use another --name; or use kit train --restart, which archives the old run",
    )


def _describe_rows(run: Run, rows: RowChecksums, changed: set[str]) -> list[Case]:
    """Returns how the rows and images differ from those that a run was started with; empty if the run's are unknown."""
    try:
        before, now = set(run.folds().ids.tolist()), set(rows.ids.tolist())
    except (KitError, OSError):
        return []
    cases = []
    known = RowChecksums.read(run.folder)
    if "rows" in changed:
        cases += _name_ids("gone", before - now, "rows") + _name_ids("new", now - before, "rows")
        if known is not None:
            cases += _name_ids("with another label", known.find_changed(rows, "label"), "rows")
            cases += _name_ids("with another group", known.find_changed(rows, "group"), "rows")
            cases = cases or [
                Case("ids, labels and groups are the same, and classes or sources changed", "rows")
            ]
        cases = cases or [Case("the ids are the same, and labels, groups or classes changed", "rows")]
    if "images" in changed and known is not None:
        cases += _name_ids("with another file", known.find_changed(rows, "image"), "images")
    return cases


def _name_ids(what: str, ids: Iterable[str], where: str) -> list[Case]:
    """Returns how many ids there are, with the first of them; empty without ids."""
    listed = sorted(ids)
    more = ", …" if len(listed) > MAX_CASES else ""
    return [Case(f"{len(listed)} {what}: {', '.join(listed[:MAX_CASES])}{more}", where)] if listed else []


def provenance_diff(old: Mapping[str, Any], new: Mapping[str, Any], one: str, other: str) -> list[Case]:
    """Returns the differences of two lists of a run's inputs; `one` and `other` name the owner of each value."""
    cases = []
    for key in dict.fromkeys([*new, *old]):
        was, is_ = old.get(key), new.get(key)
        if was == is_:
            continue
        if isinstance(is_, dict) and isinstance(was, dict):
            names = [name for name in sorted({*was, *is_}) if was.get(name) != is_.get(name)]
            cases += [
                Case(f"{shorten(was.get(name))} {one}, {shorten(is_.get(name))} {other}", f"{key} {name}")
                for name in names
            ]
        else:
            cases.append(Case("changed since the run was started", key))
    return cases
