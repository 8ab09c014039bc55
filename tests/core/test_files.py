"""Files: whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kit.core import files
from kit.errors import RunError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_error_while_writing_leaves_the_old_file_and_no_partial_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    files.write_text(file, "old")
    with pytest.raises(KeyError), files.atomic_file(file) as part:
        part.write_text("ne")
        raise KeyError
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    files.write_text(file, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"disk full while writing .*a\.json"):
        files.write_text(file, "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_the_name_is_taken_only_after_the_content_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        order.append("sync")
        sync(handle)

    def note_replace(old: Path, new: Path) -> None:
        order.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    files.write_bytes(tmp_path / "a", b"x")
    assert order == ["sync", "rename", "sync"]


def test_files_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        files.write_text(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_folder_appears_whole_and_partial_files_are_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), files.atomic_folder(tmp_path / "0001") as part:
        (part / "half").write_text("x")
        raise KeyError
    assert names(tmp_path) == []
    with files.atomic_folder(tmp_path / "0001") as part:
        (part / "whole").write_text("x")
    assert names(tmp_path / "0001") == ["whole"]
    (tmp_path / ".0002.part").mkdir()
    (tmp_path / ".b.csv.xyz.part").write_text("x")
    files.remove_partial_files(tmp_path)
    assert names(tmp_path) == ["0001"]


def test_json_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"score": float("nan")})
    assert names(tmp_path) == []


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert files.fingerprint({"a": 1, "b": [2]}) == files.fingerprint({"b": [2], "a": 1})
    assert files.fingerprint(["1"]) != files.fingerprint([1])
