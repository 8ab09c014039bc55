"""Trees of images: a folder whose folders are classes, and the folders for validation and test beside it."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kit.config.models import Data
from kit.core.legible import legible
from kit.data.class_folders import PART, VAL, Tree, describe_unused, read_tree
from kit.errors import MAX_CASES, Case, ConfigError, DataError
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import Scan
from kit.stages.discovery.near_misses import instead_of_images, near_misses

ValUse = Literal["join", "holdout", "ignore"]
VAL_USES: tuple[ValUse, ...] = ("join", "holdout", "ignore")
HOLDOUT = {"name": "column", "column": PART, "held_out": [VAL]}
SPLITS = {"train": roles.TRAIN, "val": roles.VAL, "test": roles.TEST}
OF_SETS = re.compile(
    r"(train|val|valid|validation|dev|test)(?:set|data|dataset|images|imgs|img|s)"
)  # such as trainset
BESIDE = frozenset({"public", "private", "images", "pred"})  # folders that are not classes either


@dataclass(frozen=True)
class Trees:
    """The folders of a competition's images: keys of `data`, the findings, and a splitter if one is needed."""

    data: dict[str, Any]
    findings: tuple[str, ...]
    splitter: dict[str, Any] | None = None


def find_trees(
    seen: Scan, root: Path, folder: str, options: Mapping[str, str], has_sample: bool, val: ValUse = "join"
) -> Trees:
    """Returns the training folder's classes, the validation folder beside it, and a test folder if no table
    names its rows.

    Raises ConfigError C51 if a validation folder is to be held out and none exists.
    """
    train = _count(seen, root, folder, test_folders(seen) if not folder else set())
    data: dict[str, Any] = {"train": folder or "."}
    findings = [train.text(folder or ".", "one per class")]
    used, splitter = [folder], None
    beside = _beside(seen, folder, "val")
    shares = bool(beside) and bool(set(_count(seen, root, beside).classes) & set(train.classes))
    if beside and val != "ignore" and shares:
        more = _count(seen, root, beside)
        data["val"], splitter = beside, HOLDOUT if val == "holdout" else None
        used.append(beside)
        findings += [more.text(beside, USES[val]), *_describe_differing_classes(folder, train, beside, more)]
    elif val == "holdout":
        raise ConfigError(
            f"no validation folder beside {folder}",
            code="C51",
            cases=[Case(f"{len(names)} images", subfolder) for subfolder, names in seen.folders.items()],
            hint="kit init without --val; data.val=FOLDER names one, splitter=holdout holds out a share of the rows",
        )
    elif beside:
        used.append(beside)
        why = "as asked for" if shares else f"none of its folders is a class of {folder}"
        findings.append(f"{beside}: {seen.files_below(beside):,} images are not used, {why}")
    if not has_sample and "test" not in options and (test := _beside(seen, folder, "test")):
        data["test"] = test
        used.append(test)
        of_test = _count(seen, root, test)
        known = len(set(of_test.classes) & set(train.classes))
        note = (
            f"rows to predict; {known} of its folders are classes, and these labels are not used"
            if known
            else ""
        )
        findings.append(of_test.text(test, note or "rows to predict"))
    used += [base(text) for key, text in options.items() if key == "test_images"]
    return Trees(data, tuple(findings + not_used(seen, used)), splitter)


USES: dict[ValUse, str] = {
    "join": "joined with the training rows (kit init --val holdout validates on them, --val ignore leaves them out)",
    "holdout": "the validation part, never trained on (kit init --val join lets them join the folds)",
}


@dataclass(frozen=True)
class _Counted:
    """The number of images in a folder, their folders, and its unused files."""

    images: int
    classes: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def text(self, folder: str, what: str) -> str:
        folders = f" in {len(self.classes)} folders" if self.classes else ""
        more = "".join(f"; not used: {reason}" for reason in self.unused)
        return f"{folder}: {self.images:,} images{folders}, {what}{more}"


def _count(seen: Scan, root: Path, folder: str, without: Collection[str] = ()) -> _Counted:
    try:
        tree: Tree = read_tree(root / folder, Data())[0]
        tree = replace(
            tree, files=tuple(name for name in tree.files if name.partition("/")[0] not in without)
        )
    except DataError:  # such as a link that leads outside; reading the table reports it
        prefix = f"{folder}/" if folder else ""
        inner = {f.removeprefix(prefix).partition("/")[0] for f in seen.folders if f.startswith(prefix)}
        return _Counted(seen.files_below(folder), tuple(sorted(inner)))
    return _Counted(len(tree.files), tree.classes, tuple(describe_unused(tree)))


def _describe_differing_classes(train: str, of_train: _Counted, val: str, of_val: _Counted) -> list[str]:
    """Returns the classes that only one of two folders has, in words."""
    texts = []
    for mine, its, here, there in ((of_train, of_val, train, val), (of_val, of_train, val, train)):
        only = [name for name in mine.classes if name not in its.classes]
        if only:
            examples = ", ".join(only[:MAX_CASES]) + (", …" if len(only) > MAX_CASES else "")
            texts.append(f"{len(only)} of the classes in {here} have no image in {there}: {examples}")
    return texts


