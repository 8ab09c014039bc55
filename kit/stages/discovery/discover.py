"""Finds out what the data section of config.json must say of a competition's files."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kit.config.models import Data
from kit.data.csv_file import is_number, without_header
from kit.data.image_paths import columns_of
from kit.data.label_values import SUM_TOLERANCE
from kit.data.labels import split_cell as labels_in
from kit.errors import ConfigError
from kit.stages.discovery import choosing, name_matching, roles, trees
from kit.stages.discovery.column_format import separator_of
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile, scan
from kit.stages.discovery.long_sheets import WideSheets, widen_sheets
from kit.stages.discovery.near_misses import instead_of_images, near_misses

MIN_FRACTIONS = 10  # different numbers that are not all whole; fewer may be grades such as 0.5
MAX_VOTES = 1000  # of a row; a larger sum of whole numbers is measured


@dataclass(frozen=True)
class Discovery:
    """`data` is the config's section as found, and `findings` say what was taken for what, and why."""

    data: dict[str, Any]
    findings: tuple[str, ...]
    splitter: dict[str, Any] | None = None  # if the folders ask for one
    rows: int | None = None  # labelled ones, as the table or the folders count them
    images: int = 0  # of labelled rows and rows to predict


def discover(
    root: Path,
    given: Mapping[str, str] | None = None,
    val: trees.ValUse = "join",
    outside: Sequence[Path] = (),
    skipped: Path | None = None,
) -> Discovery:
    """The `data` section for the files of a folder and those `outside`, without the folder `skipped`.

    Raises ConfigError C20 for what the files do not show.
    """
    asked = dict(given or {})
    seen = scan(root, Data().extensions, asked.get("sep"), asked.get("encoding"), outside, skipped)
    for name, error in seen.headless.items():
        if choosing.is_needed(name, asked):
            raise error
    if "train" in asked and (root / asked["train"]).is_dir():
        folder = posixpath.normpath(asked["train"])
        return _class_folders(seen, root, "" if skipped and folder == "." else folder, asked, val)
    wide = widen_sheets(seen)
    seen = wide.seen
    matched = {sheet.name: seen.matches(sheet) for sheet in seen.sheets}
    train = choosing.choose_train_table(seen, matched, asked)
    if train is None:
        return _class_folders(seen, root, trees.class_folder(seen, root, skipped is not None), asked, val)
    if val == "holdout":
        raise ConfigError(
            f"--val holdout is for folders of classes, and the labelled rows are in {train.name}",
            code="C51",
            hint="splitter=column splitter.column=COLUMN 'splitter.held_out=[\"val\"]', if a column names those rows",
        )
    return _from_tables(wide, matched, train, asked)


@dataclass(frozen=True)
class _Parts:
    """What was taken for what; `candidates` are the tables that name images other than the training rows'."""

    train: TableFile
    match: ColumnMatch
    sample: TableFile | None
    test: TableFile | None
    candidates: Mapping[TableFile, ColumnMatch]
    ways: Sequence[ColumnMatch]  # all in which the training rows name images

    @property
    def sheets(self) -> list[TableFile]:
        return [sheet for sheet in (self.train, self.sample, self.test) if sheet]


def _from_tables(
    wide: WideSheets, matched: Mapping[str, list[ColumnMatch]], train: TableFile, asked: Mapping[str, str]
) -> Discovery:
    seen = wide.seen
    match = name_matching.train_match(train, matched[train.name], asked, seen)
    pool = {
        sheet: other
        for sheet in seen.sheets
        if sheet is not train
        and (other := name_matching.test_match(sheet, matched[sheet.name], train, match))
    }
    sample = choosing.sample_table(seen, pool, train, asked)
    test = (
        choosing.find_table(seen, asked["test"], "--test")
        if "test" in asked
        else choosing.choose_test_table(pool, sample)
    )
    parts = _Parts(train, match, sample, test, pool, matched[train.name])
    headless = {
        sheet.name: choosing.explain_missing_header(seen, sheet, matched[sheet.name]) for sheet in seen.sheets
    }
    _check_headers(parts.sheets, headless)
    data, findings = _of_train(parts, asked)
    several = _of_cells(parts, data["label"], asked) if "target" not in data else ({}, [])
    separator = several[0].get("label_separator")
    for more, lines in (
        several,
        wide.describe(train, test, sample),
        _of_test(parts, data, seen),
        _of_classes(parts, data["label"], separator, seen) if "target" not in data else ({}, []),
    ):
        data |= more
        findings += lines
    findings += [*_of_answers(parts, seen), *_of_other_table(parts, seen)]
    used = {*(sheet.name for sheet in parts.sheets), data.get("class_list")}
    data |= choosing.common_csv_options([sheet for sheet in seen.sheets if sheet.name in used])
    aside = sorted(sheet.name for sheet in seen.sheets if sheet.name not in used)
    findings += [f"left aside: {', '.join(aside)}"] if aside else []
    data = {**data, **asked}
    findings += trees.not_used(
        seen, [trees.base(data[key]) for key in ("images", "test_images") if data.get(key)]
    )
    findings += [f"{name} has no header: {headless[name]}" for name in aside if headless[name]]
    findings += [f"not read: {line}" for line in seen.unreadable]
    rows = sum(len(sheet.file) for sheet in (train, parts.test or parts.sample) if sheet)
    images = seen.files_below(trees.base(data["images"])) if parts.match.photos else rows
    return Discovery(data, tuple(findings), rows=len(train.file), images=images)


