"""Opens the executor of a config, and checks that a worker has the code of the command."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

from kit.config.workspace import Workspace
from kit.core.files import fingerprint, sha256
from kit.errors import Case, ConfigError, DataError
from kit.kinds.executor import Executor


def open_executor(workspace: Workspace, device: str) -> Executor:
    """The executor that the config names, this process where it names none.

    Raises PluginError and ConfigError: C31 where the device is one GPU, and each worker is to have its own.
    """
    executor = Executor.open(workspace.experiment.executor or "in_process", workspace.root, "executor")
    executor.check()
    if not executor.in_process and device.startswith("cuda:"):
        raise ConfigError(
            f"device {device!r} is one GPU, but executor {executor.plugin_name()!r} gives each worker "
            "its own GPU",
            code="C31",
            hint="device=auto",
        )
    return executor


def worker_name() -> str:
    """What an error calls the process that it is raised in."""
    return f"the worker on {platform.node()}"


def check_kit(kit: str) -> None:
    """Raises DataError D60 where this process has another kit than the one of that hash."""
    if kit != code():
        raise DataError(
            f"{worker_name()} has another version of kit than the command",
            code="D60",
            cases=[Case(f"{kit[:12]} in the command, {code()[:12]} in the worker", "kit's code")],
            hint="install the same version on every node",
        )


KIT = Path(__file__).parents[1]


@lru_cache
def code() -> str:
    """64 hex digits of every file of kit's code, as this process imports it."""
    files = sorted(KIT.rglob("*.py"))
    return fingerprint([[file.relative_to(KIT).as_posix(), sha256(file)] for file in files])
