"""Finds labelled rows in several tables: parts of one table, a validation table, and older versions."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from kit.data.external_rows import TABLE
from kit.data.image_paths import INDEX
from kit.errors import ConfigError
from kit.stages.discovery import roles
from kit.stages.discovery.containers import Container
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile
from kit.stages.discovery.trees import ValUse

SHOWN = 8  # maximum tables in a finding
PARTS = roles.TRAIN | roles.VAL | roles.TEST | roles.SAMPLE | roles.SUBMISSION
VERSION = re.compile(r"[_-]?v(?:ersion)?[_-]?(\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class SplitTables:
    """The scan with the parts of a table as one, the files of each such table by its name, and the findings."""

    seen: Scan
    parts: Mapping[str, tuple[str, ...]]
    findings: tuple[str, ...] = ()

    def holdout_splitter(self, train: str) -> dict[str, object] | None:
        """Returns the splitter that holds out the validation tables among the parts of a table; None without any."""
        held_out = [_stem(name) for name in self.parts.get(train, ()) if roles.words(_stem(name)) & roles.VAL]
        return {"name": "column", "column": TABLE, "held_out": held_out} if held_out else None


def join_parts(seen: Scan, options: Mapping[str, str], val: ValUse) -> SplitTables:
    """Joins the tables with labelled rows.

    Tables are parts of one if they have the same columns, and names that differ by a number or by `val`. Of
    two versions, such as `train_v1` and `train_v2`, the later one is used.

    Raises ConfigError C20 if given tables do not exist.
    """
    if "train" in options and "," in options["train"]:
        names = [posixpath.normpath(name.strip()) for name in options["train"].split(",")]
        known = {sheet.name: sheet for sheet in seen.sheets}
        missing = [name for name in names if name not in known]
        if missing:
            raise ConfigError(f"--train: no table {missing[0]!r}", code="C20", hint=", ".join(known))
        return _with_joined(seen, [[known[name] for name in names]], [])
    if "train" in options:
        return SplitTables(seen, {})
    seen, findings = _latest(seen)
    by_class = _class_tables(seen)
    groups: dict[tuple[str, tuple[str, ...]], list[TableFile]] = defaultdict(list)
    for sheet in seen.sheets:
        words_of_name = roles.words(_stem(sheet.name))
        of_val = bool(words_of_name & roles.VAL)
        if words_of_name & (roles.TEST | roles.SAMPLE | roles.SUBMISSION | roles.OTHER - roles.VAL):
            continue
        if of_val and val == "ignore":
            continue
        groups[(_shape(sheet.name), sheet.columns)].append(sheet)
    groups_of_parts = [group for group in groups.values() if len(group) > 1 and _are_parts(seen, group)]
    groups_of_parts = [
        group
        for group in groups_of_parts
        if not any(sheet in other for sheet in group for other, _ in by_class)
    ]
    joined = _with_joined(seen, [*groups_of_parts, *(group for group, _ in by_class)], findings)
    pixels = {
        **joined.seen.pixel_tables,
        **{group[0].name: container for group, container in by_class if container},
    }
    return replace(joined, seen=replace(joined.seen, pixel_tables=pixels))


def _class_tables(seen: Scan) -> list[tuple[list[TableFile], Container | None]]:
    """Returns tables of one folder with one class each, named by that class, and the container of their rows' pixels.

    Tables with pixels need a column of distinct cells, by which a row is found in its table.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[TableFile]] = defaultdict(list)
    for sheet in seen.sheets:
        if (
            not roles.words(_stem(sheet.name)) & PARTS
        ):  # train.csv and test.csv may have a column of these words
            groups[posixpath.dirname(sheet.name), sheet.columns].append(sheet)
    class_tables: list[tuple[list[TableFile], Container | None]] = []
    for (folder, columns), group in groups.items():
        class_columns = [
            name for name in columns if all(sheet.values(name) == {_stem(sheet.name)} for sheet in group)
        ]
        pixels = seen.pixel_tables.get(group[0].name)
        if len(group) < 2 or not class_columns:
            continue
        cells = {name: [cell for sheet in group for cell in sheet.file.column(name)] for name in columns}
        keys = [name for name in columns if name != INDEX and len(set(cells[name])) == len(cells[name])]
        if pixels is not None and not keys:
            continue
        pattern = posixpath.join(folder, f"{{{class_columns[0]}}}{PurePosixPath(group[0].name).suffix}")
        before = f"{keys[0]}/" if keys else ""
        class_tables.append((group, pixels and replace(pixels, pattern=pattern, before=before, key=keys[0])))
    return class_tables


