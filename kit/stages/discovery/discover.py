"""Finds the data section of config.json for a competition's files."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.config.models import Data
from kit.core.locations import JOIN, KEY
from kit.data.content import ending
from kit.data.csv_file import is_number
from kit.data.image_columns import OR
from kit.data.image_paths import columns_of
from kit.data.json_tables import CATEGORIES
from kit.data.label_columns import LABEL
from kit.data.labels import split_cell as labels_in
from kit.errors import ConfigError
from kit.kinds.readers import other_readers
from kit.stages.discovery import answers, choosing, name_matching, reading, roles, trees
from kit.stages.discovery.class_parents import find_parents
from kit.stages.discovery.column_format import separator_of
from kit.stages.discovery.discovery import Discovery, check_headers, count_rows, explain_no_match
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile, scan
from kit.stages.discovery.folders import discover_folders, discover_without_table
from kit.stages.discovery.index_table import find_index
from kit.stages.discovery.joins import find_joins
from kit.stages.discovery.long_sheets import WideSheets, widen_sheets
from kit.stages.discovery.names_with_labels import find_named_labels
from kit.stages.discovery.split_tables import SplitTables, join_parts
from kit.stages.discovery.unknown_class import find_underscores, find_unknown_class
from kit.stages.discovery.value_columns import (
    describe_longer_names,
    describe_side_columns,
    find_longer_names,
    find_part_columns,
    find_part_groups,
    find_side_columns,
    find_values,
)
from kit.stages.discovery.walking import walk

SUPERCATEGORY = "supercategory"  # COCO's key for the superclass of a category
MIN_FRACTIONS = 10  # distinct numbers that are not all whole; fewer may be grades such as 0.5


def discover(
    root: Path,
    given: Mapping[str, str] | None = None,
    val: trees.ValUse = "join",
    outside: Sequence[Path] = (),
    skipped: Path | None = None,
) -> Discovery:
    """Returns the `data` section for the files of a folder and those `outside`, without the folder `skipped`.

    Files of other readers are images if no table and no folder names image files. Raises ConfigError C20 if
    the files do not show a setting.
    """
    extensions = Data().extensions
    try:
        return _discover(root, extensions, given or {}, val, outside, skipped)
    except ConfigError as error:
        if error.code != "C20":
            raise
        present = {ending(name) for _, names in walk(root, skipped) for name in names}
        for reader in other_readers(root):
            endings = type(reader).endings
            if present & set(endings) - set(extensions):
                with suppress(ConfigError):
                    return _discover(root, endings, given or {}, val, outside, skipped)
        raise


def _discover(
    root: Path,
    extensions: tuple[str, ...],
    given: Mapping[str, str],
    val: trees.ValUse,
    outside: Sequence[Path],
    skipped: Path | None,
) -> Discovery:
    """Returns the `data` section if files with these endings are the images."""
    options = dict(given)
    seen = scan(root, extensions, options.get("sep"), options.get("encoding"), outside, skipped)
    for name, error in seen.headless.items():
        if choosing.is_needed(name, options):
            raise error
    regex = options.pop("label_from_name", None)
    folder = None
    if "train" in options and (root / options["train"]).is_dir():
        folder = posixpath.normpath(options["train"])
        folder = "" if skipped and folder == "." else folder
    named_labels = None if regex is None else find_named_labels(seen, folder, regex)
    if folder is not None or named_labels is not None:
        return discover_folders(
            seen, root, named_labels.folder if named_labels else folder or "", options, val, named_labels
        )
    files = {sheet.name: sheet for sheet in seen.sheets}
    split = join_parts(seen, options, val)
    wide = widen_sheets(split.seen)
    seen = wide.seen
    matched = {sheet.name: seen.matches(sheet) for sheet in seen.sheets}
    train = choosing.choose_train_table(seen, matched, _with_first_part(options, split))
    if train is None:
        return discover_without_table(seen, root, options, val, skipped is not None)
    if val == "holdout" and split.holdout_splitter(train.name) is None:
        raise ConfigError(
            f"--val holdout is for folders of classes, and the labelled rows are in {train.name}",
            code="C51",
            hint="splitter=column splitter.column=COLUMN 'splitter.held_out=[\"val\"]', if a column names those rows",
        )
    discovered = _from_tables(root, wide, matched, train, options, split, files)
    return replace(discovered, splitter=split.holdout_splitter(train.name) if val == "holdout" else None)


def _with_first_part(options: Mapping[str, str], split: SplitTables) -> Mapping[str, str]:
    """Returns the given options with the first of several given tables, which represents all of them."""
    return {**options, "train": next(iter(split.parts))} if "," in options.get("train", "") else options


@dataclass(frozen=True)
class _Parts:
    """The roles of the tables. `candidates` are the tables that name other images than the training rows'."""

    train: TableFile
    match: ColumnMatch
    sample: TableFile | None
    test: TableFile | None
    candidates: Mapping[TableFile, ColumnMatch]
    ways: Sequence[ColumnMatch]  # all matches of the training rows with images
    wanted: Sequence[str] = ()  # suffixes of the sample's ids, such as parts of an answer

    @property
    def sheets(self) -> list[TableFile]:
        return [sheet for sheet in (self.train, self.sample, self.test) if sheet]


