"""kit without what only POSIX has, taken away by a layer: imports, training with a loader process, tta, blend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drawing import draw_competition

WITHOUT = '''
"""Takes away from kit, in every process, what Windows lacks; other packages keep it."""
import asyncio  # since Python 3.12 it reads os.sysconf when it is imported
import builtins, ctypes, errno, fcntl, os, sys
import multiprocessing.context as contexts

REAL, LIBRARY = builtins.__import__, ctypes.CDLL
OPEN, SYNC, RENAME, REPLACE, UNLINK = os.open, os.fsync, os.rename, os.replace, os.unlink
FLAGS = fcntl.fcntl
GETFL = fcntl.F_GETFL


def of_kit():
    return sys._getframe(2).f_globals.get("__name__", "").startswith("kit")


def take(name, globals=None, locals=None, fromlist=(), level=0):
    if name in ("fcntl", "resource", "pwd", "grp") and (globals or {}).get("__name__", "").startswith("kit"):
        raise ImportError(f"no {name} here")
    return REAL(name, globals, locals, fromlist, level)


def opened(path, flags, mode=0o777, **more):
    if os.path.isdir(path) and of_kit():
        raise PermissionError(errno.EACCES, "a folder is not opened here", str(path))
    return OPEN(path, flags, mode, **more)


def synced(handle):
    if of_kit() and FLAGS(handle, GETFL) & 3 == os.O_RDONLY:
        raise OSError(errno.EBADF, "opened for reading")
    return SYNC(handle)


def held(path):
    found = os.path.realpath(path)
    return any(os.path.realpath(f"/proc/self/fd/{one}") == found for one in os.listdir("/proc/self/fd"))


def closed_only(real):
    def call(source, *more, **options):
        if of_kit() and os.path.isfile(source) and held(source):
            raise PermissionError(32, "in use by another process", str(source))
        return real(source, *more, **options)
    return call


def library(name=None, *more, **options):
    if name is None and of_kit():
        raise TypeError("a library has a name here")
    return LIBRARY(name, *more, **options)


builtins.__import__, ctypes.CDLL = take, library
os.open, os.fsync = opened, synced
os.rename, os.replace, os.unlink = closed_only(RENAME), closed_only(REPLACE), closed_only(UNLINK)
for name in ("setpgid", "killpg", "getpgid", "confstr_names", "confstr", "sched_getaffinity", "sysconf"):
    if hasattr(os, name):
        delattr(os, name)
default = contexts._default_context
default._default_context = contexts._concrete_contexts["spawn"]
'''

# all commands in one process: a new one would spend most of its time on imports
RUN = """
import json, sys
from kit.core import files
files.WINDOWS = True
from kit.__main__ import run
if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        status = run(words)
        assert status == 0, f"{words} ended with {status}"
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    root = draw_competition(tmp_path / "space", train=24, test=4, epochs=1, device="cpu")
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "sitecustomize.py").write_text(WITHOUT)
    (tmp_path / "without.py").write_text(RUN)
    return root


@pytest.mark.skipif(sys.platform != "linux", reason="pretends on Linux not to be there")
def test_kit_trains_predicts_and_blends_without_what_only_posix_has(space: Path) -> None:
    paths = [str(space.parent / "lacking"), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    workers = '{"name": "processes", "workers": 2, "threads": 1}'
    commands = [
        ["train", "--name", "r", "workers=1"],
        ["train", "--name", "s", "seed=1", "--executor", workers],
        ["tta", "--checkpoints", "runs/r", "runs/s", "--views", "hflip"],
        ["blend", "runs/r@hflip", "runs/s@hflip"],
        ["cache", "ls"],
        ["memory"],
    ]
    done = subprocess.run(
        [sys.executable, str(space.parent / "without.py"), json.dumps(commands)],
        cwd=space,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert not list(space.rglob("*.part"))
