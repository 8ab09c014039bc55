"""Rows of a source before labels become numbers: their own checks, cells with line breaks, and external rows."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.core.legible import is_legible, legible
from kit.data.csv_file import CsvFile, unknown_column
from kit.data.encodings import LINE_END, line_breaks
from kit.data.image_paths import ImageFolder, fill, raise_missing
from kit.data.spelling import nfc
from kit.errors import MAX_CASES, Case, DataError, KitWarning

if TYPE_CHECKING:
    from kit.config.models import Data
    from kit.core.arrays import Ids


@dataclass(frozen=True)
class SourceRows:
    """Rows as their source has them: ids, image paths, and columns of text, all in the source's order."""

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    columns: Mapping[str, Sequence[str]]
    sources: tuple[str, ...] = ()  # of each row, blank for the competition's own; none where all are


def refuse_unusable(
    found: ImageFolder, data: Data, names: Sequence[str], ids: Sequence[str], codes: Sequence[str], split: str
) -> None:
    """Raises for what cannot be used; rows that the config lets go on are left to whoever reads the images."""
    goes_on = (
        data.on_unreadable_train == "skip" if split == "train" else data.on_unreadable_test == "class_prior"
    )
    serious = [code if code == "D20" or not goes_on else "" for code in codes]
    raise_missing(found, names, ids, serious, split)


def warn_of_names(paths: Iterable[Path | str], split: str) -> None:
    """Warns (W50) of files whose names are not UTF-8, as they become parts of ids and labels."""
    odd = [path for path in map(str, paths) if not is_legible(path)]
    if odd:
        text = f"W50 the names of {len(odd)} {split} files are not UTF-8, so their ids show the bytes: "
        more = ", …" if len(odd) > MAX_CASES else ""
        shown = ", ".join(legible(path) for path in odd[:MAX_CASES])
        warnings.warn(KitWarning(f"{text}{shown}{more}"), stacklevel=2)


def check_ids(ids: Sequence[str], lines: Sequence[int], file: Path, split: str) -> None:
    """Raises DataError for blank (D23) and double (D24) ids; warns of ids that differ only by case (W03)."""
    blank = [
        Case(f"row {line} has no id", str(file), split=split, code="D23")
        for row, line in zip(ids, lines, strict=True)
        if not row.strip()
    ]
    if blank:
        raise DataError(f"{len(blank)} {split} rows have no id", code="D23", cases=blank)
    if len(set(ids)) < len(ids):
        rows: dict[str, list[str]] = defaultdict(list)
        for row, line in zip(ids, lines, strict=True):
            rows[row].append(str(line))
        cases = [
            Case(f"id {row!r} occurs in rows {', '.join(where)}", "", row, split, "D24")
            for row, where in rows.items()
            if len(where) > 1
        ]
        raise DataError(
            f"{file}: {len(cases)} duplicate ids",
            code="D24",
            cases=cases,
            hint="data.id must identify each row; photos in one folder need different names",
        )
    forms = ids if all(map(str.isascii, ids)) else [nfc(row) for row in ids]
    folded = Counter(map(str.casefold, forms))
    if len(folded) < len(ids):
        alike = [row for row, form in zip(ids, forms, strict=True) if folded[form.casefold()] > 1]
        ways = ["case"] if len(folded) < len(set(forms)) else []
        ways += ["Unicode form"] if len(set(forms)) < len(ids) else []
        text = f"W03 {len(alike)} {split} ids differ only by {' or '.join(ways)}: {', '.join(alike[:6])}"
        warnings.warn(KitWarning(text), stacklevel=2)


@dataclass(frozen=True)
class MultiLineCell:
    """A cell with line breaks, by row and column, and the lines on which its quote opens and closes."""

    row: int
    place: int
    opens: int
    closes: int


def multi_line_cells(file: CsvFile) -> Iterator[MultiLineCell]:
    """Each cell with line breaks, in the order of the file."""
    for row, line in file.begun.items():
        for place, cell in enumerate(file.rows[row]):
            if breaks := line_breaks(cell):
                yield MultiLineCell(row, place, line, line + breaks)
                line += breaks


