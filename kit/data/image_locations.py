"""Where each row's image is: the pattern of data.images filled for every row, with keys, several files and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.locations import JOIN, KEY, with_box
from kit.data.boxes import find_boxes
from kit.data.image_paths import ImageFolder, fill, split_pattern
from kit.errors import ConfigError
from kit.kinds.reader import Reader

if TYPE_CHECKING:
    from kit.config.models import Data

INDEX = "index"  # the column of a row's position in its table, counted from 0


@dataclass(frozen=True)
class Located:
    """The location of each row's image, the code of what is wrong with it or blank, and its name as it was tried."""

    paths: list[Path]
    codes: list[str]
    names: list[str]


@dataclass(frozen=True)
class ImagePattern:
    """A pattern of data.images: files, joined by ` | `, each with a key behind `::` where they are containers."""

    root: Path
    data: Data
    text: str

    @cached_property
    def reader(self) -> Reader:
        """The reader of the config."""
        return Reader.open(self.data.reader, self.root, where="data.reader")

    @cached_property
    def folders(self) -> list[tuple[ImageFolder, str, str]]:
        """Of each file its folder, the pattern below it, and the pattern of the key."""
        reader = self.reader
        own = type(reader).endings
        endings = tuple(dict.fromkeys([*own, *self.data.extensions])) if own else self.data.extensions
        found = []
        for each in self.text.split(JOIN):
            file, mark, key = each.partition(KEY)
            _check_keys(reader, bool(mark), self.text)
            base, pattern = split_pattern(self.root, file)
            found.append((ImageFolder(base, endings, self.data.follow_symlinks), pattern, key))
        return found

    @property
    def first_folder(self) -> ImageFolder:
        """The folder of the first file, which errors name."""
        return self.folders[0][0]

    def locate(self, ids: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Located:
        """The locations of rows by their ids and the columns of their table.

        Raises ConfigError C07 for a column that is missing, DataError D16 for a box without area.
        """
        columns = {"id": ids, **columns}
        parts = [self._of_part(*each, columns) for each in self.folders]
        if len(parts) == 1 and not self.data.box:
            return parts[0]
        names = [JOIN.join(each) for each in zip(*(part.names for part in parts), strict=True)]
        codes = [max(each) for each in zip(*(part.codes for part in parts), strict=True)]
        texts = [JOIN.join(map(str, each)) for each in zip(*(part.paths for part in parts), strict=True)]
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
        found = {
            name: folder.find_container(name) if key else folder.find(name) for name in dict.fromkeys(names)
        }
        paths, codes = [found[name][0] for name in names], [found[name][1] for name in names]
        if not key:
            return Located(paths, codes, names)
        keys = fill(key, columns, "data.images")
        return Located(
            [Path(f"{path}{KEY}{each}") for path, each in zip(paths, keys, strict=True)],
            codes,
            [f"{name}{KEY}{each}" for name, each in zip(names, keys, strict=True)],
        )


def _check_keys(reader: Reader, has_keys: bool, pattern: str) -> None:
    """Raises ConfigError C07 for keys that a reader does not take, or needs."""
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
    """The columns, and the position of each row in its table, counted from 0, unless a column is called so."""
    return {INDEX: [str(number) for number in range(count)], **columns}
