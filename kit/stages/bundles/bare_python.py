"""Makes a Python that has the installed packages without kit: a virtual environment of links, made in a second."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kit.core.files import write_text
from kit.errors import RunError

OF_KIT = re.compile(r"kit|(__editable__[_.]*)?kit[_-]competitions.*|__pycache__")
# loaded when Python starts, unless the machine can run a process without a network, see `without_network`
NO_NETWORK = '''"""Refuses connections, as a machine without a network does."""
import socket


def refuse(*given, **named):
    raise OSError("no network")


class Shut(socket.socket):
    def connect(self, address):  # loader processes talk through sockets of the machine itself
        return super().connect(address) if self.family == socket.AF_UNIX else refuse()

    def connect_ex(self, address):
        return super().connect_ex(address) if self.family == socket.AF_UNIX else refuse()


socket.socket, socket.create_connection, socket.getaddrinfo = Shut, refuse, refuse
'''


def bare_python(folder: Path) -> Path:
    """Makes a virtual environment in `folder` with links to all installed packages except kit. Returns its Python.

    Its processes open no connections to the network. Raises RunError R18 if kit can still be imported there.
    """
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for file in _packages():
        if not OF_KIT.fullmatch(file.name) and not _leads_to_kit(file):
            with suppress(FileExistsError):  # of two packages of one name Python imports the first
                (packages / file.name).symlink_to(file)
    custom = packages / "sitecustomize.py"
    custom.unlink(missing_ok=True)
    write_text(custom, NO_NETWORK)
    python = folder / "bin" / "python"
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('kit') is not None)"
    if subprocess.run([python, "-c", code], env=bare_environment(), cwd=folder, check=False).returncode:
        raise RunError(
            "kit is importable in an environment without kit, so the bundle cannot be tested",
            code="R18",
            hint="a path file (.pth) of site-packages leads to it; install kit again with pip",
        )
    return python


def bare_environment() -> dict[str, str]:
    """Returns this process's environment without folders of PYTHONPATH that have kit."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KIT_"))}
    folders = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    paths = [part for part in folders if not _has_kit(Path(part))]
    return {**variables, **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})}


def without_network() -> list[str]:
    """Returns the command that starts another one without any network, if the machine has it; else empty."""
    command = ["unshare", "--map-root-user", "--net"]
    with suppress(OSError):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


def _packages() -> Iterator[Path]:
    """Yields the entries of the folders of installed packages, in Python's search order."""
    folders = dict.fromkeys(path for path in [*sys.path, *site.getsitepackages()] if path)
    for folder in map(Path, folders):
        if folder.name in ("site-packages", "dist-packages") and folder.is_dir():
            yield from sorted(folder.iterdir())


def _leads_to_kit(file: Path) -> bool:
    """Whether a path file adds a folder that has kit, as an editable installation's does."""
    if file.suffix not in (".pth", ".egg-link"):
        return False
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(_has_kit(file.parent / line) for line in lines if line.strip() and "\0" not in line)


def _has_kit(folder: Path) -> bool:
    with suppress(OSError):
        return (folder / "kit" / "stages" / "bundles").is_dir()
    return False