def check_multi_line_cells(file: CsvFile, sep: str, columns: Collection[str] | None = None) -> None:
    """Raises DataError (D73) for a cell with line breaks in one of `columns`, by default in any.

    In other columns it warns (W56) of cells whose every line has as many fields as a row.
    """
    cells = list(multi_line_cells(file))
    wrong = [
        Case(
            f"column {file.columns[cell.place]!r}: a quote opens on line {cell.opens} and closes on line {cell.closes}",
            str(file.path),
            code="D73",
        )
        for cell in cells
        if columns is None or file.columns[cell.place] in columns
    ]
    if wrong:
        raise DataError(
            f"{file.path} has {len(wrong)} cell{'s' * (len(wrong) > 1)} with line breaks in ids or "
            f"labels; {wrong[0].detail}",
            code="D73",
            cases=wrong,
            hint="remove the line breaks, or the two stray quotes that turn the rows between them into "
            "one cell",
        )
    swallowed = [cell for cell in cells if _looks_like_rows(file, sep, cell)]
    if swallowed:
        first, lost = swallowed[0], sum(cell.closes - cell.opens for cell in swallowed)
        warnings.warn(
            KitWarning(
                f"W56 {file.path}: {lost} row{'s' * (lost > 1)} may be lost in cells that contain "
                f"several rows: in column {file.columns[first.place]!r} a quote opens on line "
                f"{first.opens} and closes on line {first.closes}"
            ),
            stacklevel=3,
        )


def _looks_like_rows(file: CsvFile, sep: str, cell: MultiLineCell) -> bool:
    """Whether each of the lines that a cell spans has a row's number of separators."""
    cells = file.rows[cell.row]
    if sum(map(line_breaks, cells)) > cell.closes - cell.opens:
        return False  # another cell has line breaks too
    if f"{sep} " in cells[cell.place]:
        return False  # a sentence: cells of a table begin without a blank
    last = len(cells) - 1
    counts = [part.count(sep) for part in LINE_END.split(cells[cell.place])]
    counts[0] += cell.place
    counts[-1] += last - cell.place
    return last > 0 and all(count == last for count in counts)


TABLE = "table"  # the column that says from which of several tables a row is
SOURCE = "source"  # the column of a table of external rows that names where each is from
LICENCE = ("licence", "license")  # columns that say under which licence a source is
ORIGIN = "origin"  # and where it was found: an address, a paper


@dataclass(frozen=True, order=True)
class ExternalSource:
    """Rows of one source, licence and origin; the last two blank where the table does not say."""

    name: str
    licence: str
    origin: str
    rows: int = 0

    def __str__(self) -> str:
        licence = f"licence {self.licence}" if self.licence else "no licence"
        return ", ".join([f"{self.rows} rows", licence, *([f"from {self.origin}"] if self.origin else [])])


def with_source_column(rows: SourceRows, column: str | None) -> SourceRows:
    """The competition's table, with the source that a column names for each row; blank is the competition itself."""
    if column is None:
        return rows
    if column not in rows.columns:
        raise unknown_column(column, rows.columns, "data.external.source_column")
    return replace(rows, sources=tuple(cell.strip() for cell in rows.columns[column]))


def with_external_rows(own: SourceRows, more: SourceRows, file: Path) -> SourceRows:
    """The competition's rows, then those of another table; a column that one of them lacks is blank there.

    Raises DataError D24 for an id that both have.
    """
    known = set(own.ids)
    double = [
        Case("is in both tables", str(file), name, "train", "D24") for name in more.ids if name in known
    ]
    if double:
        raise DataError(
            f"{len(double)} ids of {file} are also in data.train",
            code="D24",
            cases=double,
            hint="use other ids, for example with the name of the source as a prefix",
        )
    columns = {
        name: [*_cells(own, name), *_cells(more, name)]
        for name in dict.fromkeys([*own.columns, *more.columns])
    }
    sources = [cell.strip() or file.stem for cell in _cells(more, SOURCE)]
    before = own.sources or ("",) * len(own.ids)
    return replace(
        own,
        ids=(*own.ids, *more.ids),
        paths=(*own.paths, *more.paths),
        columns=columns,
        sources=(*before, *sources),
    )


def _cells(rows: SourceRows, name: str) -> Sequence[str]:
    return rows.columns.get(name, [""] * len(rows.ids))


def concat_rows(parts: Sequence[SourceRows], names: Sequence[str]) -> SourceRows:
    """The rows of several tables, whose names are in the column `table`; a column that one lacks is blank there.

    Raises DataError D24 for an id that two of them have.
    """
    owner: dict[str, str] = {}
    double: list[Case] = []
    for rows, file in zip(parts, names, strict=True):
        double += [
            Case(f"is in {owner[name]} and in {file}", "", name, "train", "D24")
            for name in rows.ids
            if name in owner
        ]
        owner |= dict.fromkeys(rows.ids, file)
    if double:
        raise DataError(
            f"{len(double)} ids are in two tables of data.train",
            code="D24",
            cases=double,
            hint="data.train lists tables of different rows; if one is another version, leave it out",
        )
    columns = {
        name: [cell for rows in parts for cell in _cells(rows, name)]
        for name in dict.fromkeys(name for rows in parts for name in rows.columns)
    }
    stems = [Path(file).stem for file, rows in zip(names, parts, strict=True) for _ in rows.ids]
    columns.setdefault(TABLE, stems)
    return SourceRows(
        tuple(name for rows in parts for name in rows.ids),
        tuple(path for rows in parts for path in rows.paths),
        columns,
    )


