"""The content of the cache, the runs that need it, and the removal of unneeded or least recently used images."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kit.config.models import Data
from kit.config.parsing import read_stored_experiment
from kit.config.workspace import CONFIG_FILE, SHARED_CACHE, Workspace
from kit.core.locks import hold_lock
from kit.data.table import rows_to_predict, train_table
from kit.errors import BusyError, ConfigError, KitError
from kit.images.cache import HASHES, LAST_USE_FILE, Geometry, Hashes, Store, UsageLock
from kit.images.reader import ImageSource


@dataclass(frozen=True)
class CacheFolder:
    """The images of one geometry. `images` is None if it is damaged, `current` if the tables cannot be read."""

    name: str
    images: int | None
    bytes: int
    used: float  # time of the last use, seconds since the epoch
    current: int | None  # number of its images that the workspace's tables name
    needed_by: tuple[str, ...]  # runs, and `config.json`
    removed: bool = False
    kept_because: str = ""  # why it was not removed as requested


def list_cache(workspace: Workspace) -> tuple[CacheFolder, ...]:
    """Returns the cache's folders, most recently used first."""
    folders = [file.parent for file in workspace.cache.glob("*/index.npz")]
    contents, needs = _contents(workspace), _needs(workspace)
    cache_folders = [_shelf(folder, contents, needs.get(folder.name, ())) for folder in folders]
    return tuple(sorted(cache_folders, key=lambda cache_folder: (-cache_folder.used, cache_folder.name)))


def prune_cache(
    workspace: Workspace, keep_bytes: int | None = None, dry_run: bool = False
) -> tuple[CacheFolder, ...]:
    """Removes folders that neither a run nor the config needs; or, least recently used first, all except this
    many bytes.

    A folder in use stays. Returns all folders, each with its outcome. Raises BusyError while the cache is
    being filled, ConfigError C19 for a cache of several workspaces without `keep_bytes`.
    """
    if keep_bytes is None and os.environ.get(SHARED_CACHE):
        raise ConfigError(
            f"several workspaces share {workspace.cache}, and this workspace does not know all their runs",
            code="C19",
            hint="kit cache prune --keep-bytes 10G",
        )
    with _nobody_fills(workspace.cache):
        cache_folders = list_cache(workspace)
        chosen = {cache_folder.name for cache_folder in _select_unneeded(cache_folders, keep_bytes)}
        return tuple(
            _remove(workspace.cache, cache_folder, dry_run) if cache_folder.name in chosen else cache_folder
            for cache_folder in cache_folders
        )


def _select_unneeded(cache_folders: Sequence[CacheFolder], keep_bytes: int | None) -> list[CacheFolder]:
    if keep_bytes is None:
        return [cache_folder for cache_folder in cache_folders if not cache_folder.needed_by]
    left, chosen = sum(cache_folder.bytes for cache_folder in cache_folders), []
    for cache_folder in reversed(cache_folders):
        if left <= keep_bytes:
            break
        chosen.append(cache_folder)
        left -= cache_folder.bytes
    return chosen


def _remove(cache: Path, cache_folder: CacheFolder, dry_run: bool) -> CacheFolder:
    try:
        lock = UsageLock(cache / cache_folder.name, alone=True)
    except BlockingIOError:
        return replace(cache_folder, kept_because="in use by another process")
    if not dry_run:
        shutil.rmtree(cache / cache_folder.name)
    del lock
    return replace(cache_folder, removed=True)


@contextmanager
def _nobody_fills(cache: Path) -> Iterator[None]:
    busy = BusyError(f"{cache} is being filled by another process", code="R08", hint="later again")
    with hold_lock(cache / ".lock", lambda: busy):
        yield


def _shelf(folder: Path, contents: frozenset[str] | None, needed_by: tuple[str, ...]) -> CacheFolder:
    cached = Store.list_hashes(folder)
    files = [file.stat() for file in folder.iterdir() if file.is_file()]
    mark = folder / LAST_USE_FILE
    used = (mark if mark.exists() else folder / "index.npz").stat().st_mtime
    current = None if contents is None or cached is None else len(cached & contents)
    count = None if cached is None else len(cached)
    return CacheFolder(folder.name, count, sum(file.st_size for file in files), used, current, needed_by)


def _contents(workspace: Workspace) -> frozenset[str] | None:
    """Returns the hashes of the tables' files, if they were read before and are unchanged; None without tables."""
    data, hashes = workspace.competition.data, Hashes(workspace.cache / HASHES)
    try:
        train = train_table(workspace.root, data)
        tables = [train, rows_to_predict(workspace, data, train.classes)]
    except KitError:
        return None
    return frozenset(hashes.get(path) for table in tables for path in table.paths) - {""}


def _needs(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Returns the folder's name -> the runs that need it; unreadable runs need nothing."""
    needs: dict[str, tuple[str, ...]] = {}
    experiment, data = workspace.experiment, workspace.competition.data
    needs[_folder(Geometry.of(experiment), data, workspace)] = (CONFIG_FILE,)
    for file in sorted(workspace.runs.glob(f"*/{CONFIG_FILE}")):
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            of = Geometry.of(read_stored_experiment(raw, file.parent.name))
            name = _folder(of, Data.model_validate(raw.get("data", {})), workspace)
        except (KitError, OSError, ValueError, AttributeError, TypeError):
            continue
        needs[name] = (*needs.get(name, ()), file.parent.name)
    return needs


def _folder(geometry: Geometry, data: Data, workspace: Workspace) -> str:
    return geometry.folder(data, ImageSource.open(data, workspace.root, geometry.channels))
