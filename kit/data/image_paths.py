"""Image paths: patterns such as `images/{id}.jpg`, their files, and the location of each row's image.

A location may have a key, several files and a box. Many paths take little memory.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from kit.core.locations import JOIN, KEY, with_box
from kit.data.boxes import find_boxes
from kit.data.content import is_image_file, without_ending
from kit.data.csv_file import unknown_column
from kit.data.spelling import by_nfc, nfc
from kit.errors import Case, ConfigError, DataError
from kit.kinds.reader import Reader

if TYPE_CHECKING:
    from kit.config.models import Data


class PathList(Sequence[Path]):
    """Paths by position, created on access; equal to any sequence of the same paths."""

    __slots__ = ("_ends", "_text")

    def __init__(self, paths: Iterable[Path | str] = ()) -> None:
        texts = [os.fsencode(path) for path in paths]
        self._text = b"".join(texts)
        self._ends = np.cumsum([0, *map(len, texts)])

    def take(self, places: Iterable[int]) -> PathList:
        """Returns the paths at these positions from 0 on, in that order."""
        return PathList(self._at(place) for place in places)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> Path: ...
    @overload
    def __getitem__(self, at: slice) -> PathList: ...
    def __getitem__(self, at: int | slice) -> Path | PathList:
        if isinstance(at, slice):
            return PathList(self._at(number) for number in range(*at.indices(len(self))))
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return Path(self._at(at % len(self)))

    def _at(self, number: int) -> str:
        return os.fsdecode(self._text[self._ends[number] : self._ends[number + 1]])

    def __iter__(self) -> Iterator[Path]:
        return (Path(self._at(number)) for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathList({list(self)!r})"


_COLUMN = re.compile(r"\{([^{}]*)\}")
_CHARACTERS = re.compile(r"(.+)\[(?:(-?\d+)|(-?\d*):(-?\d*))\]")  # such as id[0] or id[:2]


def columns_of(pattern: str) -> tuple[str, ...]:
    """Returns the columns that a pattern names, in their order; `{id[0]}` names the column id."""
    return tuple(
        match[1] if (match := _CHARACTERS.fullmatch(name)) else name for name in _COLUMN.findall(pattern)
    )


def _cells(name: str, columns: Mapping[str, Sequence[str]]) -> Sequence[str] | None:
    """Returns the cells of a column, or some characters of each; None if the column does not exist."""
    if name in columns:
        return columns[name]
    match = _CHARACTERS.fullmatch(name)
    if match is None or match[1] not in columns:
        return None
    if match[2] is None:
        part = slice(int(match[3]) if match[3] else None, int(match[4]) if match[4] else None)
    else:
        part = slice(int(match[2]), int(match[2]) + 1 or None)
    return [cell[part] for cell in columns[match[1]]]


def fill(pattern: str, columns: Mapping[str, Sequence[str]], key: str) -> list[str]:
    """Fills the pattern for every row; `key` is the config key that errors name.

    A pattern without braces is the name of a column. `{id[0]}` is the first character of the column id, and
    `{id[:2]}` its first two. Raises ConfigError if a column does not exist.
    """
    parts = _COLUMN.split(pattern if "{" in pattern else "{" + pattern + "}")
    pieces: list[Sequence[str]] = []
    for name in parts[1::2]:
        cells = _cells(name, columns)
        if cells is None:
            raise unknown_column(name, columns, key)
        pieces.append(cells)
    template = "%s".join(text.replace("%", "%%") for text in parts[::2])
    return [template % values for values in zip(*pieces, strict=True)]


FOLDER, FILE, LINK = "folder", "file", "link"
SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")
# other content of a folder besides images and folders
UNREAD = "not an image that kit reads"
LINKS = {"D20": "a link out of the folder", "D02": "a broken link"}


def image_endings(reader: Reader, data: Data) -> tuple[str, ...]:
    """The endings of images: the reader's own, then those of `data.extensions`."""
    return tuple(dict.fromkeys([*type(reader).endings, *data.extensions]))