def fill_keys(
    rows: SourceRows,
    pattern: str,
    columns: Mapping[str, Sequence[str]],
    noun: str,
    configured: str,
    split: str,
    hint: str,
) -> Ids:
    """The group or the answer (`noun`) of each row by a pattern; `configured` is what data.group or data.answer holds.

    Raises ConfigError C07 for a column that does not exist, DataError D30 for rows without one.
    """
    found = _external_groups(rows, fill(pattern, columns, f"data.{noun}"))
    blank = [
        Case(f"no {noun}", "", row, split, "D30")
        for row, key in zip(rows.ids, found, strict=True)
        if not key.strip()
    ]
    if blank:
        what = "training" if split == "train" else split
        raise DataError(
            f"{len(blank)} {what} rows have no {noun} (data.{noun} {configured!r})",
            code="D30",
            cases=blank,
            hint=hint,
        )
    return np.array(found, dtype=str)


def _external_groups(rows: SourceRows, groups: Sequence[str]) -> list[str]:
    """The groups; an external row that names none is a group of its own, by its id."""
    if not rows.sources:
        return list(groups)
    told = zip(groups, rows.ids, rows.sources, strict=True)
    return [group if group.strip() or not source else f"{source} {name}" for group, name, source in told]


def sources_of(sources: Sequence[str], columns: Mapping[str, Sequence[str]]) -> tuple[ExternalSource, ...]:
    """The external sources among rows, by name: for the rules, the manifest and the write-up."""
    if not any(sources):  # a competition's own table may have such columns too, and needs no permission
        return ()
    blank = [""] * len(sources)
    licences = next((columns[name] for name in LICENCE if name in columns), blank)
    told = zip(sources, licences, columns.get(ORIGIN, blank), strict=True)
    counts = Counter(
        ExternalSource(name, licence.strip(), origin.strip()) for name, licence, origin in told if name
    )
    return tuple(replace(source, rows=count) for source, count in sorted(counts.items()))


def describe_sources(sources: Iterable[ExternalSource]) -> dict[str, str]:
    """What is known of each source by its name, as the manifest and a write-up tell it."""
    told: dict[str, str] = {}
    for source in sources:
        told[source.name] = "; ".join(filter(None, [told.get(source.name), str(source)]))
    return told


def check_allowed(rows: SourceRows, rule: str | Sequence[str]) -> None:
    """Raises DataError D63 for external rows that the rule does not allow, D29 where no row is the competition's."""
    found = sources_of(rows.sources, rows.columns)
    refused = [source for source in found if not is_allowed(source.licence, rule)]
    if refused:
        count = sum(source.rows for source in refused)
        asked = rule if isinstance(rule, str) else ", ".join(rule)
        raise DataError(
            f"{count} external rows are not allowed (data.external.policy: {asked})",
            code="D63",
            cases=[Case(str(source), source.name, split="train", code="D63") for source in refused],
            hint="remove them; the rules of the competition define what is allowed",
        )
    if rows.sources and all(rows.sources):
        raise DataError(
            "all rows are external, so no row can be scored", code="D29", hint="data.external.source_column"
        )


def is_allowed(licence: str, rule: str | Iterable[str]) -> bool:
    """Whether a licence is one of the patterns of a rule, and none of those that begin with `!`.

    Where all patterns begin so, any other licence is allowed, but not one that is not named.
    """
    if isinstance(rule, str):
        return rule == "allowed"
    name, patterns = _plain(licence), [_plain(pattern) for pattern in rule]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    allowed = [pattern for pattern in patterns if not pattern.startswith("!")]
    if not name or any(fnmatchcase(name, pattern) for pattern in refused):
        return False
    return any(fnmatchcase(name, pattern) for pattern in allowed) if allowed else bool(refused)


def _plain(licence: str) -> str:
    """`CC BY 4.0` and `cc-by-4.0` are one."""
    return licence.strip().lower().replace(" ", "-").replace("_", "-")