def _from_tables(
    root: Path,
    wide: WideSheets,
    matched: Mapping[str, list[ColumnMatch]],
    train: TableFile,
    init_options: Mapping[str, str],
    split: SplitTables,
    files: Mapping[str, TableFile],
) -> Discovery:
    """Returns the data section by tables. `files` are the original tables by name, before parts were joined."""
    seen = wide.seen
    match = name_matching.train_match(train, matched[train.name], init_options, seen)
    pool = {
        sheet: other
        for sheet in seen.sheets
        if sheet is not train
        and (other := name_matching.test_match(sheet, matched[sheet.name], train, match))
        # otherwise the sample's ids are owners of images, and not names of rows with several files
        and (JOIN in other.pattern) == (JOIN in match.pattern)
    }
    sample = choosing.sample_table(seen, pool, train, init_options)
    test = (
        choosing.find_table(seen, init_options["test"], "--test")
        if "test" in init_options
        else choosing.choose_test_table(pool, sample)
    )
    if "test" not in init_options and wide.lists_parts(test, train, sample):
        test = None
    joins = find_joins(seen, train, match.column, sample, test, init_options)
    pool = {joins.test if joins.test and sheet is test else sheet: other for sheet, other in pool.items()}
    train, test = joins.train, joins.test
    match = name_matching.same_container(match, pool.get(test or sample or train), matched[train.name])
    asked_for = wide.long[sample.name].classes if sample and sample.name in wide.long else ()
    parts = _Parts(train, match, sample, test, pool, matched[train.name], asked_for)
    headless = {
        sheet.name: choosing.explain_missing_header(seen, sheet, matched[sheet.name]) for sheet in seen.sheets
    }
    check_headers(parts.sheets, headless)
    data, findings = _of_train(parts, init_options)
    cells_format = _of_cells(parts, data["label"], init_options) if "target" not in data else ({}, [])
    separator = cells_format[0].get("label_separator")
    for more, lines in (
        cells_format,
        wide.describe(train, test, sample),
        _of_test(parts, data, seen),
        _of_classes(parts, data["label"], separator, seen) if "target" not in data else ({}, []),
    ):
        data |= more
        findings += lines
    index = find_index(seen, matched, parts.sheets, files[sample.name] if sample else None)
    answer, lines = answers.find_answer({**data, **init_options}, match, train, test, sample, pool, seen)
    data |= answer
    findings += [*split.findings, *joins.findings, *lines, *index.findings]
    names = split.parts.get(train.name, (train.name,))
    used = {*(sheet.name for sheet in parts.sheets), *names, *joins.used, data.get("class_list")}
    first = [files[sheet.name] for sheet in (sample, train) if sheet]
    options, unlike = choosing.csv_options(
        [*first, *(sheet for sheet in files.values() if sheet.name in used and sheet not in first)]
    )
    data |= {**options, **({"join": list(joins.join)} if joins.join else {})}
    findings += unlike
    how = reading.read_table_images(root, train, match, seen.pixel_tables, {**data, **init_options})
    findings += how.findings
    used |= {str(data.get(key)).partition(KEY)[0] for key in ("images", "test_images")}
    aside = sorted(sheet.name for sheet in seen.sheets if sheet.name not in used)
    findings += [f"left aside: {', '.join(aside)}"] if aside else []
    data |= how.data
    data |= {key: value for key, value in init_options.items() if key not in ("train", "join", "on")}
    data["train"] = list(names) if len(names) > 1 else names[0]
    findings += trees.not_used(
        seen, [trees.base(data[key]) for key in ("images", "test_images") if data.get(key)]
    )
    findings += [f"{name} has no header: {headless[name]}" for name in aside if headless[name]]
    findings += [f"not read: {line}" for line in seen.unreadable]
    rows = sum(len(sheet.file) for sheet in (train, parts.test or parts.sample) if sheet)
    images = seen.files_below(trees.base(data["images"])) if parts.match.photos else rows
    config = {**how.config, **index.config, **describe_longer_names(data, parts.sample)}
    return Discovery(data, tuple(findings), None, len(train.file), images, config, how.sizes)


