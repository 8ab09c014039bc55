"""Rows of folders: one folder per class, a second such folder for validation, and a folder of images to predict."""

from __future__ import annotations

import os
import posixpath
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.legible import legible
from kit.data.content import SIDECARS, ending, without_ending
from kit.data.csv_file import check_ids
from kit.data.image_paths import LINKS, ImageFolder, refuse_unusable, split_pattern
from kit.data.label_columns import columns_of_names
from kit.data.rows import SourceRows, warn_of_names
from kit.errors import MAX_CASES, Case, ConfigError, DataError, KitWarning

if TYPE_CHECKING:
    from kit.config.models import Data

PART = "part"  # the column with the folder of a row, if there are two
TRAIN, VAL = "train", "val"  # its values


@dataclass(frozen=True)
class Tree:
    """The content of a folder and its subfolders. Names are paths below it, as the file system has them."""

    folder: Path
    files: tuple[str, ...]  # images, sorted
    others: dict[str, str]  # unused entry -> what it is
    empty: tuple[str, ...]  # its own folders without any image

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders that hold images, each a class."""
        return tuple(sorted({legible(file.partition("/")[0]) for file in self.files if "/" in file}))


def read_tree(folder: Path, data: Data) -> tuple[Tree, ImageFolder]:
    """Returns the content of a folder, and the object that found it.

    Raises DataError D09, and D20 for a link that leads outside.
    """
    image_folder = ImageFolder(str(folder.absolute()), data.extensions, data.follow_symlinks)
    files: list[str] = []
    others: dict[str, str] = {}
    pending = [""]
    while pending:
        name = pending.pop()
        files += [posixpath.join(name, path.name) for path in image_folder.images_of_folder(name)[0]]
        others |= {posixpath.join(name, entry): what for entry, what in image_folder.others(name).items()}
        inner = [posixpath.join(name, entry) for entry in image_folder.folders(name)]
        pending += [subfolder for subfolder in inner if not _leads_back(folder, subfolder)]
    outside = [name for name, what in others.items() if what == LINKS["D20"]]
    if outside:
        cases = [
            Case(f"leads to {os.path.realpath(folder / name)}", str(folder / name), code="D20")
            for name in outside
        ]
        raise DataError(
            f"{_count_words(len(outside), 'link')} in {folder} out of the folder: {legible(outside[0])}",
            code="D20",
            cases=cases,
            hint="data.follow_symlinks=true if this is intended; or copy the files into the folder",
        )
    holding = {file.partition("/")[0] for file in files}
    empty = tuple(name for name in image_folder.folders("") if name not in holding and name not in SKIPPED)
    return Tree(folder, tuple(sorted(files)), others, empty), image_folder


SKIPPED = ("__MACOSX",)  # folders that macOS adds to archives


def _leads_back(folder: Path, name: str) -> bool:
    """Whether a folder is a link to one of its parents, which would be read without end."""
    here = os.path.realpath(folder / name)
    above = os.path.realpath((folder / name).parent)
    return Path(above).is_relative_to(here)


def read_labelled_rows(root: Path, data: Data) -> SourceRows:
    """Returns every image below `data.train`: its label is the first folder, its id the path without the ending.

    Files of one name and several endings keep their endings, so that ids are unique. The rows of `data.val`
    follow, their ids with the folder's name before them. The column `part` has the folder of a row. A folder
    of images to predict is not a class.
    """
    rows = _rows_of_folder(root / data.train_tables[0], data, "", _folder_to_predict(root, data))
    if data.val is None:
        return rows
    if not (root / data.val).is_dir():
        raise ConfigError(
            f"data.val: no folder {root / data.val}",
            code="C07",
            hint="a folder with one subfolder per class, or null",
        )
    more = _rows_of_folder(root / data.val, data, legible(Path(data.val).name) + "/")
    ids = [*rows.ids, *more.ids]
    check_ids(ids, range(1, len(ids) + 1), root / data.val, "train")
    parts = [TRAIN] * len(rows.ids) + [VAL] * len(more.ids)
    columns = {name: [*cells, *more.columns[name]] for name, cells in rows.columns.items()}
    return SourceRows(tuple(ids), (*rows.paths, *more.paths), {**columns, PART: parts})


def rows_to_predict(root: Path, data: Data) -> SourceRows:
    """Returns every image in the folder `data.test` and below it; its id is the path without the ending."""
    tree, image_folder = read_tree(root / str(data.test), data)
    _warn_of_unused(tree, "test")
    if not tree.files:
        raise DataError(f"{tree.folder} has no images", code="D29", hint="data.test, data.extensions")
    return _rows(tree, image_folder, data, "", "test")


def _folder_to_predict(root: Path, data: Data) -> str:
    """Returns the folder in the labelled rows' folder that has the images to predict; empty if they are elsewhere."""
    train = os.path.normpath((root / data.train_tables[0]).absolute())
    tests = [data.test_images] if data.test_images else [f"{data.test}/{{id}}"] if data.test else []
    for pattern in tests:
        base = split_pattern(root, pattern)[0]
        if Path(base).is_relative_to(train) and base != train:
            return os.path.relpath(base, train).partition(os.sep)[0]
    return ""


