"""Commands run by several ranks, each forked from a process that has imported torch; and plugins that fail in one."""

from __future__ import annotations

import multiprocessing
import os
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

# a network without batch norm
BARE = '''"""A network without batch norm."""

from torch import nn

from kit.kinds import Backbone


class Bare(Backbone):
    """Two convolutions and nothing that looks at other rows."""

    def build(self):
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GELU(), nn.Conv2d(8, 16, 3, 2, 1), nn.GELU())
'''

# a loss that does something at one call of one rank
FAULTY = '''"""Cross-entropy, and a fault."""

import os
import signal
import time

import torch

from kit.kinds import Loss
from kit.plugins.loss.cross_entropy import CrossEntropy

asked = 0


def ask_launcher_to_stop():
    """Sends torchrun a signal, and waits until it has passed the signal on to this rank."""
    passed_on, handler = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: (passed_on.append(number), handler(number, frame)))
    os.kill(os.getppid(), signal.SIGTERM)
    while not passed_on:
        time.sleep(0.01)
    signal.signal(signal.SIGTERM, handler)


class Faulty(Loss):
    """Cross-entropy that does something at the call `at` of the rank `rank`, while it trains."""

    what: str = "nothing"
    at: int = 6
    rank: int = 1
    most: int = 0  # rows above which memory runs out there

    def rows(self, outputs, labels):
        global asked
        asked += outputs.requires_grad
        if outputs.requires_grad and int(os.environ.get("RANK", "0")) == self.rank:
            if self.what == "short" and len(outputs) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if asked == self.at:
                match self.what:
                    case "die":
                        os._exit(9)
                    case "raise":
                        raise ValueError("of no use")
                    case "term":
                        os.kill(os.getpid(), signal.SIGTERM)
                    case "parent" if "TORCHELASTIC_RUN_ID" in os.environ:
                        ask_launcher_to_stop()
                    case "nan":
                        return outputs.sum(1) * float("nan")
        return CrossEntropy().rows(outputs, labels)
'''


@dataclass(frozen=True)
class Ended:
    """How a rank's command ended: its exit status and what it said."""

    status: int | None
    out: str
    err: str


def with_plugins(root: Path) -> Path:
    """A workspace with the plugins above."""
    for kind, name, text in (("backbone", "bare", BARE), ("loss", "faulty", FAULTY)):
        (root / "plugins" / kind).mkdir(parents=True, exist_ok=True)
        (root / "plugins" / kind / f"{name}.py").write_text(text)
    return root


def fork_server() -> ForkServerContext:
    """A context whose processes are forked from one that has imported what training needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


def free_port() -> int:
    """A port below those that systems give to outgoing connections, which could take it before rank 0 does."""
    for port in random.SystemRandom().sample(range(15_000, 30_000), 100):
        with closing(socket.socket()) as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


def _rank(
    work: Callable[..., int], root: Path, said: Path, number: int, count: int, port: int, *given: object
) -> None:
    os.environ |= {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    os.chdir(root)
    out, err = (said / f"{number}.{name}" for name in ("out", "err"))
    with out.open("w") as first, err.open("w") as second, redirect_stdout(first), redirect_stderr(second):
        try:
            status = work(*given)
        except BaseException as error:
            second.write(repr(error))
            raise
    os._exit(status)


def _command(arguments: Sequence[str]) -> int:
    from kit.commands._menu import run

    return run(list(arguments))


def ranked(
    root: Path, *arguments: str, roots: Sequence[Path] = (), work: Callable[..., int] | None = None
) -> list[Ended]:
    """How `kit ARGUMENTS` ends in two ranks, in the workspace or each in its own; or `work(*ARGUMENTS)`."""
    context = fork_server()
    said, port, places = root / "said", free_port(), roots or (root, root)
    said.mkdir(exist_ok=True)
    given = arguments if work else (arguments,)
    processes = [
        context.Process(target=_rank, args=(work or _command, place, said, number, len(places), port, *given))
        for number, place in enumerate(places)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        if process.exitcode is None:
            process.kill()
    return [
        Ended(process.exitcode, (said / f"{n}.out").read_text(), (said / f"{n}.err").read_text())
        for n, process in enumerate(processes)
    ]