@dataclass
class ImageFolder:
    """The image files below `base`. A name may contain folders, and may lack its ending.

    A file is an image by its ending, or else by its content. If no file has the exact name, a file is used
    whose name is the same text in another Unicode normal form.
    """

    base: str
    extensions: tuple[str, ...]
    follow_symlinks: bool = False
    _listed: dict[str, dict[str, str] | None] = field(default_factory=dict)
    _spelled: dict[str, dict[str, str]] = field(default_factory=dict)  # of a folder: name by normal form C
    _odd: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # files of unknown endings, by stem
    _mixed: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # files by folder and stem

    def __post_init__(self) -> None:
        # created once, because each row is looked up with all of them
        self._endings = ("", *(each for ending in self.extensions for each in (ending, ending.upper())))

    def find(self, name: str) -> tuple[Path, str]:
        """Returns the file of a name, and a fault code: D20 outside, D08 a folder, D02 missing."""
        file = os.path.normpath(name if name.startswith("/") else f"{self.base}/{name}")
        if "\0" in name or not _is_inside(file, self.base):
            return Path(f"{self.base}/{name}"), "D20"
        folder, _, stem = file.rpartition("/")
        entries = self._entries(folder)
        if entries is None:
            return Path(file), "D20"
        matching = [entry for entry in self._candidates(stem) if entry in entries]
        if not matching and not file.isascii():
            folder = self._on_disk(folder)
            entries, spelled = self._entries(folder) or {}, self._spellings(folder)
            matching = [spelled[name] for name in self._candidates(nfc(stem)) if name in spelled]
        files = [entry for entry in matching if entries[entry] != FOLDER]
        files = files or self._in_mixed_case(folder, stem) or self._odd_files(folder, stem)
        if not files:
            return Path(file), "D08" if any(
                nfc(entry) != nfc(stem) or "." in entry for entry in matching
            ) else "D02"
        path = Path(f"{folder}/{files[0]}")
        return path, self._problem_of(path) if entries[files[0]] == LINK else ""

    def find_container(self, name: str) -> tuple[Path, str]:
        """Returns the file of a name, as `find` does; a name with `*` stands for all matching files."""
        file = os.path.normpath(name if name.startswith("/") else f"{self.base}/{name}")
        if "*" not in name or os.path.lexists(file):
            return self.find(name)
        folder, _, last = file.rpartition("/")
        if not _is_inside(file, self.base) or "*" in folder or self._entries(folder) is None:
            return Path(file), "D20"
        matching = [entry for entry in self._entries(folder) or {} if fnmatchcase(entry, last)]
        return Path(file), "" if matching else "D02"

    def images_of_folder(self, name: str) -> tuple[list[Path], str]:
        """Returns every image file of a folder by name.

        The code is D20 if the folder lies outside, D02 if it has no image.
        """
        folder = os.path.normpath(f"{self.base}/{name}")
        entries = self._entries(folder) if _is_inside(folder, self.base, strict=False) else None
        if entries == {} and not folder.isascii():
            folder = self._on_disk(folder)
            entries = self._entries(folder)
        if entries is None:
            return [], "D20"
        names = sorted(
            entry for entry, what in entries.items() if what != FOLDER and self._is_image(folder, entry, what)
        )
        paths = [Path(f"{folder}/{entry}") for entry in names]
        problems = [self._problem_of(path) for path in paths if entries[path.name] == LINK]
        return paths, max(problems, default="") or ("" if paths else "D02")

    def folders(self, name: str) -> list[str]:
        """Returns the folders in a folder, without hidden ones, and link targets if links are followed."""
        folder = os.path.normpath(f"{self.base}/{name}")
        entries = self._entries(folder) or {}
        return sorted(
            entry
            for entry, what in entries.items()
            if not entry.startswith(".")
            and (what == FOLDER or (what == LINK and self._problem_of(Path(f"{folder}/{entry}")) == "D08"))
        )

    def others(self, name: str) -> dict[str, str]:
        """Returns the other content of a folder, name -> kind: neither images, nor folders that `folders` lists.

        Hidden files are left out, and those that Windows puts into each folder.
        """
        folder = os.path.normpath(f"{self.base}/{name}")
        entries = self._entries(folder) or {}
        entered = set(self.folders(name))
        problems = {}
        for entry, what in entries.items():
            if entry.startswith(".") or entry.lower() in SYSTEM or entry in entered:
                continue
            if what == FILE and not self._is_image(folder, entry, what):
                problems[entry] = UNREAD
            elif what == LINK and not self.has_known_ending(entry):
                problem = self._problem_of(Path(f"{folder}/{entry}"))
                if problem or not self._is_image(folder, entry, what):
                    problems[entry] = LINKS.get(problem, UNREAD)
        return dict(sorted(problems.items()))

    def has_known_ending(self, name: str) -> bool:
        """Whether a file's name has an image's ending; hidden files do not count."""
        return name.lower().endswith(self.extensions) and not name.startswith(".")

    def _is_image(self, folder: str, entry: str, what: str) -> bool:
        if entry.startswith(".") or self.has_known_ending(entry):
            return not entry.startswith(".")
        path = f"{folder}/{entry}"
        return not (what == LINK and self._problem_of(Path(path))) and is_image_file(path)

    def _odd_files(self, folder: str, stem: str) -> list[str]:
        """Returns the image of an unknown ending, such as `.JPG_large`, for a name without an ending, if it
        is the only one.
        """
        if folder not in self._odd:
            odd: dict[str, list[str]] = {}
            for entry, what in (self._entries(folder) or {}).items():
                if what != FOLDER and not self.has_known_ending(entry) and "." in entry.lstrip("."):
                    odd.setdefault(without_ending(entry), []).append(entry)
            self._odd[folder] = odd
        entries = self._entries(folder) or {}
        images = [
            name for name in self._odd[folder].get(stem, ()) if self._is_image(folder, name, entries[name])
        ]
        return images if len(images) == 1 else []

    def paths_to_try(self, name: str) -> str:
        """Returns the names that were tried, and where, as words for an error."""
        folder, _, stem = f"{self.base}/{name}".rpartition("/")
        names_to_try = [entry for entry in self._candidates(stem) if entry != stem and entry.islower()] or [
            stem
        ]
        tried_names = ", ".join(names_to_try[:2]) + (" …" if len(names_to_try) > 2 else "")
        return f"tried {tried_names} in {folder}"

    def endings_present(self, names: Iterable[str]) -> str:
        """Returns the endings that exist in the folders of these names, as words for an error."""
        folders = {os.path.normpath(f"{self.base}/{name}".rpartition("/")[0]) for name in names}
        counts: Counter[str] = Counter()
        for folder in folders:
            files = (self._entries(folder) if _is_inside(folder, self.base, strict=False) else None) or {}
            counts.update(Path(name).suffix or "no ending" for name, what in files.items() if what != FOLDER)
        endings = ", ".join(f"{ending} ({count})" for ending, count in counts.most_common(5))
        return (
            f"the files there end in {endings}: set data.images or data.extensions"
            if endings
            else f"the folder has no files; is {self.base} right?"
        )

    def _candidates(self, stem: str) -> list[str]:
        """Returns the name itself, then with each ending, in lower and upper case."""
        return [stem + ending for ending in self._endings]

    def _in_mixed_case(self, folder: str, stem: str) -> list[str]:
        """Returns the files of a name whose known ending mixes upper and lower case, such as `.Jpg`."""
        if folder not in self._mixed:
            self._mixed[folder] = {}
            for entry, what in sorted((self._entries(folder) or {}).items()):
                start, _, letters = entry.rpartition(".")
                is_mixed = letters not in (letters.lower(), letters.upper())
                if what != FOLDER and is_mixed and f".{letters.lower()}" in self.extensions:
                    self._mixed[folder].setdefault(nfc(start), []).append(entry)
        return self._mixed[folder].get(nfc(stem), [])

    def _entries(self, folder: str) -> dict[str, str] | None:
        """Returns name -> kind of a folder's entries; None if the folder lies outside after links are resolved."""
        if folder not in self._listed:
            inside = not self._link_problem(folder)
            self._listed[folder] = _list_folder(folder) if inside else None
        return self._listed[folder]

    def _on_disk(self, path: str) -> str:
        """Returns a path below the base with each folder in the disk's spelling."""
        actual = self.base.rstrip("/")
        for part in path[len(actual) + 1 :].split("/") if path != self.base else ():
            entries = self._entries(actual or "/") or {}
            actual += f"/{part if part in entries else self._spellings(actual or '/').get(nfc(part), part)}"
        return actual or "/"

    def _spellings(self, folder: str) -> dict[str, str]:
        """Returns the names in a folder by their normal form C."""
        if folder not in self._spelled:
            self._spelled[folder] = by_nfc(self._entries(folder) or {})
        return self._spelled[folder]

    def _problem_of(self, link: Path) -> str:
        """Returns the fault of a link: it leads outside, to a folder, or nowhere."""
        if problem := self._link_problem(str(link)):
            return problem
        return "D08" if link.is_dir() else "" if link.exists() else "D02"

    def _link_problem(self, path: str) -> str:
        if self.follow_symlinks or _is_inside(
            os.path.realpath(path), os.path.realpath(self.base), strict=False
        ):
            return ""
        return "D20"