def _with_joined(seen: Scan, groups: Sequence[Sequence[TableFile]], findings: Sequence[str]) -> SplitTables:
    sheets, parts, findings_so_far = list(seen.sheets), dict[str, tuple[str, ...]](), list(findings)
    for group in groups:
        ordered = sorted(group, key=lambda sheet: bool(roles.words(_stem(sheet.name)) & roles.VAL))
        first, names = ordered[0], tuple(sheet.name for sheet in ordered)
        columns = tuple(dict.fromkeys(column for sheet in ordered for column in sheet.columns))
        rows = tuple(row for sheet in ordered for row in _in_order(sheet, columns))
        file = replace(first.file, columns=columns, rows=rows, lines=range(2, len(rows) + 2), begun={})
        sheets = [sheet for sheet in sheets if sheet not in ordered[1:]]
        sheets[sheets.index(first)] = first.with_file(file)
        parts[first.name] = names
        counts = ", ".join(f"{sheet.name} ({len(sheet.file):,})" for sheet in ordered[:SHOWN])
        counts += f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
        findings_so_far.append(
            f"labelled rows of {len(names)} tables: {counts}; kit init --train takes fewer"
        )
    return SplitTables(seen.with_sheets(sheets), parts, tuple(findings_so_far))


def _in_order(sheet: TableFile, columns: Sequence[str]) -> Sequence[tuple[str, ...]]:
    if sheet.columns == columns:
        return sheet.file.rows
    cells = [sheet.file.column(name) if name in sheet.columns else [""] * len(sheet.file) for name in columns]
    return list(zip(*cells, strict=True))


def _are_parts(seen: Scan, group: Sequence[TableFile]) -> bool:
    """Whether each table has a label and names its own images."""
    known: set[str] = set()
    for sheet in group:
        matches = seen.matches(sheet)
        if not matches or matches[0].photos or not _has_label(sheet, matches[0]):
            return False
        names = sheet.values(matches[0].column)
        if names & known:
            return False
        known |= names
    return True


def _has_label(sheet: TableFile, match: ColumnMatch) -> bool:
    return any(
        column != match.column and roles.label_points(column, sheet, None, None) > 0
        for column in sheet.columns
    )


def _latest(seen: Scan) -> tuple[Scan, list[str]]:
    """Returns the scan without older versions of a table, and a line for each of these."""
    versions: dict[tuple[str, tuple[str, ...]], list[tuple[int, TableFile]]] = defaultdict(list)
    for sheet in seen.sheets:
        path = PurePosixPath(sheet.name)
        number = VERSION.search(path.stem)
        base = VERSION.sub("", path.stem)
        versions[(f"{path.parent}/{base}{path.suffix}", sheet.columns)].append(
            (int(number[1]) if number else 1, sheet)
        )
    older = {
        sheet.name: max(group, key=lambda pair: pair[0])[1].name
        for group in versions.values()
        for _, sheet in group
        if len(group) > 1
    }
    older = {name: latest for name, latest in older.items() if name != latest}
    findings = [f"{name} is an older version of {latest}, and not used" for name, latest in older.items()]
    return seen.with_sheets(sheet for sheet in seen.sheets if sheet.name not in older), findings


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _shape(name: str) -> str:
    """Returns a name with a star for numbers and for the words train and val; single letters after `_` count
    as numbers.
    """
    path = PurePosixPath(name)
    stem = re.sub(r"([a-z])([A-Z])", r"\1_\2", path.stem).lower()
    stem = re.sub(r"[a-z]+", lambda match: "train" if match[0] in roles.TRAIN | roles.VAL else match[0], stem)
    return f"{path.parent}/{re.sub(r'[_-]?(?:part)?[_-]?(?:[0-9]+|[_-][a-z])$', '', stem)}{path.suffix}"
