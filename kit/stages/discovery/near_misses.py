"""Near misses: why a table's cells name no image although they nearly do, and what the folder has instead of images."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kit.core.legible import legible
from kit.data.content import ARCHIVES, FORMATS, UNREAD, ending, without_ending
from kit.data.spelling import nfc
from kit.errors import Case
from kit.kinds.readers import other_readers
from kit.stages.discovery.file_scan import MIN_MATCHED, Scan, TableFile

MAX_CELLS_COMPARED = 200  # cells of a column that are checked, evenly spread
MIN_SHARE = 0.5  # share of them that must miss in the same way
SEVERAL = 0.2  # share of distinct cells in a column, if each id occurs on several rows

FORMULA = re.compile(r'="(.*)"')
ADDRESS = re.compile(r"\w+://")
WORDS = {
    "blanks": "blanks around the names",
    "formula": "spreadsheet formulas",
    "quotes": "quotes around the names",
    "windows": "Windows paths",
    "address": "addresses",
    "folder": "paths below another folder",
    "ending": "another ending than the files have",
    "point": "numbers with a decimal point",
    "zeros": "numbers that lost their leading zeros",
    "capitals": "other capitals than the files have",
    "part": "only a part of the files' names",
}
# the correction of each in pandas
MENDED = {
    "blanks": ".str.strip()",
    "formula": """.str.replace(r'^="(.*)"$', r'\\1', regex=True)""",
    "quotes": """.str.strip("'\\"`")""",
    "windows": r""".str.replace('\\', '/', regex=False)""",
    "ending": r""".str.replace(r'\.[^./]*$', '', regex=True)""",
    "point": r""".str.replace(r'\.0+$', '', regex=True)""",
}


@dataclass(frozen=True)
class Miss:
    """A column whose cells nearly name images: the differences, with one cell and the file that it means."""

    sheet: str
    column: str
    kinds: tuple[str, ...]
    cell: str
    file: str
    rate: float  # share of the cells that miss in this way
    mended: str = ""  # the fix
    text: str = ""  # in place of the kinds'

    @property
    def case(self) -> Case:
        """The case for an error or a finding."""
        ways = self.text or ", ".join(WORDS[kind] for kind in self.kinds)
        example = f": {self.cell!r} for {legible(self.file)}" if self.file else f": {self.cell!r}"
        return Case(f"column {self.column!r} has {ways}{example}", self.sheet)


def near_misses(seen: Scan, sheets: Sequence[TableFile]) -> list[Miss]:
    """Returns the most likely near miss of each table, those of most cells first. Tables without one are left out."""
    names = _Names(seen)
    misses = [miss for sheet in sheets if (miss := _of_sheet(names, sheet))]
    return sorted(misses, key=lambda miss: miss.rate, reverse=True)


def instead_of_images(seen: Scan) -> list[Case]:
    """Returns archives, and files of other readers and of formats that kit does not read, counted by ending."""
    files = [posixpath.join(folder, name) for folder, names in seen.others.items() for name in names]
    cases = [Case("is packed: unpack it first", legible(file)) for file in files if ending(file) in ARCHIVES]
    counts = Counter(ending(file) for file in files if ending(file) in UNREAD - ARCHIVES)
    readers = {kind: reader.plugin_name() for reader in other_readers() for kind in type(reader).endings}
    for kind, count in counts.most_common():
        if kind in readers:
            example = next(file for file in files if ending(file) == kind)
            text = f"{count:,} {kind} files, which data.reader={readers[kind]} reads if a column names them"
            cases.append(Case(text, legible(example)))
            continue
        example = next(file for file in files if ending(file) == kind)
        form = f" ({FORMATS[kind]})" if kind in FORMATS else ""
        cases.append(Case(f"{count:,} {kind} files{form}, which kit does not read yet", legible(example)))
    return cases


class _Names:
    """The image files of a folder, by their names and by variants of these."""

    def __init__(self, seen: Scan) -> None:
        self.seen = seen
        self.files = [
            posixpath.join(folder, name) for folder, names in seen.folders.items() for name in names
        ]

    @cached_property
    def by_name(self) -> dict[str, str]:
        """File by its name, with and without its ending."""
        names = {without_ending(posixpath.basename(nfc(file))): file for file in self.files}
        return names | {posixpath.basename(nfc(file)): file for file in self.files}

    @cached_property
    def by_number(self) -> dict[int, str]:
        """File by the number that its name is."""
        stems = ((without_ending(posixpath.basename(file)), file) for file in self.files)
        return {
            int(stem): file for stem, file in stems if stem.isascii() and stem.isdigit() and len(stem) < 20
        }

    @cached_property
    def by_small(self) -> dict[str, str]:
        """File by its name in lower case."""
        return {name.casefold(): file for name, file in self.by_name.items()}

    def find_file(self, path: str) -> str:
        """Returns the file that a path names exactly, with or without its ending; empty if it does not exist."""
        file = self.by_name.get(nfc(posixpath.basename(path)), "")
        if not file or "/" not in path:
            return file
        wanted = "/" + posixpath.normpath(path)
        full = "/" + file
        return file if full.endswith(wanted) or without_ending(full).endswith(wanted) else ""

    def find_meant_file(self, cell: str) -> tuple[tuple[str, ...], str]:
        """Returns the differences between a cell and a file, and the file; an empty file if no file is similar."""
        kinds, text = _clean(cell)
        if not text:
            return (), ""
        pieces = text.split("/")
        for dropped in range(len(pieces)):
            path = "/".join(pieces[dropped:])
            ways = (*kinds, *(("address",) if ADDRESS.match(text) else ("folder",))) if dropped else kinds
            more, file = self._like(path)
            if file:
                return (*ways, *more), file
        return (), ""

    def _like(self, path: str) -> tuple[tuple[str, ...], str]:
        """Returns the difference between a path without surrounding text and a file, and the file."""
        if file := self.find_file(path):
            return (), file
        if (stem := without_ending(path)) != path and (file := self.find_file(stem)):
            return ("ending",), file
        name = posixpath.basename(path)
        for kinds, number in (((), name), (("ending",), without_ending(name))):
            is_number = number.isascii() and number.isdigit() and len(number) < 20
            file = self.by_number.get(int(number), "") if is_number else ""
            if file and _is_in(path, file):
                is_float = kinds and re.fullmatch(r"\d+\.0+", name)
                zeros = ("zeros",) if without_ending(posixpath.basename(file)) != number else ()
                return ((*(("point",) if is_float else kinds), *zeros), file)
        for kinds, text in (((), name), (("ending",), without_ending(name))):
            file = self.by_small.get(nfc(text).casefold(), "")
            if file and _is_in(path, file):
                return (*kinds, "capitals"), file
        return (), ""

    def affixes(self, cells: Sequence[str]) -> tuple[str, str, str] | None:
        """Returns the text before and after every cell in a file's name, and the folder; None if they differ."""
        stems = [(without_ending(posixpath.basename(file)), posixpath.dirname(file)) for file in self.files]
        affixes: Counter[tuple[str, str, str]] = Counter()
        first_cells = cells[:10]
        for cell in first_cells:
            if len(cell) > 1:
                for stem, folder in stems:
                    if stem != cell and stem.count(cell) == 1:
                        before, _, after = stem.partition(cell)
                        affixes[before, after, folder] += 1
        if not affixes:
            return None
        (before, after, folder), count = affixes.most_common(1)[0]
        return (before, after, folder) if count >= MIN_MATCHED * len(first_cells) else None


def _is_in(path: str, file: str) -> bool:
    """Whether a file is in the folders of a path, in any case."""
    folder = posixpath.dirname(posixpath.normpath(path)).casefold()
    return not folder or f"/{posixpath.dirname(file)}".casefold().endswith("/" + folder)


def _clean(cell: str) -> tuple[tuple[str, ...], str]:
    """Returns a cell without blanks, formula, quotes and backslashes, and which of these it had."""
    kinds, text = [], cell
    if text.strip() != text:
        kinds, text = ["blanks"], text.strip()
    if match := FORMULA.fullmatch(text):
        kinds, text = [*kinds, "formula"], match[1]
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"`":
        kinds, text = [*kinds, "quotes"], text[1:-1]
    if "\\" in text:
        kinds, text = [*kinds, "windows"], text.replace("\\", "/")
    return tuple(kinds), text


def _of_sheet(names: _Names, sheet: TableFile) -> Miss | None:
    misses = [miss for column in sheet.columns if (miss := _of_column(names, sheet, column))]
    return max(misses, key=lambda miss: miss.rate, default=None)


def _of_column(names: _Names, sheet: TableFile, column: str) -> Miss | None:
    cells = [cell for cell in sheet.file.column(column) if cell.strip()]
    probed = cells[:: max(len(cells) // MAX_CELLS_COMPARED, 1)]
    if len(set(cells)) < max(2, SEVERAL * len(cells)):
        return None
    meant = [names.find_meant_file(cell) for cell in probed]
    ways = Counter(kinds for kinds, file in meant if file)
    kinds, count = ways.most_common(1)[0] if ways else ((), 0)
    if kinds and count >= MIN_SHARE * len(probed):
        at = next(row for row, (kinds_of_cell, file) in enumerate(meant) if kinds_of_cell == kinds and file)
        same = [
            (cell, file)
            for cell, (kinds_of_cell, file) in zip(probed, meant, strict=True)
            if kinds_of_cell == kinds and file
        ]
        mended = _pandas_repair(sheet.name, column, kinds, same)
        return Miss(sheet.name, column, kinds, probed[at], meant[at][1], count / len(probed), mended)
    if not kinds and count >= MIN_SHARE * len(probed):
        return _of_rows(names, sheet, column, cells, probed, count / len(probed))
    return _of_parts(names, sheet, column, probed)


def _of_rows(
    names: _Names, sheet: TableFile, column: str, cells: Sequence[str], probed: Sequence[str], rate: float
) -> Miss | None:
    """Returns a miss of cells that name images exactly, of which some are missing, or which occur on several rows."""
    times = Counter(cells)
    double = next((cell for cell, count in times.items() if count > 1), "")
    if double and len(times) < 0.98 * len(cells):
        folder = posixpath.dirname(names.find_file(double))
        if len(times) < MIN_SHARE * names.seen.files_below(
            folder
        ):  # a label that happens to be a file's name
            return None
        lines = [
            str(line)
            for line, cell in zip(sheet.file.lines, sheet.file.column(column), strict=True)
            if cell == double
        ]
        text = (
            f"each id on {len(cells) / len(times):.3g} rows, and kit needs one (rows {', '.join(lines[:5])})"
        )
        hint = "one row an image: keep one of its rows, or join its labels in one cell and name --label-separator"
        return Miss(sheet.name, column, (), double, "", rate, hint, text)
    if rate < MIN_MATCHED:
        missing_cell = next(cell for cell in probed if not names.find_file(cell))
        text = f"cells of which {1 - rate:.0%} name no image"
        return Miss(sheet.name, column, (), missing_cell, "", rate, "fetch the images that are missing", text)
    return None


def _of_parts(names: _Names, sheet: TableFile, column: str, probed: Sequence[str]) -> Miss | None:
    """Returns a miss of cells that are a part of the files' names, such as 12 of `image_12.jpg`."""
    parts = names.affixes(list(dict.fromkeys(probed)))
    if parts is None:
        return None
    before, after, folder = parts
    pattern = posixpath.join(folder, f"{before}{{{column}}}{after}")
    file = f"{posixpath.join(folder, before + probed[0] + after)}"
    return Miss(sheet.name, column, ("part",), probed[0], file, MIN_SHARE, f"kit init --images '{pattern}'")


def _pandas_repair(sheet: str, column: str, kinds: Sequence[str], same: Sequence[tuple[str, str]]) -> str:
    """Returns the line of pandas that turns a column's cells into names of files."""
    steps = [_step(kind, same) for kind in kinds]
    if not all(steps):
        return f"rewrite the column {column!r} of {sheet}, then kit init"
    chain = "".join(steps)
    return f"in pandas, table[{column!r}] = table[{column!r}]{chain}; then kit init"


def _step(kind: str, same: Sequence[tuple[str, str]]) -> str:
    if kind in ("folder", "address"):
        texts = [_clean(cell)[1] for cell, _ in same]
        heads = {text.removesuffix(_tail(text, file)) for text, (_, file) in zip(texts, same, strict=True)}
        return f".str.removeprefix({heads.pop()!r})" if len(heads) == 1 else ".str.split('/').str[-1]"
    stems = [without_ending(posixpath.basename(file)) for _, file in same]
    if kind in ("zeros", "capitals") and any("/" in file and "/" in _clean(cell)[1] for cell, file in same):
        return ""
    if kind == "zeros":
        return f".str.zfill({len(stems[0])})" if len(set(map(len, stems))) == 1 else ""
    if kind == "capitals":
        return next(
            (f".str.{way}()" for way in ("lower", "upper") if all(getattr(s, way)() == s for s in stems)), ""
        )
    return MENDED[kind]


def _tail(text: str, file: str) -> str:
    """Returns the longest end of a path that is also the file's, in whole parts, ignoring the ending."""
    pieces = text.split("/")
    folders = posixpath.dirname(file).split("/")
    parts_kept = 1
    while (
        parts_kept < len(pieces)
        and parts_kept <= len(folders)
        and pieces[-1 - parts_kept] == folders[-parts_kept]
    ):
        parts_kept += 1
    return "/".join(pieces[-parts_kept:])
