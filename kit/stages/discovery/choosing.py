"""Chooses among a folder's tables and folders by their evidence."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from kit.config.models import Data
from kit.data.bson_tables import BSON
from kit.data.json_tables import CATEGORIES
from kit.data.row_sources import explain_missing_header as explain_first_line
from kit.errors import ConfigError, did_you_mean
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile

NO_MATCH = ColumnMatch("", "", 0, 0)  # of a table that names no image


def find_table(seen: Scan, name: str, option: str) -> TableFile:
    same_name = [sheet for sheet in seen.sheets if sheet.name == posixpath.normpath(name)]
    if not same_name:
        names = [sheet.name for sheet in seen.sheets]
        raise ConfigError(
            f"{option}: no table {name!r}{did_you_mean(name, names)}",
            code="C20",
            cases=list(seen.unreadable),
            hint=", ".join(names),
        )
    return same_name[0]


def choose_train_table(
    seen: Scan, matched: Mapping[str, list[ColumnMatch]], options: Mapping[str, str]
) -> TableFile | None:
    """Returns the table of labelled rows, or None if no table with a label names images."""
    if "train" in options:
        return find_table(seen, options["train"], "--train")
    points = {}
    for sheet in seen.sheets:
        matches = matched[sheet.name]
        free = [column for column in sheet.columns if not matches or column != matches[0].column]
        labels = [roles.label_points(column, sheet, None, None) for column in free]
        if (matches or "images" in options) and max(labels, default=-9) > -9:
            # of equally good tables the one in a folder without images
            other = 0.5 * sheet.name.lower().endswith(BSON)
            points[sheet] = roles.train_score(sheet, matches[0] if matches else NO_MATCH, max(labels)) - other
    if not points:
        return None
    ranked = sorted(points, key=lambda sheet: (points[sheet], len(sheet.file)), reverse=True)
    if points[ranked[0]] < 0 and not _likely_train(ranked[0], options):
        return None
    return roles.choose_best(
        ranked, lambda sheet: points[sheet], "the labelled rows", "--train", lambda sheet: sheet.name
    )


def _likely_train(sheet: TableFile, options: Mapping[str, str]) -> bool:
    return options.get("label") in sheet.columns


def sample_table(
    seen: Scan, pool: Mapping[TableFile, ColumnMatch], train: TableFile | None, options: Mapping[str, str]
) -> TableFile | None:
    """Returns the sample submission, or None if no table looks like one."""
    if "sample" in options:
        return find_table(seen, options["sample"], "--sample")
    ids = {sheet: sheet.values(match.column) for sheet, match in pool.items()}
    firsts = {sheet: sheet.values(sheet.columns[0]) for sheet in pool}
    points = {
        sheet: roles.sample_points(
            sheet,
            pool.get(sheet),
            train,
            [other for table, other in ids.items() if table is not sheet],
            [other for table, other in firsts.items() if table is not sheet],
        )
        for sheet in seen.sheets
        if sheet is not train
    }
    likely = [sheet for sheet, count in points.items() if count > 0]
    if not likely:
        return None
    return roles.choose_best(
        likely, lambda sheet: points[sheet], "sample submission", "--sample", lambda s: s.name
    )


def choose_test_table(pool: Mapping[TableFile, ColumnMatch], sample: TableFile | None) -> TableFile | None:
    """Returns the table of rows to predict, if it has more columns than the sample."""
    label = sample.columns[1] if sample and len(sample.columns) == 2 else None
    points = {sheet: roles.test_points(sheet, label) for sheet in pool if sheet is not sample}
    likely = [
        sheet
        for sheet, count in points.items()
        if count > 0 and (sample is None or len(sheet.columns) > 1 or len(sheet.file) != len(sample.file))
    ]
    if not likely:
        return None
    return roles.choose_best(
        likely, lambda sheet: points[sheet], "the test table", "--test", lambda sheet: sheet.name
    )


def is_needed(name: str, options: Mapping[str, str]) -> bool:
    """Whether an unreadable table would be used, by its name or because it is requested."""
    tables = [options[key] for key in ("train", "test", "sample") if key in options]
    if tables:
        return name in map(posixpath.normpath, tables)
    words_of_name = roles.words(name)
    return (
        bool(words_of_name & (roles.TRAIN | roles.TEST | roles.SAMPLE | roles.SUBMISSION))
        and not words_of_name & roles.OTHER
    )


def explain_missing_header(seen: Scan, sheet: TableFile, matches: Sequence[ColumnMatch]) -> str:
    """Returns why a table's first line is a row of data and not a header, in words; empty if it is a header."""
    column = matches[0].column if matches else sheet.columns[0]
    why = explain_first_line(sheet.file, column, Data().extensions)
    if not why and matches and seen.names_image(column) and column not in sheet.values(column):
        why = f"{column!r} is the name of an image file"
    return why


def csv_options(sheets: Sequence[TableFile]) -> tuple[dict[str, Any], list[str]]:
    """Returns separator and encoding of the first table, those of the tables that differ, and the finding in words.

    A table of one column has no separator, and a JSON has neither. UTF-8 and ASCII can be read with any other
    encoding.
    """
    csvs = [sheet for sheet in sheets if sheet.sep]
    sep = next((sheet.sep for sheet in csvs if len(sheet.columns) > 1), ",")
    encoding = next((sheet.encoding for sheet in csvs if sheet.encoding != "utf-8"), "utf-8")
    tables: dict[str, dict[str, str]] = {}
    for sheet in csvs:
        own = {"sep": sheet.sep} if len(sheet.columns) > 1 and sheet.sep != sep else {}
        own |= {"encoding": sheet.encoding} if sheet.encoding not in ("utf-8", encoding) else {}
        tables |= {sheet.name: own} if own else {}
    differences = [
        f"{name}: {' and '.join(f'{key} {value!r}' for key, value in own.items())}, unlike the other tables"
        for name, own in tables.items()
    ]
    return {"sep": sep, "encoding": encoding, **({"tables": tables} if tables else {})}, differences


def class_list(
    seen: Scan, labels: set[str], used: Sequence[TableFile], label: str = ""
) -> tuple[str | None, str]:
    """Returns the table whose first column lists exactly the labels, each once, and the finding in words.

    A table that is named as a list of classes and has other classes too is reported, but not used.
    """
    others = ""
    for sheet in seen.sheets:
        of_json = sheet.name.endswith(CATEGORIES) and label in sheet.columns
        first = sheet.file.column(label if of_json else sheet.columns[0])
        if sheet in used or not labels or len(set(first)) < len(first):
            continue
        if set(first) == labels:
            return sheet.name, f"classes: {sheet.name} lists exactly the {len(labels)} labels"
        has_label_name = (
            roles.words(sheet.name) & roles.LABELS or roles.words(sheet.columns[0]) & roles.LABELS
        )
        if has_label_name and labels < set(first) and not others:
            more = len(first) - len(labels)
            others = f"{sheet.name} lists {more} classes that no training row has, so it is left aside: "
            others += f"kit init --classes {sheet.name} takes it"
    return None, others
