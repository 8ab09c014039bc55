"""Finds a competition's files: in the given folder, in that of the given files, or in Kaggle's input folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.config.models import Data
from kit.config.workspace import CONFIG_FILE
from kit.core import kaggle_folders
from kit.core.files import StrPath
from kit.errors import Case, ConfigError
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import TABLES
from kit.stages.discovery.walking import walk

TABLE_KEYS = ("train", "test", "sample", "class_list", "parent_list", "join")
PATTERN_KEYS = ("images", "test_images")
MAX_TABLE_DEPTH = 3  # levels below an attached folder at which a sample submission is searched


@dataclass(frozen=True)
class Locations:
    """The folder of a competition's files, and the given paths as names below it.

    `folder` is absolute. `asked` has paths outside the folder as absolute ones, and `outside` lists their
    files and folders. `why` is how the folder was found; it is empty if the folder was given or is the
    workspace.
    """

    folder: Path
    options: dict[str, str] = field(default_factory=dict)
    outside: tuple[Path, ...] = ()
    why: str = ""

    def as_config(self, root: Path) -> str:
        """Returns the folder as config.json has it: relative inside the workspace, else absolute."""
        return name_below(self.folder, root) or str(self.folder)


def locate(root: Path, source: StrPath | None, options: Mapping[str, str]) -> Locations:
    """Returns the locations of a competition's files; `source` is the given folder.

    Raises ConfigError C20 if a folder does not exist, and if Kaggle's input folder has several competitions.
    """
    why = ""
    if source is not None:
        folder = absolute(source)
        if not folder.is_dir():
            raise ConfigError(
                f"--data: {'not a folder' if folder.exists() else 'no folder'}: {folder}",
                code="C20",
                hint="the folder with the competition's tables and images",
            )
    elif given := _find_outside(root, options):
        folder = kaggle_folders.find_attached(given) or given.parent
        why = f"data folder: {folder}, with {given.name}"
    elif _is_without_images(root) and (attached := _find_competition()):
        folder = attached
        why = f"data folder: {folder}, the competition in {kaggle_folders.input_folder()}"
    else:
        folder = root
    located, outside = dict(options), []
    for key in (*TABLE_KEYS, *PATTERN_KEYS):
        if key not in options:
            continue
        fixed, rest = _split_folder(options[key]) if key in PATTERN_KEYS else (options[key], "")
        path = _find(key, fixed, folder, root)
        if path is None:
            continue
        inside = name_below(path, folder)
        located[key] = f"{inside or path.as_posix()}{rest}".removeprefix("./")
        if inside is None:
            outside.append(path)
    return Locations(folder, located, tuple(dict.fromkeys(outside)), why)


def _find(key: str, text: str, folder: Path, root: Path) -> Path | None:
    """Returns the file or folder of a given path: in the data folder, in the workspace or in the current folder.

    Raises ConfigError C20 if both the data folder and the workspace have it.
    """
    inside, here = absolute(folder / text), absolute(root / text)
    if text != "." and inside.exists() and here.exists() and not inside.samefile(here):
        option = f"--{key.replace('_', '-')}"
        if text.startswith("./"):
            return here
        raise ConfigError(
            f"{option} {text}: both the data folder and the workspace have it",
            code="C20",
            cases=[Case("could be it", str(inside)), Case("could be it", str(here))],
            hint=f"kit init {option} {str(inside)!r}",
        )
    return next((path for path in (inside, here, absolute(text)) if path.exists()), None)


def absolute(path: StrPath) -> Path:
    """Returns a path from the file system's root. Links stay as they are, except before `..`."""
    return Path(path).resolve() if ".." in Path(path).parts else Path(path).absolute()


def name_below(path: Path, folder: Path) -> str | None:
    """Returns a path relative to a folder, even through a link; None if it is outside."""
    for one, other in ((path, folder), (Path(os.path.realpath(path)), Path(os.path.realpath(folder)))):
        if one.is_relative_to(other):
            return one.relative_to(other).as_posix()
    return None


def _split_folder(pattern: str) -> tuple[str, str]:
    """Splits a pattern into its folder, and the rest from its slash on: `a/b/x{id}.png` into `a/b` and `/x{id}.png`."""
    fixed = pattern.partition("{")[0].rpartition("/")[0]
    if not fixed:
        return ("/", pattern[1:]) if pattern.startswith("/") else (".", f"/{pattern}")
    return fixed, pattern[len(fixed) :]


def _find_outside(root: Path, options: Mapping[str, str]) -> Path | None:
    """Returns the first given table outside the workspace, else the folder of the given images."""
    texts = [options[key] for key in ("train", "sample", "test") if key in options]
    texts += [_split_folder(options[key])[0] for key in PATTERN_KEYS if key in options]
    for text in texts:
        path = next((path for base in (root, Path.cwd()) if (path := absolute(base / text)).exists()), None)
        if path is not None and name_below(path, root) is None:
            return path
    return None


def _is_without_images(root: Path) -> bool:
    endings = Data().extensions
    return not any(name.lower().endswith(endings) for _, names in walk(root) for name in names)


def _find_competition() -> Path | None:
    """Returns the only competition among the folders attached to a notebook on Kaggle.

    A folder in input/competitions is one. Otherwise a folder with a sample submission is, or the only one
    with images. Outputs of earlier runs of kit are not. Raises ConfigError C20 for several.
    """
    attached = [folder for folder in kaggle_folders.list_attached() if not (folder / CONFIG_FILE).is_file()]
    competitions = [folder for folder in attached if kaggle_folders.is_competition(folder)]
    candidates = competitions or [folder for folder in attached if _has_sample(folder)]
    candidates = candidates or [folder for folder in attached if not _is_without_images(folder)]
    if len(candidates) > 1:
        raise ConfigError(
            f"{len(candidates)} folders in {kaggle_folders.input_folder()} could be the competition",
            code="C20",
            cases=[Case("could be it", str(folder)) for folder in candidates],
            hint=f"kit init --data {candidates[0]}",
        )
    return candidates[0] if candidates else None


def _has_sample(folder: Path) -> bool:
    return any(
        roles.words(name) & roles.SAMPLE and name.lower().endswith(TABLES)
        for inner, names in walk(folder)
        if inner.count("/") < MAX_TABLE_DEPTH
        for name in names
    )
