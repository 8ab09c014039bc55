"""Rows of more than one table: several tables of data.train, and external rows with their sources and licences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from kit.data.csv_file import unknown_column
from kit.data.rows import SourceRows
from kit.errors import Case, DataError

TABLE = "table"  # the column with the table of a row, if there are several
SOURCE = "source"  # the column with the origin of each external row
LICENCE = ("licence", "license")  # columns with the licence of a source
ORIGIN = "origin"  # columns with its origin: an address, a paper


@dataclass(frozen=True, order=True)
class ExternalSource:
    """Rows of one source, licence and origin. The last two are blank if the table does not have them."""

    name: str
    licence: str
    origin: str
    rows: int = 0

    def __str__(self) -> str:
        licence = f"licence {self.licence}" if self.licence else "no licence"
        return ", ".join([f"{self.rows} rows", licence, *([f"from {self.origin}"] if self.origin else [])])


def with_source_column(rows: SourceRows, column: str) -> SourceRows:
    """Returns the competition's table with the source of each row from a column; blank is the competition itself."""
    if column not in rows.columns:
        raise unknown_column(column, rows.columns, "data.external.source_column")
    return replace(rows, sources=tuple(cell.strip() for cell in rows.columns[column]))


def with_external_rows(own: SourceRows, more: SourceRows, file: Path) -> SourceRows:
    """Returns the competition's rows, then those of another table. A column that one of them lacks is blank there.

    Raises DataError D24 if both have an id.
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
    """Returns the rows of several tables, with their names in the column `table`.

    A column that one lacks is blank there.

    Raises DataError D24 if two of them have an id.
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


def sources_of(sources: Sequence[str], columns: Mapping[str, Sequence[str]]) -> tuple[ExternalSource, ...]:
    """Returns the external sources among rows, by name: for the rules, the manifest and the write-up."""
    if not any(sources):  # a competition's own table may have such columns too, and needs no permission
        return ()
    blank = [""] * len(sources)
    licences = next((columns[name] for name in LICENCE if name in columns), blank)
    provenance = zip(sources, licences, columns.get(ORIGIN, blank), strict=True)
    counts = Counter(
        ExternalSource(name, licence.strip(), origin.strip()) for name, licence, origin in provenance if name
    )
    return tuple(replace(source, rows=count) for source, count in sorted(counts.items()))


def describe_sources(sources: Iterable[ExternalSource]) -> dict[str, str]:
    """Returns a description of each source by its name, for the manifest and the write-up."""
    descriptions: dict[str, str] = {}
    for source in sources:
        descriptions[source.name] = "; ".join(filter(None, [descriptions.get(source.name), str(source)]))
    return descriptions


def check_allowed(rows: SourceRows, rule: str | Sequence[str]) -> None:
    """Raises DataError D63 for external rows that the rule does not allow, D29 if no row is the competition's."""
    sources = sources_of(rows.sources, rows.columns)
    refused = [source for source in sources if not is_allowed(source.licence, rule)]
    if refused:
        count = sum(source.rows for source in refused)
        policy = rule if isinstance(rule, str) else ", ".join(rule)
        raise DataError(
            f"{count} external rows are not allowed (data.external.policy: {policy})",
            code="D63",
            cases=[Case(str(source), source.name, split="train", code="D63") for source in refused],
            hint="remove them; the rules of the competition define what is allowed",
        )
    if rows.sources and all(rows.sources):
        raise DataError(
            "all rows are external, so no row can be scored", code="D29", hint="data.external.source_column"
        )


def is_allowed(licence: str, rule: str | Iterable[str]) -> bool:
    """Whether a licence matches a pattern of a rule, and none of those that start with `!`.

    If all patterns start with `!`, any other licence is allowed, but a missing one is not.
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
    """Returns the same text for `CC BY 4.0` and `cc-by-4.0`."""
    return licence.strip().lower().replace(" ", "-").replace("_", "-")