def _check_headers(sheets: Sequence[TableFile], headless: Mapping[str, str]) -> None:
    """Raises DataError D28 for a table in use whose first line is a row of data."""
    for sheet in sheets:
        if headless[sheet.name]:
            raise without_header(sheet.file, headless[sheet.name])


Found = tuple[dict[str, Any], list[str]]


def _of_train(parts: _Parts, asked: Mapping[str, str]) -> Found:
    """Id, label, images and group of the training rows."""
    train, match = parts.train, parts.match
    row_id = asked.get("id") or name_matching.id_column(train, match, parts.sample)
    taken = {match.column, row_id} | set(columns_of(match.pattern)) - name_matching.folder_columns(match)
    labelled, used, said = _label(parts, taken, asked)
    taken |= {*used, match.column}
    images = name_matching.pattern(match, row_id, train)
    same = [
        name_matching.pattern(each, row_id, train) for each in name_matching.equally_good(parts.ways, match)
    ]
    also = f"; the same names are in {', '.join(same)}: kit init --images takes another" if same else ""
    findings = [_count_words(train, f"id {row_id!r}, {said}"), f"images: {images}{also}"]
    if group := _group(parts, row_id, taken, asked):
        findings.append(f"group: {group[0]!r}, {group[1]}")
    data = {
        "train": train.name,
        "test": parts.test.name if parts.test else None,
        "sample": parts.sample.name if parts.sample else None,
        "id": row_id,
        "images": images,
        "group": group[0] if group else None,
        **labelled,
    }
    return data, findings


def _label(parts: _Parts, taken: set[str], asked: Mapping[str, str]) -> tuple[dict[str, Any], set[str], str]:
    """The keys that say what the label is, the columns it uses, and that in words."""
    columns = parts.sample.columns[1:] if parts.sample else ()
    hot = None if "label" in asked else name_matching.one_hot(parts.train, columns)
    if hot is None and parts.sample is None and "label" not in asked:
        free = [column for column in parts.train.columns if column not in taken]
        made = name_matching.one_hot(parts.train, free) if len(free) > 2 else None
        hot = made if made and made[0] else None
    if hot and hot[0] is None:
        return (
            {"label": None},
            set(columns),
            f"{len(columns)} columns of 0 and 1, several labels a row or none",
        )
    values = _columns_of_values(parts.train, columns) if "label" not in asked else None
    if values:
        return {"label": None, "target": values}, set(columns), f"{len(columns)} columns of {values}"
    found = asked.get("label") or (hot[0] if hot else None)
    label = found or roles.find_label(parts.train, taken, parts.sample, parts.test, parts.match.photos)
    keys = {"label": label, **({"label_from": {"rename": hot[1]}} if hot else {})}
    if asked.get("target", "numbers") == "numbers" and ("target" in asked or _is_measured(parts, label)):
        keys["target"] = "numbers"
        text = f"label {label!r}, numbers to be measured: data.target=classes if each number is a class"
        return keys, {label}, text
    return keys, {label, *columns_of(label)}, f"label {label!r}"