def _beside(seen: Scan, train: str, split: str) -> str:
    """Returns the folder named like the training rows' except for its role, such as images/val for images/train.

    Otherwise it is the uppermost folder with such a name; empty without one.
    """
    folders = sorted(
        folder
        for folder in set(_with_parents(seen.folders))
        if _splits_in(posixpath.basename(folder)) == {split}
        and not (train and is_within(folder, train))
        and not is_within(train, folder)
    )
    like = [folder for folder in folders if _shape(folder) == _shape(train)]
    return (like or sorted(folders, key=lambda folder: folder.count("/")) or [""])[0]


def _with_parents(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        while folder.strip("/"):
            yield folder
            folder = posixpath.dirname(folder)


def is_within(folder: str, other: str) -> bool:
    """Whether a folder is another one or in it; the empty one contains all."""
    return not other or folder == other or folder.startswith(other + "/")


def _shape(path: str) -> str:
    """Returns a path in lower case with a star for each word that names a split."""
    lower = re.sub(r"([a-z])([A-Z])", r"\1 \2", path).lower()
    return re.sub(r"[a-z]+", lambda match: "*" if _splits_in(match[0]) else match[0], lower)


def _splits_in(path: str) -> set[str]:
    """Returns the splits that a path names: train, val, test."""
    words = {match[1] if (match := OF_SETS.fullmatch(word)) else word for word in roles.words(path)}
    return {split for split, known in SPLITS.items() if words & known}


def base(pattern: str) -> str:
    """Returns the folder of a pattern: `images` for `images/train_{id}.jpg`."""
    return pattern.partition("{")[0].rpartition("/")[0]


def not_used(seen: Scan, bases: Sequence[str]) -> list[str]:
    """Returns a line that counts the images outside of the used folders, by the uppermost folder without any
    of those.
    """
    if "" in bases:
        return []
    counts: Counter[str] = Counter()
    for folder, names in seen.folders.items():
        if any(is_within(folder, base) for base in bases):
            continue
        above = [
            parent for parent in _with_parents([folder]) if not any(is_within(base, parent) for base in bases)
        ]
        counts[above[-1] if above else folder] += len(names)
    if not counts:
        return []
    examples = ", ".join(
        f"{legible(folder) or '.'} ({count:,})" for folder, count in counts.most_common(MAX_CASES)
    )
    more = f", … ({len(counts)} folders)" if len(counts) > MAX_CASES else ""
    return [f"{counts.total():,} images are not used: {examples}{more}"]


def class_folder(seen: Scan, root: Path, may_be_root: bool = False) -> str:
    """Returns the folder whose folders are classes. Raises ConfigError if none or several may be it.

    It is empty for the whole folder, if that is possible and the folder is not a workspace.
    """
    children = _children(seen.folders)
    points = {
        parent: 2 * ("train" in _splits_in(parent))
        - 2 * bool(_splits_in(parent) - {"train"} or roles.words(parent) & BESIDE)
        for parent, names in children.items()
        if len(names) > 1 and not all(_is_split(name) for name in names) and parent
    }
    top = children.get("", set()) - test_folders(seen)
    if (
        not points
        and may_be_root
        and len(top) > 1
        and "" not in seen.folders
        and not any(map(_is_split, top))
    ):
        return ""
    if not points:
        misses = near_misses(seen, seen.sheets)
        nearly = {miss.sheet for miss in misses}
        raise ConfigError(
            f"no labelled rows found below {root}: no table that names images and has labels, no folder a class",
            code="C20",
            cases=[
                *(miss.case for miss in misses),
                *instead_of_images(seen),
                *(Case("a table", s.name) for s in seen.sheets if s.name not in nearly),
                *seen.unreadable,
                *(Case(f"{len(names)} images", folder) for folder, names in seen.folders.items()),
            ],
            hint=(misses[0].mended if misses else "")
            or "kit init --train FILE --id COLUMN --label COLUMN --images 'folder/{id}'; or, if file names have the "
            "labels, kit init --label-from-name REGEX",
        )
    # a class may have folders itself, which are then not classes
    outer = [
        candidate for candidate in points if not any(_is_train_above(other, candidate) for other in points)
    ]
    return roles.choose_best(outer, lambda parent: points[parent], "the folder of classes", "--train", str)


def test_folders(seen: Scan) -> set[str]:
    """Returns the uppermost folders that are named for the images to predict, such as `Test` beside folders
    of classes.
    """
    return {
        top for folder in seen.folders if (top := folder.partition("/")[0]) and _splits_in(top) == {"test"}
    }


def _is_split(name: str) -> bool:
    """Whether a folder is named for its part of the rows, such as `val`, `seg_train` or `images`."""
    return bool(_splits_in(name) or roles.words(name) & BESIDE)


def _children(folders: Iterable[str]) -> dict[str, set[str]]:
    """Returns the folders with images by their parent folder. A folder whose images are all deeper counts too."""
    direct: dict[str, set[str]] = defaultdict(set)
    deep: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        parent, name = posixpath.split(folder)
        while name:
            (direct if posixpath.join(parent, name) == folder else deep)[parent].add(name)
            parent, name = posixpath.split(parent)
    return {parent: direct[parent] or deep[parent] for parent in sorted({*direct, *deep})}


def _is_train_above(outer: str, inner: str) -> bool:
    """Whether a folder is in one whose own name marks the training rows."""
    return inner.startswith(outer + "/") and "train" in _splits_in(posixpath.basename(outer))