Found = tuple[dict[str, Any], list[str]]


def _of_train(parts: _Parts, options: Mapping[str, str]) -> Found:
    """Returns id, label, images and group of the training rows."""
    train, match = parts.train, parts.match
    of_test = parts.candidates.get(parts.test) if parts.test else None
    beside = match.beside or (of_test.beside if of_test else "")
    row_id = options.get("id") or (
        f"{{{match.column}}}_{{{beside}}}"
        if beside in train.columns
        else name_matching.id_column(train, match, parts.sample, parts.test)
    )
    taken = {match.column, row_id} | set(columns_of(match.pattern)) - name_matching.folder_columns(match)
    images = name_matching.pattern(match, row_id, train)
    of_images = "images" in options or parts.sample in parts.candidates  # then the sample's ids are images
    image_columns = None if of_images else answers.image_columns(train, match, parts.ways)
    if image_columns and (
        owner := options.get("id") or answers.row_of_images(train, image_columns, parts.sample)
    ):
        images, row_id = image_columns, owner
        taken |= {row_id, *columns_of(image_columns)[-1].split(OR)}
    labelled, used, label_finding = _label(parts, taken, options)
    taken |= {*used, match.column}
    same = [
        name_matching.pattern(way, row_id, train) for way in name_matching.equally_good(parts.ways, match)
    ]
    also = f"; the same names are in {', '.join(same)}: kit init --images sets another folder" if same else ""
    findings = [count_rows(train, f"id {row_id!r}, {label_finding}"), f"images: {images}{also}"]
    if group := _group(parts, row_id, taken, options):
        findings.append(f"group: {group[0]!r}, {group[1]}")
    known = {*taken, *(group[:1] if group else ())}
    findings += describe_side_columns(find_side_columns(train, parts.test, known))
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


