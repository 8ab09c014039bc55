"""A kernel for tests: runs cells as Jupyter does, with or without a person who watches."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 120.0  # of a cell


@dataclass
class Cell:
    """What a cell has left: its streams, the MIME bundle of its last value, other displays, and its error."""

    out: str = ""
    err: str = ""
    value: dict[str, Any] = field(default_factory=dict)
    displays: list[dict[str, Any]] = field(default_factory=list)
    error: list[str] = field(default_factory=list)  # the traceback as the notebook shows it
    error_name: str = ""


class TestKernel:
    """One kernel. A cell's working folder is the kernel's own, which cells may change."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / ".ipython")}
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT_S)

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str, watched: bool = False, meanwhile: Callable[[], None] | None = None) -> Cell:
        """Runs a cell to its end. `meanwhile` is called once the cell has begun."""
        request = self.client.execute(code, allow_stdin=watched)
        cell, end = Cell(), time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "execute_input":
                    if meanwhile is not None:
                        meanwhile()
                case "stream":
                    setattr(cell, content["name"][3:], getattr(cell, content["name"][3:]) + content["text"])
                case "execute_result":
                    cell.value = content["data"]
                case "display_data" | "update_display_data":
                    cell.displays.append(content["data"])
                case "error":
                    cell.error, cell.error_name = content["traceback"], content["ename"]
                case "status" if content["execution_state"] == "idle":
                    return cell
        raise TimeoutError(f"the cell is still at work: {code}")

    def complete(self, code: str) -> list[str]:
        """What Tab offers at the end of the code."""
        request = self.client.complete(code)
        while True:
            reply = self.client.get_shell_msg(timeout=TIMEOUT_S)
            if reply["parent_header"].get("msg_id") == request:
                return [str(one) for one in reply["content"]["matches"]]

    def interrupt(self) -> None:
        """Presses the Stop button."""
        self.manager.interrupt_kernel()

    def end(self) -> None:
        """Ends the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def children(pid: int) -> set[int]:
    """The processes that a process has started and that are still there, zombies left out."""
    process_ids = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            process_ids.add(int(folder.name))
    return process_ids


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    """Ends a process at once."""
    os.kill(pid, signal.SIGKILL)