def _is_inside(path: str, base: str, strict: bool = True) -> bool:
    return path.startswith(base.rstrip("/") + "/") or (not strict and path == base)


def _list_folder(folder: str) -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return {
                e.name: LINK if e.is_symlink() else FOLDER if e.is_dir(follow_symlinks=False) else FILE
                for e in entries
            }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        raise DataError(f"{folder}: permission denied", code="D09") from None


def split_pattern(root: Path, pattern: str) -> tuple[str, str]:
    """Splits a pattern into its fixed folder, absolute, and the rest: `images/{id}.jpg` -> /…/images, `{id}.jpg`."""
    fixed = pattern.partition("{")[0].rpartition("/")[0]
    if pattern.startswith("/") and not fixed:
        return "/", pattern[1:]
    base = os.path.normpath(fixed if fixed.startswith("/") else f"{root.absolute()}/{fixed}")
    if not base.isascii() and not Path(base).is_dir() and _is_inside(base, str(root.absolute())):
        base = ImageFolder(str(root.absolute()), ())._on_disk(base)
    return base, pattern[len(fixed) :].removeprefix("/")


TEXTS = {"D08": "the image is a directory", "D02": "no image"}
HINTS = {
    "D20": "an id must name a file inside it; data.follow_symlinks=true if links may lead outside",
    "D08": "put the image file there",
}


