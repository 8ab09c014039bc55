"""Finds how a table names its images: the column, the path pattern, and the column of the id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kit.config.models import Data
from kit.core.locations import JOIN, KEY
from kit.data.image_paths import columns_of
from kit.errors import Case, ConfigError
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import MIN_MATCHED, ColumnMatch, Scan, TableFile
from kit.stages.discovery.near_misses import instead_of_images, near_misses


def train_match(
    train: TableFile, matches: list[ColumnMatch], options: Mapping[str, str], seen: Scan
) -> ColumnMatch:
    """Returns how the training rows name their images. Raises ConfigError if they do not."""
    if "images" in options:
        columns = columns_of(options["images"])
        # of several files a row, such as a slice and its neighbours, the one that no other row has names the row
        unique = [
            name for name in columns if name in train.columns and len(train.values(name)) == len(train.file)
        ]
        key_columns = (unique or columns)[-1:]
        column = (
            key_columns[0]
            if key_columns and key_columns[0] in train.columns
            else options.get("id", train.columns[0])
        )
        return ColumnMatch(column, options["images"], 1.0, 1.0, options["images"].endswith("/*"))
    if not matches:
        folders = [
            Case(f"{len(names)} images, such as {names[0]}", folder) for folder, names in seen.folders.items()
        ]
        misses = near_misses(seen, [train])
        cases = [*(miss.case for miss in misses), *instead_of_images(seen), *folders]
        raise ConfigError(
            f"no column of {train.name} names {MIN_MATCHED:.0%} of its images",
            code="C20",
            cases=cases or ["there are no images below this folder"],
            hint=misses[0].mended if misses else "kit init --images 'folder/{column}.jpg'",
        )
    return choose_naming(matches, roles.TRAIN, roles.TEST)


def choose_naming(
    matches: list[ColumnMatch],
    for_words: frozenset[str],
    against: frozenset[str],
    like: ColumnMatch | None = None,
) -> ColumnMatch:
    """Returns the best way to name images by the rules of docs/init.md, which rank any two ways differently.

    The share of cells that name an image and the share of images that are named come first, then words such
    as "train" in the path. If folders hold the same names, the folder is taken whose name is `like`'s except
    for the role. After that the one with `like`'s file ending is taken, then the one whose ending comes first
    in data.extensions.
    """
    order = {name: number for number, name in enumerate(Data().extensions)}
    return min(
        matches,
        key=lambda match: (
            -round(match.covered, 2),
            -round(match.used, 2),
            bool(roles.words(match.pattern) & against) - bool(roles.words(match.pattern) & for_words),
            len(columns_of(match.pattern)),
            "id" not in roles.words(match.column),
            like is not None and _shape(match.pattern) != _shape(like.pattern),
            like is not None and match.ending != like.ending,
            order.get(match.ending, len(order)),
            len(match.pattern),
            match.pattern,
        ),
    )


def _shape(pattern: str) -> str:
    """Returns the folders of a pattern with a star for each word of the images' role."""
    base = pattern.partition("{")[0].lower()
    return re.sub(r"[a-z]+", lambda match: "*" if match[0] in roles.TRAIN | roles.TEST else match[0], base)


def equally_good(matches: Sequence[ColumnMatch], chosen: ColumnMatch) -> list[ColumnMatch]:
    """Returns other folders whose files have the names of the chosen one's, in the order of their patterns."""
    same = [
        each
        for each in matches
        if each.column == chosen.column
        and each.pattern != chosen.pattern
        and (round(each.covered, 2), round(each.used, 2)) == (round(chosen.covered, 2), round(chosen.used, 2))
    ]
    return sorted(same, key=lambda match: match.pattern)


