"""stock: what the cache holds is reported, what is not needed is removed, what is in use stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from kit.commands._menu import run
from kit.commands.cache import format_size, parse_size
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.table import train_table
from kit.errors import BusyError, ConfigError, KitWarning
from kit.images.cache import Geometry, fill_cache
from kit.images.cache_usage import CacheFolder, list_cache, prune_cache


def fill(space: Workspace, size: int, used: float | None = None, rows: int | None = None) -> Path:
    """The store of a size, last used at some time."""
    data = space.competition.data
    paths = list(train_table(space.root, data).paths)[:rows]
    result = finish(fill_cache(space.cache, paths, Geometry(size), data))
    folder = result.cache.file.parent
    del result
    if used is not None:
        os.utime(folder / "used", (used, used))
    return folder


@pytest.fixture
def workspace(competition: Path) -> Workspace:
    """A competition of 60 rows, of which the config needs the size 20."""
    return Workspace.open(competition)


def by_size(shelves: tuple[CacheFolder, ...]) -> dict[str, CacheFolder]:
    return {shelf.name.split("-")[1]: shelf for shelf in shelves}


def test_folders_are_listed_with_images_size_use_and_need(workspace: Workspace) -> None:
    fill(workspace, 20, used=1000)
    fill(workspace, 28, used=3000, rows=7)
    caches = list_cache(workspace)
    assert [(shelf.name.split("-")[1], shelf.images, shelf.used) for shelf in caches] == [
        ("28", 7, 3000),
        ("20", 60, 1000),
    ]
    assert caches[1].bytes > 60 * 20 * 20 * 3
    assert [shelf.needed_by for shelf in caches] == [(), ("config.json",)]


def test_images_of_the_tables_are_distinguished_from_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.images.cache.MTIME_SETTLE_NS", -1)
    fill(workspace, 20)
    assert list_cache(workspace)[0].current == 60
    table = workspace.root / "data/train.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:31]))
    assert list_cache(workspace)[0].current == 30
    table.write_text("nothing")
    assert list_cache(workspace)[0].current is None


def test_what_a_run_or_the_config_needs_is_kept(workspace: Workspace) -> None:
    folders = {size: fill(workspace, size) for size in (20, 24, 28)}
    folder = workspace.runs / "r"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"image_size": 16, "cache_size": 24}))
    (workspace.runs / "broken").mkdir()
    (workspace.runs / "broken/config.json").write_text("[")
    planned = by_size(prune_cache(workspace, dry_run=True))
    assert [size for size, shelf in planned.items() if shelf.removed] == ["28"]
    assert all(path.exists() for path in folders.values())
    assert planned["24"].needed_by == ("r",)
    prune_cache(workspace)
    assert [size for size, path in folders.items() if path.exists()] == [20, 24]


def test_with_a_limit_the_least_recently_used_go_first_whoever_needs_them(workspace: Workspace) -> None:
    folders = {size: fill(workspace, size, used) for size, used in ((20, 1000), (24, 3000), (28, 2000))}
    sizes = {size: shelf.bytes for size, shelf in by_size(list_cache(workspace)).items()}
    prune_cache(workspace, keep_bytes=sizes["24"] + sizes["28"])
    assert [size for size, path in folders.items() if path.exists()] == [24, 28]
    prune_cache(workspace, keep_bytes=sizes["24"])
    assert [size for size, path in folders.items() if path.exists()] == [24]
    assert prune_cache(workspace, keep_bytes=0)[0].removed
    assert list_cache(workspace) == ()


def test_what_another_process_uses_stays(workspace: Workspace) -> None:
    folder = fill(workspace, 28)
    code = "import sys; from pathlib import Path; from kit.images.cache import UsageLock; "
    code += "h = UsageLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        (shelf,) = prune_cache(workspace)
        assert (shelf.removed, shelf.kept_because) == (False, "in use by another process")
        assert folder.exists()
        other.kill()
    assert prune_cache(workspace)[0].removed


def test_a_cache_in_this_process_is_held_until_it_is_gone(workspace: Workspace) -> None:
    data = workspace.competition.data
    filled = finish(fill_cache(workspace.cache, train_table(workspace.root, data).paths, Geometry(28), data))
    assert not prune_cache(workspace)[0].removed
    assert filled.cache[0].shape == (28, 28, 3)
    del filled
    assert prune_cache(workspace)[0].removed


def test_a_pruned_cache_is_filled_again(workspace: Workspace) -> None:
    folder = fill(workspace, 28)
    before = (folder / "pixels-0.bin").read_bytes()
    prune_cache(workspace)
    assert (fill(workspace, 28) / "pixels-0.bin").read_bytes() == before


def test_nothing_is_removed_while_the_cache_is_filled(workspace: Workspace) -> None:
    fill(workspace, 28)
    with FileLock(workspace.cache / ".lock"), pytest.raises(BusyError, match="is being filled"):
        prune_cache(workspace)


def test_a_damaged_folder_is_listed_as_such(workspace: Workspace) -> None:
    (fill(workspace, 20) / "index.npz").write_bytes(b"x")
    (shelf,) = list_cache(workspace)
    assert (shelf.images, shelf.current) == (None, None)


def test_workspaces_may_share_a_cache(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "shared"))
    other = Workspace.open(shutil.copytree(workspace.root, tmp_path / "other"))
    folder = fill(workspace, 20)
    assert folder.parent == tmp_path / "shared"
    size = (folder / "pixels-0.bin").stat().st_size
    assert fill(other, 20) == folder
    assert (folder / "pixels-0.bin").stat().st_size == size
    with pytest.raises(ConfigError, match="C19"):
        prune_cache(workspace)
    assert prune_cache(other, keep_bytes=0)[0].removed


def test_a_disk_with_hardly_any_room_is_warned_of(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.warns(KitWarning, match="W19 the cache needs about"):
        fill(workspace, 20)


def test_the_command_lists_and_prunes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace.root)
    assert run(["cache", "ls"]) == 0
    assert "the cache is empty" in capsys.readouterr().err
    fill(workspace, 20)
    fill(workspace, 28)
    assert run(["cache", "ls"]) == 0
    assert "short_side-20" in capsys.readouterr().out
    assert run(["cache", "prune", "--dry-run", "--json"]) == 0
    said = capsys.readouterr()
    assert [one["removed"] for one in json.loads(said.out)].count(True) == 1
    assert "1 folder would be removed, " in said.err
    assert run(["cache", "prune", "--keep-bytes", "lots"]) == 2
    assert run(["cache", "prune", "--keep-bytes", "0"]) == 0
    assert "2 folders removed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"), [("10G", 10 * 2**30), ("1.5 MiB", 1.5 * 2**20), ("7", 7), ("2kb", 2048), ("0", 0)]
)
def test_sizes_are_read(text: str, size: float) -> None:
    assert parse_size(text) == size


def test_sizes_are_shown() -> None:
    assert [format_size(size) for size in (0, 1023, 1536, 10 * 2**30)] == [
        "0 bytes",
        "1023 bytes",
        "1.5 KiB",
        "10.0 GiB",
    ]
