"""Source: the files of another workspace, in a folder or in a zip, by their paths in it."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kit.core.archives import extract_file, open_archive
from kit.errors import ConfigError, DataError

# the files of a run that are read; all others, such as code, are left out
RUN_FILE = re.compile(
    r"(manifest\.json|config\.json|folds\.csv|pruned\.json"
    r"|fold-\d+/(log\.jsonl|oof\.parquet)"
    r"|fold-\d+/\d{4,}(-\d{6,})?/(manifest\.json|model\.safetensors|ema\.safetensors|state\.pt)"
    r"|predictions/[^/]+/(oof|test|train)(\.unfinished)?\.parquet"
    r"|embeddings/[^/]+/[^/]+/(manifest\.json|(train|test)(-ids)?\.npy))"
)
OTHER_FILE = re.compile(r"sweeps/[^/]+\.(json|log)|pseudo_labels/[^/]+/(test|train)\.parquet")
SUBMISSION_FILE = re.compile(r"submissions/(\d{4,}-[^/]+\.(csv|json)|board\.csv)")
CONFIG, EXPORT = "config.json", "export.json"
FOLDERS = ("runs", "submissions", "sweeps", "pseudo_labels")  # that are listed; images and caches are not
MAX_DEPTH = 2  # maximum levels from the given path down to the workspace


@dataclass(frozen=True)
class Source:
    """Files of a workspace, by their paths in it. If `archive` is None, they are in the folder `place`."""

    place: Path
    names: tuple[str, ...]
    archive: zipfile.ZipFile | None = None
    prefix: str = ""  # of the names in the archive

    @property
    def runs(self) -> dict[str, list[str]]:
        """The files of each run, by their paths in it."""
        files_by_run: dict[str, list[str]] = {}
        for name in self.names:
            run, _, inner = name.removeprefix("runs/").partition("/")
            if name.startswith("runs/") and RUN_FILE.fullmatch(inner) and not run.startswith("."):
                files_by_run.setdefault(run, []).append(inner)
        return {run: files for run, files in sorted(files_by_run.items()) if "folds.csv" in files}

    @property
    def submissions(self) -> list[str]:
        """The board, and the files of submissions."""
        return [name for name in self.names if SUBMISSION_FILE.fullmatch(name)]

    @property
    def others(self) -> list[str]:
        """Files of sweeps and pseudo-labels."""
        return [name for name in self.names if OTHER_FILE.fullmatch(name)]

    def copy(self, name: str, target: Path) -> None:
        """Writes a file with the owner's write permission. Raises DataError D69 for a damaged entry of a zip."""
        if self.archive is not None:
            extract_file(self.archive, self.prefix + name, target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.place / name, target)  # without its mode: the source may be read-only


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Opens the workspace in a folder or a zip, or the single run in it.

    Raises ConfigError C15 if there is none or several, DataError D69 for an unsafe archive or link.
    """
    if path.is_dir():
        yield _open_folder(path)
    elif path.is_file():
        with open_archive(path) as archive:
            names = [item.filename for item in archive.infolist() if not item.is_dir()]
            prefix = _choose(path, sorted({root for name in names if (root := _root_of(name)) is not None}))
            inner = tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))
            yield Source(path, inner, archive, prefix)
    else:
        raise ConfigError(f"{path} does not exist", code="C15", hint="a folder or a zip with runs/ in it")


def _root_of(name: str) -> str | None:
    """Returns the folder of the workspace of a file in an archive, with its slash; None for another file."""
    match = re.match(r"((?:[^/]+/){0,2}?)(runs/[^/]+/folds\.csv|submissions/board\.csv)$", name)
    return None if match is None else match[1]


def _open_folder(path: Path) -> Source:
    roots = [folder for folder in _folders(path, MAX_DEPTH) if _is_workspace(folder)]
    if not roots and (path / "folds.csv").is_file():  # one run
        names = [f"runs/{path.name}/{name}" for name in _list(path, "")]
        return _OneRun(path, tuple(names))
    root = Path(_choose(path, [str(folder) for folder in roots]))
    names = [name for folder in FOLDERS for name in _list(root, folder)]
    more = [name for name in (CONFIG, EXPORT) if (root / name).is_file()]
    return Source(root, (*names, *more))


class _OneRun(Source):
    """The folder of one run, with its files named as in runs/NAME."""

    def copy(self, name: str, target: Path) -> None:
        """Writes a file of the run."""
        inner = PurePosixPath(name).relative_to(f"runs/{self.place.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.place / inner, target)


def _folders(path: Path, depth: int) -> Iterator[Path]:
    yield path
    if depth and not _is_workspace(path):
        for entry in sorted(path.iterdir()):
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _folders(entry, depth - 1)


def _is_workspace(folder: Path) -> bool:
    return any(folder.glob("runs/*/folds.csv")) or (folder / "submissions" / "board.csv").is_file()


def _choose(path: Path, roots: Sequence[str]) -> str:
    if len(roots) == 1:
        return roots[0]
    if not roots:
        raise ConfigError(
            f"{path} has no run and no board",
            code="C15",
            hint="give the folder or the zip that has runs/ in it, such as an earlier notebook's output",
        )
    raise ConfigError(
        f"{path} has {len(roots)} workspaces", code="C15", cases=roots, hint="give the path of one of them"
    )


def _list(root: Path, folder: str) -> list[str]:
    """Returns the files below a folder. Raises DataError D69 for a link that leads out of `root`."""
    relative = []
    for directory, inner, files in os.walk(root / folder):
        for name in [*inner, *files]:
            path = Path(directory, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                raise DataError(
                    f"{path} refused: it is a link out of {root}", code="D69", hint="copy the file there"
                )
        relative += [Path(directory, name).relative_to(root).as_posix() for name in files]
    return sorted(relative)