def test_match(
    sheet: TableFile, matches: list[ColumnMatch], train: TableFile, match: ColumnMatch
) -> ColumnMatch | None:
    """Returns how a table names images other than the training rows'; None if it names those or none.

    A row has as many images as a training row.
    """
    mine = train.values(match.column) if match.column in train.columns else set()
    shape = re.sub(r"\{.*", "", match.pattern)
    free = [
        each
        for each in matches
        if each.pattern.count(JOIN) == match.pattern.count(JOIN)
        and (
            re.sub(r"\{.*", "", each.pattern) != shape
            or len(sheet.values(each.column) & mine) < 0.01 * len(sheet.file)
        )
    ]
    return choose_naming(free, roles.TEST, roles.TRAIN, match) if free else None


def id_column(
    train: TableFile, match: ColumnMatch, sample: TableFile | None, test: TableFile | None = None
) -> str:
    """Returns the column that names a row: the one whose values in the test table are the sample's ids, if
    there is one.

    Otherwise it is the one that names images, unless it has paths and another is unique.
    """
    wanted = sample.values(sample.columns[0]) if sample and test else set[str]()
    for column in test.columns if test and wanted else ():
        is_unique = column in train.columns and len(train.values(column)) == len(train.file)
        if is_unique and test and wanted <= test.values(column):
            return column
    cells = train.file.column(match.column) if match.column in train.columns else []
    if cells and not match.photos and not any("/" in cell for cell in cells):
        return match.column
    unique = [column for column in train.columns if len(train.values(column)) == len(train.file)]
    sampled = [column for column in unique if sample and column == sample.columns[0]]
    id_named = [column for column in unique if "id" in roles.words(column)]
    return (sampled or id_named or [match.column])[0]


ZEROS, ONES = frozenset({"0", "0.0"}), frozenset({"1", "1.0"})


def is_binary(sheet: TableFile, column: str) -> bool:
    """Whether all cells of a column are 0 or 1."""
    return set(sheet.file.column(column)) <= ZEROS | ONES


def one_hot(train: TableFile, columns: Sequence[str]) -> bool | None:
    """Returns whether each training row has a 1 in exactly one of these columns; None if they are not of 0 and 1."""
    if len(columns) < 2 or not set(columns) <= set(train.columns):
        return None
    if not all(is_binary(train, column) for column in columns):
        return None
    rows = set(zip(*(train.file.column(column) for column in columns), strict=True))
    ones = [[cell in ONES for cell in row] for row in rows]
    return all(sum(row) == 1 for row in ones)


def pattern(match: ColumnMatch, row_id: str, sheet: TableFile) -> str:
    """Returns the pattern with {id} for the id's column, unless another column is called so."""
    if match.column == row_id and "id" not in set(sheet.columns) - {row_id}:
        return re.sub(rf"\{{{re.escape(row_id)}(\[[-\d:]+\])?\}}", r"{id\1}", match.pattern)
    return match.pattern


def words_for_files(seen: Scan, match: ColumnMatch) -> dict[str, str]:
    """Returns a word for each kind of photo: its name without the number at its end."""
    base = match.pattern.partition("{")[0].rstrip("/")
    stems = {
        name.rpartition(".")[0]
        for folder, names in seen.folders.items()
        if folder.startswith(base)
        for name in names
    }
    cut = {re.sub(r"[_-]?\d+$", "", stem) or stem for stem in stems}
    return {(word if word in stems else word + "*"): word for word in sorted(cut)}


def folder_columns(match: ColumnMatch) -> set[str]:
    """Returns columns of the pattern that name folders, and may also be the label."""
    return set(columns_of(match.pattern)) - {match.column}


def same_container(match: ColumnMatch, other: ColumnMatch | None, ways: Sequence[ColumnMatch]) -> ColumnMatch:
    """Returns how the training rows name images: in containers if the rows to predict do, because one reader
    reads both.
    """
    if other is None or KEY not in other.pattern or KEY in match.pattern:
        return match
    alike = [way for way in ways if KEY in way.pattern and way.ending == other.ending]
    return choose_naming(alike, roles.TRAIN, roles.TEST) if alike else match