def _rows_of_folder(folder: Path, data: Data, prefix: str, to_predict: str = "") -> SourceRows:
    tree, image_folder = read_tree(folder, data)
    if to_predict:
        files = tuple(name for name in tree.files if name.partition("/")[0] != to_predict)
        tree = replace(tree, files=files)
    _warn_of_unused(tree, "train")
    if not tree.files:
        raise DataError(
            f"{folder} has no subfolders with images", code="D29", hint="data.train, data.extensions"
        )
    loose = [legible(file) for file in tree.files if "/" not in file]
    if loose and data.label_from.regex is None:
        cases = [Case("is not in a class folder", name, split="train") for name in loose]
        raise DataError(
            f"{len(loose)} images of {folder} are not in a class folder",
            code="D30",
            cases=cases,
        )
    return _rows(tree, image_folder, data, prefix, "train")


def _rows(tree: Tree, image_folder: ImageFolder, data: Data, prefix: str, split: str) -> SourceRows:
    """Returns one row per file; the columns are id, label (of labelled rows) and path."""
    names = [legible(file) for file in tree.files]
    ids = [prefix + name for name in unique_stems(names)]
    located = [image_folder.find(file) for file in tree.files]
    refuse_unusable(image_folder, data, tree.files, ids, [code for _, code in located], split)
    warn_of_names(tree.files, split)
    columns = {
        "id": ids,
        "label": [name.partition("/")[0] if "/" in name else "" for name in names],
        "path": [prefix + name for name in names],
    }
    if split == "test":
        del columns["label"]
    else:
        columns |= columns_of_names(names, ids, data)
    return SourceRows(tuple(ids), tuple(path for path, _ in located), columns)


def unique_stems(names: Sequence[str]) -> list[str]:
    """Returns the paths without their endings; paths that would be equal keep theirs."""
    stems = [without_ending(name) for name in names]
    times = Counter(stems)
    return [stem if times[stem] == 1 else name for stem, name in zip(stems, names, strict=True)]


def _warn_of_unused(tree: Tree, split: str) -> None:
    """Warns (W51) of folders without images, and of files beside the images that are neither images nor texts."""
    others = {name: what for name, what in tree.others.items() if ending(name) not in SIDECARS}
    texts = describe_unused(replace(tree, others=others))
    if texts:
        warnings.warn(
            KitWarning(f"W51 ignored in {tree.folder}, {split} rows: {'; '.join(texts)}"), stacklevel=3
        )


def describe_unused(tree: Tree) -> list[str]:
    """Returns the unused content of a folder, such as `2 files that are no images (.txt 2): a/x.txt, b/y.txt`."""
    texts = []
    for what in sorted(set(tree.others.values())):
        names = [name for name, reason in tree.others.items() if reason == what]
        endings = Counter(ending(name) or "no ending" for name in names).most_common(MAX_CASES)
        kinds = ", ".join(f"{name} {count}" for name, count in endings)
        examples = ", ".join(map(legible, names[:MAX_CASES])) + (", …" if len(names) > MAX_CASES else "")
        texts.append(f"{_count_words(len(names), 'file')}, {what} ({kinds}): {examples}")
    if tree.empty:
        examples = ", ".join(map(legible, tree.empty[:MAX_CASES])) + (
            ", …" if len(tree.empty) > MAX_CASES else ""
        )
        texts.append(f"{_count_words(len(tree.empty), 'folder')} without images, not a class: {examples}")
    return texts


def _count_words(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
