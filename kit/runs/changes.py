"""What changed of a run's inputs since it was started: rows, images, folds, plugins and versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kit.core.files import shorten
from kit.errors import MAX_CASES, Case, DataError, KitError
from kit.runs.run import Run


def check_unchanged(run: Run, made: Mapping[str, Any], ids: Sequence[str] = ()) -> None:
    """Raises DataError D60 where a run would go on from other data, plugins or versions, naming which.

    `ids` are those of the training table, for the rows that are new or gone.
    """
    started = run.manifest.get("made_from", {})
    if not run.is_started or started == made:
        return
    cases = provenance_diff(started, made, "then", "now")
    rows = _describe_rows(run, ids) if started.get("rows") != made.get("rows") and len(ids) else []
    raise DataError(
        f"runs/{run.name} was started with different inputs",
        code="D60",
        cases=rows + [case for case in cases if case.path != "rows"] if rows else cases,
        hint="restore the inputs; use another --name; or use kit train --restart, which archives the old run",
    )


def _describe_rows(run: Run, ids: Sequence[str]) -> list[Case]:
    """How the rows of a table differ from those that a run was started with; empty if the run's are unknown."""
    try:
        before, now = set(run.folds().ids.tolist()), set(ids)
    except (KitError, OSError):
        return []
    cases = []
    for what, changed in (("gone", sorted(before - now)), ("new", sorted(now - before))):
        if changed:
            more = ", …" if len(changed) > MAX_CASES else ""
            cases.append(Case(f"{len(changed)} {what}: {', '.join(changed[:MAX_CASES])}{more}", "rows"))
    return cases or [Case("the ids are the same, and labels, groups or classes changed", "rows")]


def provenance_diff(old: Mapping[str, Any], new: Mapping[str, Any], one: str, other: str) -> list[Case]:
    """What differs between two lists of what a run is made from; `one` and `other` say which value is whose."""
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
