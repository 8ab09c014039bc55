"""Answers of several images: the column or folder with the sample's ids, and tables with several images per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kit.data.image_columns import OR
from kit.data.image_paths import columns_of
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile

FULL = 0.95  # share of a column's cells that name an image, from which it is a column of images


def image_columns(train: TableFile, match: ColumnMatch, ways: Sequence[ColumnMatch]) -> str | None:
    """Returns the pattern of all columns of a table that name images by the same path, if each row has
    several; else None.

    `ways` are all matches of the table with images.
    """
    if match.photos or match.column not in train.columns:
        return None
    same = {
        way.column: train.values(way.column)
        for way in ways
        if not way.photos
        and way.covered >= FULL
        and way.pattern == match.pattern.replace("{" + match.column + "}", "{" + way.column + "}")
    }
    columns = [column for column in train.columns if column in same]
    values = [same[column] for column in columns]
    total = sum(map(len, values))
    if len(columns) < 2 or len(set().union(*values)) < total:
        return None
    return match.pattern.replace("{" + match.column + "}", "{" + OR.join(columns) + "}")


def row_of_images(train: TableFile, images: str, sample: TableFile | None) -> str | None:
    """Returns the column that names a row of several images: the sample's, else a unique one that is named an id."""
    inside = {part for name in columns_of(images) for part in name.split(OR)}
    unique = [
        column
        for column in train.columns
        if column not in inside and len(train.values(column)) == len(train.file)
    ]
    first = [column for column in unique if sample and column == sample.columns[0]]
    return next(iter([*first, *(column for column in unique if "id" in column.lower())]), None)


def find_answer(
    data: Mapping[str, Any],
    match: ColumnMatch,
    train: TableFile,
    test: TableFile | None,
    sample: TableFile | None,
    candidates: Mapping[TableFile, ColumnMatch],
    seen: Scan,
) -> tuple[dict[str, Any], list[str]]:
    """Returns the key `answer` and the reason: a row of several images, or a folder or column that has the
    sample's ids.

    It is empty if the sample's ids are images, or if `data` has the key.
    """
    if "answer" in data:
        return {}, []
    if OR in "".join(columns_of(data["images"])):
        text = f"answer: {data['id']!r}, the images of a row share one prediction"
        return {"answer": data["id"]}, [text]
    folder = answer_of_folders(match, data["id"], sample, candidates)
    if folder is not None and sample is not None:
        text = (
            f"answer: {folder!r}, the ids of {sample.name} are folders of images, which share one prediction"
        )
        return {"answer": folder}, [text]
    column, text = answer_column(train, test, sample, candidates, seen)
    return ({"answer": column} if column else {}), [text] if text else []


def answer_of_folders(
    match: ColumnMatch, row_id: str, sample: TableFile | None, candidates: Mapping[TableFile, ColumnMatch]
) -> str | None:
    """Returns the answer if the sample's ids are folders of images to predict; None if they are images."""
    if sample is None or sample not in candidates or not candidates[sample].photos:
        return None
    return row_id if match.photos else "{folder}"


def answer_column(
    train: TableFile,
    test: TableFile | None,
    sample: TableFile | None,
    candidates: Mapping[TableFile, ColumnMatch],
    seen: Scan,
) -> tuple[str | None, str]:
    """Returns the column of the training and the test table whose values are the sample's ids, and the
    finding in words.

    Both are empty if the sample's ids are images. There are only words if a table has the column and it
    cannot be used.
    """
    if sample is None or sample in candidates:
        return None, ""
    ids = sample.values(sample.columns[0])
    for sheet in [*(first for first in (test,) if first), *seen.sheets]:
        own = candidates[sheet].column if sheet in candidates else None
        if sheet.name in (sample.name, train.name) or not ids or (own and ids & sheet.values(own)):
            continue
        for column in sheet.columns:
            if (
                column == own
                or len(sheet.values(column)) == len(sheet.file)
                or not ids <= sheet.values(column)
            ):
                continue
            if test is not None and sheet.name == test.name and column in train.columns:
                count = f"the {len(ids)} ids of {sample.name} are its values in {sheet.name}"
                return column, f"answer: {column!r}, {count}; its images share one prediction"
            return None, _cannot_use(sheet, column, sample, train, test)
    return None, ""


def _cannot_use(
    sheet: TableFile, column: str, sample: TableFile, train: TableFile, test: TableFile | None
) -> str:
    what = f"{sample.name} wants one answer for each {column!r} of {sheet.name}, not for each image"
    if column not in train.columns:
        return f"{what}; {train.name} has no such column: add it, then kit init --answer COLUMN"
    if test is None or sheet.name != test.name:
        return f"{what}; its images were not found: kit init --test {sheet.name} --test-images PATTERN"
    return what
