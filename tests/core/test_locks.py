"""Locks: one process at a time; a lock ends with its block or its process; nested blocks share one if asked to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.core.locks import hold_lock, is_locked, lock_handle, try_lock
from kit.errors import BusyError

HOLDER = """
import sys
from pathlib import Path
from kit.core.locks import try_lock
lock = try_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def busy() -> BusyError:
    return BusyError("in use", code="R08")


def test_a_block_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "new" / ".lock"
    with hold_lock(file, busy):
        assert is_locked(file)
        assert try_lock(file) is None
        with pytest.raises(BusyError, match="R08 in use"), hold_lock(file, busy):
            pytest.fail("two blocks hold one lock")
    assert not is_locked(file)


def test_an_error_in_the_block_is_its_own_and_frees_the_lock(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with pytest.raises(TimeoutError, match="of the work"), hold_lock(file, busy):
        raise TimeoutError("of the work")
    assert not is_locked(file)


def test_nested_blocks_share_a_lock_that_allows_it(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with hold_lock(file, busy, is_reentrant=True):
        with hold_lock(file, busy, is_reentrant=True):
            pass
        assert is_locked(file)
    assert not is_locked(file)


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert is_locked(file)
        other.kill()
        other.wait(60)
    assert not is_locked(file)


@pytest.mark.skipif(sys.platform == "win32", reason="open files are not locked there")
def test_an_open_file_has_many_readers_or_one_writer(tmp_path: Path) -> None:
    file = tmp_path / "used"
    handles = [os.open(file, os.O_RDWR | os.O_CREAT) for _ in range(3)]
    lock_handle(handles[0], is_shared=True)
    lock_handle(handles[1], is_shared=True)
    with pytest.raises(BlockingIOError):
        lock_handle(handles[2], waits=False)
    os.close(handles[0])
    os.close(handles[1])
    lock_handle(handles[2], waits=False)
    os.close(handles[2])