def _is_measured(parts: _Parts, label: str) -> bool:
    """Whether a label's column holds fractions, or whole numbers for which the sample shows fractions."""
    if label not in parts.train.columns:
        return False
    values = parts.train.values(label)
    if not all(map(is_number, values)):
        return False
    if len(values) > MIN_FRACTIONS and any(not float(value).is_integer() for value in values):
        return True
    answers = parts.sample.columns[1:] if parts.sample else ()
    shown = parts.sample.values(answers[0]) if parts.sample and len(answers) == 1 else set()
    numbers = [float(cell) for cell in shown if is_number(cell)]
    return (
        len(values) > 2 and len(numbers) == len(shown) and any(not number.is_integer() for number in numbers)
    )


def _columns_of_values(train: TableFile, columns: Sequence[str]) -> str | None:
    """`shares` or `numbers` if the sample's columns are columns of such cells in the training table, else None."""
    if len(columns) < 2 or not set(columns) <= set(train.columns):
        return None
    cells = [train.file.column(column) for column in columns]
    if not all(is_number(cell) for column in cells for cell in set(column)):
        return None
    values = np.array([[float(cell) for cell in column] for column in cells])
    if set(np.unique(values).tolist()) <= {0.0, 1.0}:
        return None
    sums = values.sum(axis=0)
    are_votes = bool((values == np.round(values)).all()) and values.min() >= 0 and bool((sums > 0).all())
    if (values.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE) or (
        are_votes and sums.max() <= MAX_VOTES
    ):
        return "shares"
    return "numbers"


def _of_cells(parts: _Parts, label: str | None, asked: Mapping[str, str]) -> Found:
    """What separates the labels of a row, where cells clearly hold several."""
    if "label_separator" in asked:
        return {"label_separator": asked["label_separator"]}, []
    if label not in parts.train.columns:
        return {}, []
    columns: tuple[str, ...] = parts.sample.columns[1:] if parts.sample else ()
    single = parts.sample.file.column(columns[0]) if parts.sample and len(columns) == 1 else []
    found = separator_of(parts.train.file.column(label), columns if len(columns) > 1 else (), single)
    if found is None:
        return {}, []
    if not found.is_clear:
        text = f"unclear whether the cells of {label!r} hold several labels each ({found.why} if {found.separator!r} "
        text += (
            f"separates them): read as one label a row; else kit init --label-separator {found.separator!r}"
        )
        return {}, [text]
    text = f"several labels a row, separated by {found.separator!r}: {found.why}; "
    text += "data.label_separator=null if they are names"
    return {"label_separator": found.separator}, [text]


def _of_test(parts: _Parts, found: Mapping[str, Any], seen: Scan) -> Found:
    """Where the images of the rows to predict are."""
    rows = parts.test or parts.sample
    if rows is None:
        return {}, ["no sample submission and no test table found: kit init --sample FILE where there is one"]
    if rows not in parts.candidates:
        text = _count_words(
            rows, "rows to predict; their images were not found: kit init --test-images PATTERN"
        )
        return {}, [text, *_nearly(seen, rows)]
    first = found["id"] if rows is parts.test and found["id"] in rows.columns else rows.columns[0]
    pattern = name_matching.pattern(parts.candidates[rows], first, rows)
    finding = _count_words(rows, f"to predict, images: {pattern}")
    return {"test_images": None if pattern == found["images"] else pattern}, [finding]


def _of_classes(parts: _Parts, label: str | None, separator: str | None, seen: Scan) -> Found:
    """The list of classes, and words for photos where the label is made of their names."""
    if label is None:
        return {}, []
    if "{file}" in label:
        words = name_matching.words_for_files(seen, parts.match)
        return {"label_from": {"files": words}}, [
            f"{{file}} in the label: {words}; data.label_from.bins and data.label_from.rename make the rest"
        ]
    labels = parts.train.values(label) if label in parts.train.columns else set()
    if separator is not None:
        labels = {each for cell in labels for each in labels_in(cell, separator)}
    classes, text = choosing.class_list(seen, labels, parts.sheets)
    return {"class_list": classes} if classes else {}, [text] if text else []


def _nearly(seen: Scan, sheet: TableFile) -> list[str]:
    """Why a table names no image although it nearly does, in words, and what lies there instead of images."""
    misses = near_misses(seen, [sheet])
    return [*(f"{miss.case}; {miss.mended}" for miss in misses), *map(str, instead_of_images(seen))]


def _count_words(sheet: TableFile, what: str) -> str:
    return f"{sheet.name}: {len(sheet.file):,} rows, {what}"