def raise_missing(
    images: ImageFolder, names: Sequence[str], ids: Sequence[str], codes: Sequence[str], split: str
) -> None:
    """Raises DataError for the first kind of fault among D20, D08 and D02, with all its rows as cases."""
    for code, text in {"D20": f"id leaves the image root {images.base}", **TEXTS}.items():
        rows = [row for row, row_code in enumerate(codes) if row_code == code]
        if not rows:
            continue
        more = f", and for {len(rows) - 1} more {split} rows" if len(rows) > 1 else f", a {split} row"
        details = [f"{text} ({images.paths_to_try(names[row])})" if code == "D02" else text for row in rows]
        cases = [Case(detail, "", ids[row], split, code) for row, detail in zip(rows, details, strict=True)]
        hint = HINTS.get(code) or images.endings_present([names[row] for row in rows])
        tried = f" ({images.paths_to_try(names[rows[0]])})" if code == "D02" else ""
        raise DataError(f"{text} for id {ids[rows[0]]!r}{tried}{more}", code=code, cases=cases, hint=hint)


INDEX = "index"  # the column of a row's position in its table, counted from 0


@dataclass(frozen=True)
class Located:
    """The location of each row's image, its fault code (or empty), and the name that was tried."""

    paths: list[Path]
    codes: list[str]
    names: list[str]


