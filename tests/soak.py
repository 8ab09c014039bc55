"""A long run: a small competition is trained, killed, resumed and blended at random, and compared each time.

    python -m tests.soak 20        twenty minutes
    python -m tests.soak 1 7       one minute, from seed 7

Each round is a fresh copy: its commands are killed at a random write or after a random time, or told to stop, until
they come to their end, which must be the undisturbed one's. Beside that one process does the same commands round after
round, undisturbed; its memory, file handles and child processes must not grow.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.crashing import COMMANDS, Calls, child, contents, half_files, prepared

FINE = {
    0,
    -signal.SIGKILL,
    -signal.SIGTERM,
    -signal.SIGINT,
    99,
    130,
    143,
}  # 99: a signal before a command began
MOST = 25  # kills of one round
SLACK = 1.05, 24 * 2**20  # of the memory at the beginning, and bytes beside it


class Disturbed(Calls):
    """Sends its process a signal after a random time, or kills it at a random call."""

    def __init__(self, rng: random.Random, calls: int) -> None:
        super().__init__(rng.randint(1, calls) if rng.random() < 0.5 else 0)
        self.signal = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        self.seconds = rng.uniform(0.05, 2.5)

    def listen(self) -> None:
        super().listen()
        if not self.fatal:
            timer = threading.Timer(self.seconds, os.kill, (os.getpid(), self.signal))
            timer.daemon = True
            timer.start()


def disturbed(
    root: Path, wanted: dict[str, Any], rng: random.Random, calls: int
) -> tuple[Counter[str], list[str]]:
    """How a round's processes ended, and what is wrong with what they came to."""
    ends: Counter[str] = Counter()
    for _ in range(MOST):
        status = child(root, Disturbed(rng, calls))
        ends[str(status)] += 1
        if status not in FINE:
            return ends, [f"ended with {status}: {root.with_suffix('.said').read_text()[-2000:]}"]
        if wrong := half_files(root):
            return ends, wrong
        if status == 0:
            return ends, differences(root, wanted)
    if status := child(root):
        return ends, [f"undisturbed, ended with {status}: {root.with_suffix('.said').read_text()[-2000:]}"]
    return ends, differences(root, wanted)


def differences(root: Path, wanted: dict[str, Any]) -> list[str]:
    present = contents(root)
    names = sorted(present.keys() | wanted.keys())
    return [f"differs: {name}" for name in names if present.get(name, 0) != wanted.get(name, 0)]


def resident() -> None:
    """The process that does every round's commands: reads folders from stdin, answers with what it holds."""
    from kit.commands._menu import run

    for line in sys.stdin:
        os.chdir(line.strip())
        statuses = [run(list(command)) for command in COMMANDS]
        status = Path("/proc/self/status").read_text().splitlines()
        rss = next(int(row.split()[1]) for row in status if row.startswith("VmRSS")) * 1024
        handles, threads = (len(list(Path(f"/proc/self/{name}").iterdir())) for name in ("fd", "task"))
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        answer = {
            "statuses": statuses,
            "rss": rss,
            "handles": handles,
            "threads": threads,
            "children": len(children),
        }
        print("\0" + json.dumps(answer), flush=True)


class Resident:
    """That process, and all that it told."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.soak", "resident"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.rounds: list[dict[str, Any]] = []

    def play(self, root: Path) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{root}\n")
        self._process.stdin.flush()
        answer = next(line for line in self._process.stdout if line.startswith("\0"))
        self.rounds.append(json.loads(answer[1:]))

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def growth(self) -> list[str]:
        """What grew from the first rounds, after two that warm up, to the last ones."""
        rounds = self.rounds[2:]
        wrong = [f"ended with {one['statuses']}" for one in self.rounds if any(one["statuses"])]
        third = max(1, len(rounds) // 3)
        for name in ("rss", "handles", "threads", "children") if len(rounds) > 2 else ():
            first, last = (
                statistics.median(one[name] for one in part) for part in (rounds[:third], rounds[-third:])
            )
            if last > (first * SLACK[0] + SLACK[1] if name == "rss" else first):
                wrong.append(f"{name} grew from {first:.0f} to {last:.0f} in {len(rounds)} rounds")
        return wrong


def soak(folder: Path, minutes: float, seed: int) -> tuple[str, list[str]]:
    """What was done, as words, and what went wrong."""
    drawn, kinds, wanted = prepared(folder)
    rng, ends, until = random.Random(seed), Counter[str](), time.monotonic() + 60 * minutes
    wrong: list[str] = []
    rounds = 0
    other = Resident()
    while time.monotonic() < until and not wrong:
        rounds += 1
        for name in ("disturbed", "resident"):
            shutil.copytree(drawn, folder / name)
        statuses, wrong = disturbed(folder / "disturbed", wanted, rng, len(kinds))
        ends += statuses
        other.play(folder / "resident")
        wrong += differences(folder / "resident", wanted)
        for name in ("disturbed", "resident"):
            shutil.rmtree(folder / name)
            (folder / f"{name}.said").unlink(missing_ok=True)
    other.end()
    first, last = other.rounds[min(2, len(other.rounds) - 1)], other.rounds[-1]
    held = f"{last['rss'] / 1e6:.0f} MB (round 3: {first['rss'] / 1e6:.0f}), {last['handles']} handles"
    listed = ", ".join(f"{count} with {status}" for status, count in sorted(ends.items()))
    return f"{rounds} rounds, processes ended {listed}; the resident one holds {held}", wrong + other.growth()


def main() -> int:
    """Soaks, and prints what was done; the exit status is 1 where something went wrong."""
    minutes, seed = float((sys.argv[1:] or ["20"])[0]), int((sys.argv[2:] or ["0"])[0])
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        done, wrong = soak(Path(folder), minutes, seed)
    print(done)
    print(*wrong or ["nothing went wrong"], sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    if sys.argv[1:] == ["resident"]:
        resident()
    else:
        sys.exit(main())