def _group(parts: _Parts, row_id: str, taken: set[str], asked: Mapping[str, str]) -> tuple[str, str] | None:
    if "group" in asked:
        return asked["group"], "as given"
    if parts.match.photos:
        return row_id, "the photos of a row share a fold"
    return roles.find_group(parts.train, taken, parts.test) or _folder_group(parts)


def _folder_group(parts: _Parts) -> tuple[str, str] | None:
    """The folders that paths name, if they are called as groups are, such as patient_012."""
    column = parts.match.column
    return roles.folder_group(parts.train.file.column(column)) if column in parts.train.columns else None


def _of_answers(parts: _Parts, seen: Scan) -> list[str]:
    """A sample whose ids are values of another column than the rows' ids: one answer for each group of rows."""
    sample = parts.sample
    if sample is None or sample in parts.candidates:
        return []
    ids = sample.values(sample.columns[0])
    for sheet in [*(each for each in (parts.test,) if each), *seen.sheets]:
        own = parts.candidates[sheet].column if sheet in parts.candidates else None
        if sheet is sample or sheet is parts.train or not ids or (own and ids & sheet.values(own)):
            continue
        for column in sheet.columns:
            repeated = len(sheet.values(column)) < len(sheet.file)
            if column != own and repeated and ids <= sheet.values(column):
                return [
                    f"{sample.name} wants one answer for each {column!r}, not for each image: all {len(ids)} ids are "
                    f"values of that column of {sheet.name}, and none is a row's id; kit predicts each image, and "
                    "does not join the predictions to one answer yet"
                ]
    return []


def _of_other_table(parts: _Parts, seen: Scan) -> list[str]:
    """A column that the sample asks for, and that another table than the training rows' has."""
    if parts.sample is None or len(parts.sample.columns) != 2:
        return []
    asked = parts.sample.columns[1]
    if asked in parts.train.columns:
        return []
    return [
        f"the sample asks for {asked!r}, a column of {sheet.name} and not of {parts.train.name}: if it is the label, "
        "join the two tables into one and give it as --train"
        for sheet in seen.sheets
        if sheet not in parts.sheets and asked in sheet.columns and roles.words(sheet.name) & roles.TRAIN
    ]


def _class_folders(
    seen: Scan, root: Path, folder: str, asked: Mapping[str, str], val: trees.ValUse
) -> Discovery:
    folder = folder.rstrip("/")
    inside = replace(
        seen, folders={f: names for f, names in seen.folders.items() if not trees.is_within(f, folder)}
    )
    pool = {}
    for sheet in seen.sheets:
        if found := inside.matches(sheet):
            pool[sheet] = name_matching.choose_naming(found, roles.TEST, roles.TRAIN)
    sample = choosing.sample_table(seen, pool, None, asked)
    if sample:
        _check_headers(
            [sample], {sample.name: choosing.explain_missing_header(seen, sample, inside.matches(sample))}
        )
    data: dict[str, Any] = {"sample": sample.name if sample else None}
    findings = []
    if sample and sample in pool:
        data["test_images"] = name_matching.pattern(pool[sample], sample.columns[0], sample)
        findings.append(_count_words(sample, f"rows to predict, images: {data['test_images']}"))
    elif sample and "test_images" not in asked:
        text = "rows to predict; their images were not found: kit init --test-images PATTERN"
        findings += [_count_words(sample, text), *_nearly(inside, sample)]
    if sample is None:
        findings.append("no sample submission found: kit init --sample FILE where there is one")
    tree = trees.find_trees(seen, root, folder, {**data, **asked}, sample is not None, val)
    data = {**tree.data, **data, **(choosing.common_csv_options([sample]) if sample else {}), **asked}
    aside = [sheet for sheet in seen.sheets if sheet is not sample]
    if aside:
        findings.append(f"left aside: {', '.join(sheet.name for sheet in aside)}")
        findings += [f"{miss.case}; {miss.mended}" for miss in near_misses(seen, aside)]
    findings += [f"not read: {line}" for line in seen.unreadable]
    rows = seen.files_below(folder)
    more = [seen.files_below(data[key]) for key in ("val", "test") if data.get(key)]
    images = rows + sum(more) + (len(sample.file) if sample else 0)
    return Discovery(data, (*tree.findings, *findings), tree.splitter, rows, images)