def _label(
    parts: _Parts, taken: set[str], options: Mapping[str, str]
) -> tuple[dict[str, Any], set[str], str]:
    """Returns the keys of the label, the columns that it uses, and the finding in words."""
    columns = parts.sample.columns[1:] if parts.sample else ()
    hot = None if "label" in options else name_matching.one_hot(parts.train, columns)
    if hot is None and parts.sample is None and "label" not in options:
        free = [
            name
            for name in parts.train.columns
            if name not in taken and name_matching.is_binary(parts.train, name)
        ]
        is_one_hot = name_matching.one_hot(parts.train, free) if len(free) > 2 else None
        hot, columns = (True, tuple(free)) if is_one_hot else (None, columns)
    if hot is False:
        if "target" not in options and (groups := find_part_groups(parts.train, columns)):
            text = (
                f"{len(groups)} parts of an answer, a column of 0 and 1 for each class: {', '.join(groups)}"
            )
            return {"label": None, "target": "several", "parts": groups}, set(columns), text
        return (
            {"label": None},
            set(columns),
            f"{len(columns)} columns of 0 and 1, several labels per row or none",
        )
    if hot:
        return (
            {"label": LABEL, "label_from": {"one_hot": list(columns)}},
            set(columns),
            f"label: the one of {len(columns)} columns that has the 1",
        )
    names_of_parts = parts.wanted or columns
    sample_cells = {cell for name in columns for cell in parts.sample.values(name)} if parts.sample else set()
    is_open = "label" not in options and "target" not in options
    if is_open and find_part_columns(parts.train, names_of_parts, sample_cells):
        text = f"{len(names_of_parts)} parts of an answer, a class of each: {', '.join(names_of_parts)}"
        return {"label": list(names_of_parts), "target": "several"}, set(names_of_parts), text
    values = find_values(parts.train, columns) if "label" not in options else None
    if values:
        return {"label": None, "target": values}, set(columns), f"{len(columns)} columns of {values}"
    longer: tuple[str, ...] = ()
    if "label" not in options and options.get("target", "numbers") == "numbers":
        longer = find_longer_names(parts.train, columns)
    if longer and find_values(parts.train, longer) == "numbers":
        text = f"{len(longer)} columns of numbers, such as {longer[0]!r} for the sample's {columns[0]!r}"
        return {"label": list(longer), "target": "numbers"}, set(longer), text
    label = options.get("label") or roles.find_label(
        parts.train, taken, parts.sample, parts.test, parts.match.photos
    )
    keys: dict[str, Any] = {"label": label}
    if options.get("target", "numbers") == "numbers" and ("target" in options or _is_measured(parts, label)):
        keys["target"] = "numbers"
        text = f"label {label!r}, numbers to be measured: data.target=classes if each number is a class"
        return keys, {label}, text
    return keys, {label, *columns_of(label)}, f"label {label!r}"


def _is_measured(parts: _Parts, label: str) -> bool:
    """Whether a label's column has fractions, or whole numbers for which the sample shows fractions."""
    if label not in parts.train.columns:
        return False
    values = parts.train.values(label)
    if not all(map(is_number, values)):
        return False
    if len(values) > MIN_FRACTIONS and any(not float(value).is_integer() for value in values):
        return True
    answers = parts.sample.columns[1:] if parts.sample else ()
    sample_cells = parts.sample.values(answers[0]) if parts.sample and len(answers) == 1 else set()
    numbers = [float(cell) for cell in sample_cells if is_number(cell)]
    return (
        len(values) > 2
        and len(numbers) == len(sample_cells)
        and any(not number.is_integer() for number in numbers)
    )


def _of_cells(parts: _Parts, label: str | None, options: Mapping[str, str]) -> Found:
    """Returns the separator of a row's labels, if cells clearly have several."""
    if "label_separator" in options:
        return {"label_separator": options["label_separator"]}, []
    if label not in parts.train.columns:
        return {}, []
    columns: tuple[str, ...] = parts.sample.columns[1:] if parts.sample else ()
    single = parts.sample.file.column(columns[0]) if parts.sample and len(columns) == 1 else []
    cells = separator_of(parts.train.file.column(label), columns if len(columns) > 1 else (), single)
    if cells is None:
        return {}, []
    if not cells.is_clear:
        text = f"unclear whether the cells of {label!r} hold several labels each ({cells.why} if {cells.separator!r} "
        text += (
            f"separates them): read as one label per row; else kit init --label-separator {cells.separator!r}"
        )
        return {}, [text]
    text = f"several labels per row, separated by {cells.separator!r}: {cells.why}; "
    text += "data.label_separator=null if they are names"
    return {"label_separator": cells.separator}, [text]


