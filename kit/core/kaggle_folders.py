"""Kaggle's folders: the inputs of a notebook, and the large temporary disk."""

from __future__ import annotations

import os
import re
from pathlib import Path

KAGGLE_FOLDER = "KIT_KAGGLE"  # environment variable with the folder of input/, working/ and temp/
DEFAULT = "/kaggle"
# newer notebooks have such folders in input/, with attached folders this many levels below them
DEPTH_OF_KIND = {"competitions": 1, "datasets": 2, "models": 2, "notebooks": 2}


def input_folder() -> Path:
    """Returns the folder of all attached inputs, which is read-only on Kaggle."""
    return _root() / "input"


def temp_folder() -> Path | None:
    """Returns the folder for temporary files, which need not exist yet; None on other machines."""
    return _root() / "temp" if _root().is_dir() else None


def _root() -> Path:
    return Path(os.environ.get(KAGGLE_FOLDER) or DEFAULT)


def list_attached() -> tuple[Path, ...]:
    """Returns each attached competition, data set, model and output, sorted by path."""
    folders = []
    for folder in _folders(input_folder()):
        depth = DEPTH_OF_KIND.get(folder.name, 0)
        folders += _levels_below(folder, depth) if depth and _has_no_files(folder) else [folder]
    return tuple(sorted(folders))


def find_attached(path: Path) -> Path | None:
    """Returns the attached folder that a path is in, or None."""
    real = Path(os.path.realpath(path))
    for folder in list_attached():
        if path.is_relative_to(folder) or real.is_relative_to(os.path.realpath(folder)):
            return folder
    return None


def is_competition(folder: Path) -> bool:
    """Whether Kaggle's folder names are enough to show that an attached folder is a competition."""
    return folder.parent == input_folder() / "competitions"


def competition_slug(path: Path) -> str | None:
    """Returns the competition's name in its Kaggle URL, if the folder names show that a path is in a competition."""
    folder = find_attached(path)
    slug_match = folder is not None and is_competition(folder) and re.fullmatch(r"[\w-]+", folder.name)
    return folder.name if folder is not None and slug_match else None


def _levels_below(folder: Path, levels: int) -> list[Path]:
    if levels == 0:
        return [folder]
    return [nested for inner in _folders(folder) for nested in _levels_below(inner, levels - 1)]


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _has_no_files(folder: Path) -> bool:
    return all(path.is_dir() for path in folder.iterdir())
