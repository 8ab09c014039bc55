"""Finds tables with one row per id and class, so that the rest of discovery sees one row per id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.config.models import Data, LongTable
from kit.data.long_rows import find_endings, split_cell, widen
from kit.data.row_sources import one_row_per_id
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import MIN_MATCHED, Scan, TableFile

MAX_PROBED = 200  # ids that are looked up among the images, evenly spread


@dataclass(frozen=True)
class WideSheets:
    """The scan with long tables made wide, and how each of them is read, by its name."""

    seen: Scan
    long: Mapping[str, LongTable]

    def lists_parts(self, test: TableFile | None, train: TableFile, sample: TableFile | None) -> bool:
        """Whether a test table only repeats the sample's rows of each id, and training rows are one for each id."""
        return (
            test is not None
            and sample is not None
            and {test.name, sample.name} <= self.long.keys()
            and train.name not in self.long
        )

    def describe(
        self, train: TableFile, test: TableFile | None, sample: TableFile | None
    ) -> tuple[dict[str, object], list[str]]:
        """Returns the key `data.long`, if the training rows or the rows to predict need it, and the findings.

        The format of the submission finds the ids of a sample.
        """
        used = [
            sheet.name for sheet in (train, test, sample) if sheet is not None and sheet.name in self.long
        ]
        findings = [f"{name}: {_words(self.long[name])}" for name in used]
        long_rows = [self.long[name] for name in used if sample is None or name != sample.name]
        return (
            {"long": long_rows[0].model_dump(mode="json", exclude_defaults=True)} if long_rows else {}
        ), findings


def _words(long: LongTable) -> str:
    examples = ", ".join(long.classes[:6]) + (", …" if len(long.classes) > 6 else "")
    where = (
        f"named in {long.class_column!r}"
        if long.class_column
        else f"after {long.separator!r} in the id's cells"
    )
    return f"a row for each id and class, {where}: {examples}"


def widen_sheets(seen: Scan) -> WideSheets:
    """Makes a table wide if its ids name images only without the class at the end of its cells, or if they repeat.

    A submission with several rows per id, such as a ranking, keeps the first of them.
    """
    sheets, long = [], {}
    for sheet in seen.sheets:
        long_rows = _of_cells(seen, sheet) or _of_columns(seen, sheet)
        if long_rows is not None:
            data = Data(id=sheet.columns[0], long=long_rows)
            wide = widen(sheet.file, data, "test" if long_rows.value_column is None else "train")
            long[sheet.name] = long_rows
            sheet = sheet.with_file(wide)
        elif _has_several_rows(seen, sheet):
            sheet = sheet.with_file(one_row_per_id(sheet.file))
        sheets.append(sheet)
    return WideSheets(seen.with_sheets(sheets), long)


def _of_cells(seen: Scan, sheet: TableFile) -> LongTable | None:
    """Returns how a table is read whose first column joins ids of images with classes."""
    cells = sheet.file.column(sheet.columns[0])
    if len(sheet.columns) < 2 or seen.names_image(cells[0]) or seen.names_record(cells[0]):
        return None
    endings = find_endings(cells)
    if endings is None:
        return None
    separator, classes = endings
    pairs = [pair for cell in cells if (pair := split_cell(cell, set(classes), separator)) is not None]
    if not _name_images(seen, [name for name, _ in pairs]):
        return None
    value = _value_column(sheet, [name for name, _ in pairs], classes)
    return LongTable(classes=classes, value_column=value, separator=separator)


def _value_column(sheet: TableFile, ids: Sequence[str], classes: Sequence[str]) -> str | None:
    """Returns the column that varies within an id and does not name the class; with two columns the other one."""
    rest = sheet.columns[1:]
    if len(rest) == 1 and set(sheet.file.column(rest[0])) != set(classes):
        return rest[0]
    varying = [
        column
        for column in rest
        if len(set(zip(ids, sheet.file.column(column), strict=True))) > len(set(ids))
        and not set(sheet.file.column(column)) <= set(classes)
    ]
    return varying[-1] if varying else None


def _of_columns(seen: Scan, sheet: TableFile) -> LongTable | None:
    """Returns how a table of three columns is read, if the first repeats each id with every class of the second.

    Names of images are not classes, unless all are numbers, which classes may be too.
    """
    if len(sheet.columns) != 3:
        return None
    ids = sheet.file.column(sheet.columns[0])
    count = len(set(ids))
    if count == len(ids) or not _name_images(seen, ids):
        return None
    for name, value in (sheet.columns[1:], sheet.columns[:0:-1]):
        names = sheet.file.column(name)
        classes = tuple(dict.fromkeys(names))
        pairs = set(zip(ids, names, strict=True))
        are_images = not all(map(str.isdigit, classes)) and _name_images(seen, classes)
        if len(classes) > 1 and len(pairs) == len(ids) == count * len(classes) and not are_images:
            return LongTable(classes=classes, value_column=value, class_column=name)
    return None


def _has_several_rows(seen: Scan, sheet: TableFile) -> bool:
    """Whether a table is called a submission, and its first column names images several times."""
    if not roles.words(sheet.name) & (roles.SAMPLE | roles.SUBMISSION):
        return False
    ids = sheet.file.column(sheet.columns[0])
    return len(set(ids)) < len(ids) and _name_images(seen, ids)


def _name_images(seen: Scan, ids: Sequence[str]) -> bool:
    """Whether nearly all ids name image files, or images in containers."""
    different = list(dict.fromkeys(ids))
    probed = different[:: max(len(different) // MAX_PROBED, 1)]
    names_of_images = sum(seen.names_image(cell) or seen.names_record(cell) for cell in probed)
    return names_of_images >= MIN_MATCHED * len(probed)