def _of_test(parts: _Parts, train_data: Mapping[str, Any], seen: Scan) -> Found:
    """Returns the location of the images of the rows to predict."""
    rows = parts.test or parts.sample
    if rows is None:
        return {}, ["no sample submission and no test table found: kit init --sample FILE where there is one"]
    if rows not in parts.candidates:
        text = count_rows(
            rows, "rows to predict; their images were not found: kit init --test-images PATTERN"
        )
        return {}, [text, *explain_no_match(seen, rows)]
    is_known = train_data["id"] in rows.columns or "{" in train_data["id"]
    first = train_data["id"] if rows is parts.test and is_known else rows.columns[0]
    pattern = name_matching.pattern(parts.candidates[rows], first, rows)
    for name in columns_of(train_data["images"]):
        if parts.candidates[rows].column in name.split(OR):  # the other columns of images exist too
            pattern = pattern.replace("{" + parts.candidates[rows].column + "}", "{" + name + "}")
    finding = count_rows(rows, f"to predict, images: {pattern}")
    return {"test_images": None if pattern == train_data["images"] else pattern}, [finding]


def _of_classes(parts: _Parts, label: str | None, separator: str | None, seen: Scan) -> Found:
    """Returns the list of classes, and words for photos if the label is made of their names."""
    if label is None:
        return {}, []
    if "{file}" in label:
        pattern_words = name_matching.words_for_files(seen, parts.match)
        return {"label_from": {"files": pattern_words}}, [
            f"{{file}} in the label: {pattern_words}; data.label_from.bins and data.label_from.rename make the rest"
        ]
    labels = parts.train.values(label) if label in parts.train.columns else set()
    if separator is not None:
        labels = {text_part for cell in labels for text_part in labels_in(cell, separator)}
    classes, text = choosing.class_list(seen, labels, parts.sheets, label)
    keys = {"class_list": classes} if classes else {}
    alone = None if separator or classes else parts.sample
    renamed, line = find_underscores(alone, labels)
    if renamed:
        return {**keys, "label_from": {"rename": renamed}}, [
            text_part for text_part in (text, line) if text_part
        ]
    unknown, line = find_unknown_class(alone, labels)
    keys |= {"unknown_class": unknown} if unknown else {}
    listed = next((sheet for sheet in seen.sheets if sheet.name == classes), None)
    of_json = classes is not None and classes.endswith(CATEGORIES)
    if listed and of_json and SUPERCATEGORY in listed.columns:
        has_supercategories = 1 < len(listed.values(SUPERCATEGORY)) < len(listed.file)
        keys |= {"superclasses": SUPERCATEGORY} if has_supercategories else {}
    above, tree = _parents(parts, listed, label) if separator is None else ((), "")
    keys_of_classes: dict[str, Any] = {**keys, **({"parents": list(above)} if above else {})}
    return keys_of_classes, [text_part for text_part in (text, line, tree) if text_part]


def _parents(parts: _Parts, listed: TableFile | None, label: str) -> tuple[tuple[str, ...], str]:
    """Returns the columns with parents of the classes: of the list of classes, else of the training table."""
    if listed is not None:
        return find_parents(listed, label if label in listed.columns else listed.columns[0], {label})
    return find_parents(parts.train, label, {label}) if label in parts.train.columns else ((), "")


def _group(parts: _Parts, row_id: str, taken: set[str], options: Mapping[str, str]) -> tuple[str, str] | None:
    if "group" in options:
        return options["group"], "as given"
    if parts.match.photos:
        return row_id, "the photos of a row share a fold"
    return roles.find_group(parts.train, taken, parts.test) or _folder_group(parts)


def _folder_group(parts: _Parts) -> tuple[str, str] | None:
    """Returns the folders that paths name, if they are called as groups are, such as patient_012."""
    column = parts.match.column
    return roles.folder_group(parts.train.file.column(column)) if column in parts.train.columns else None