@dataclass(frozen=True)
class ImagePattern:
    """A pattern of data.images: files, joined by ` | `, each with a key after `::` if they are containers."""

    root: Path
    data: Data
    text: str

    @cached_property
    def reader(self) -> Reader:
        """The reader of the config."""
        return Reader.open(self.data.reader, self.root, where="data.reader")

    @cached_property
    def folders(self) -> list[tuple[ImageFolder, str, str]]:
        """For each file its folder, the pattern below it, and the pattern of the key."""
        reader = self.reader
        endings = image_endings(reader, self.data)
        image_folders = []
        for part in self.text.split(JOIN):
            file, mark, key = part.partition(KEY)
            _check_keys(reader, bool(mark), self.text)
            base, pattern = split_pattern(self.root, file)
            image_folders.append((ImageFolder(base, endings, self.data.follow_symlinks), pattern, key))
        return image_folders

    @property
    def first_folder(self) -> ImageFolder:
        """The folder of the first file, which errors name."""
        return self.folders[0][0]

    def locate(self, ids: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Located:
        """Returns the locations of rows by their ids and the columns of their table.

        Raises ConfigError C07 if a column is missing, DataError D16 for a box without area.
        """
        columns = {"id": ids, **columns}
        parts = [self._of_part(*folder, columns) for folder in self.folders]
        if len(parts) == 1 and not self.data.box:
            return parts[0]
        names = [JOIN.join(row) for row in zip(*(part.names for part in parts), strict=True)]
        codes = [max(row) for row in zip(*(part.codes for part in parts), strict=True)]
        texts = [JOIN.join(map(str, row)) for row in zip(*(part.paths for part in parts), strict=True)]
        if self.data.box:
            boxes = find_boxes(self.root, self.data, columns, ids, texts)
            texts = [with_box(text, box) for text, box in zip(texts, boxes, strict=True)]
        return Located([Path(text) for text in texts], codes, names)

    @staticmethod
    def _of_part(
        folder: ImageFolder, pattern: str, key: str, columns: Mapping[str, Sequence[str]]
    ) -> Located:
        count = len(next(iter(columns.values()), ()))
        names = fill(pattern, columns, "data.images") if "{" in pattern else [pattern] * count
        located = {
            name: folder.find_container(name) if key else folder.find(name) for name in dict.fromkeys(names)
        }
        paths, codes = [located[name][0] for name in names], [located[name][1] for name in names]
        if not key:
            return Located(paths, codes, names)
        keys = fill(key, columns, "data.images")
        return Located(
            [Path(f"{path}{KEY}{record}") for path, record in zip(paths, keys, strict=True)],
            codes,
            [f"{name}{KEY}{record}" for name, record in zip(names, keys, strict=True)],
        )


def _check_keys(reader: Reader, has_keys: bool, pattern: str) -> None:
    """Raises ConfigError C07 for keys that a reader does not take, or for missing keys that it needs."""
    name = reader.plugin_name()
    if has_keys and reader.keys == "none":
        raise ConfigError(
            f"data.images {pattern!r} has a key behind {KEY}, and reader {name!r} reads whole files",
            code="C07",
            hint="data.reader=hdf5, or another reader of containers: kit plugins reader",
        )
    if not has_keys and reader.keys == "required":
        raise ConfigError(
            f"data.images {pattern!r} has no key, and a file of reader {name!r} holds many images",
            code="C07",
            hint=f"such as data.images='train{reader.endings[0] if reader.endings else ''}{KEY}{{id}}'",
        )


def with_index(columns: Mapping[str, Sequence[str]], count: int) -> dict[str, Sequence[str]]:
    """Returns the columns, and the position of each row in its table, counted from 0, unless a column has that name."""
    return {INDEX: [str(number) for number in range(count)], **columns}


def refuse_unusable(
    folder: ImageFolder,
    data: Data,
    names: Sequence[str],
    ids: Sequence[str],
    codes: Sequence[str],
    split: str,
) -> None:
    """Raises the errors of unusable rows. Rows that the config accepts are left to the code that reads the images."""
    goes_on = (
        data.on_unreadable_train == "skip" if split == "train" else data.on_unreadable_test == "class_prior"
    )
    serious = [code if code == "D20" or not goes_on else "" for code in codes]
    raise_missing(folder, names, ids, serious, split)
