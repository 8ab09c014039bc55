"""Kills a small competition's commands at each of their writes, and looks whether the same commands repair everything.

    python -m tests.crashing            every write, a line where it goes wrong
    python -m tests.crashing 5          every fifth, spread over the kinds of call

One process imports everything once; each case is a child of it that dies at its n-th call, and another that types the
same commands again. A write is cut in its middle, whatever library does it.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

COMMANDS = (
    ("train", "--name", "r", "save_every_steps=2"),
    ("tta", "--checkpoints", "runs/r", "--views", "hflip"),
    ("blend", "runs/r@hflip", "--name", "b"),
)
CONFIG = {"backbone": {"name": "small", "width": 4, "stages": 1}, "epochs": 3, "batch_size": 6}
VOLATILE = {"started", "git", "created", "images_per_second", "seconds", "memory_mib", "notes", "state.pt"}


class Calls:
    """Counts a process's calls that change files, and ends the process at one of them."""

    def __init__(self, fatal: int = 0) -> None:
        self.fatal, self.kinds = fatal, list[str]()
        self.lock = threading.Lock()

    def at(self, kind: str, half: Callable[[], None] | None = None) -> None:
        with self.lock:  # a checkpoint is written by a thread of its own
            self.kinds.append(kind)
            number = len(self.kinds)
        if number == self.fatal:
            if half is not None:
                half()
            os.kill(os.getpid(), signal.SIGKILL)

    def listen(self) -> None:
        """Puts itself in the way of the calls of this process."""
        for name in ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "truncate"):
            self._before(os, name)
        import safetensors.torch
        import torch
        from pyarrow import parquet

        self._deafly(torch, "save")
        self._cut(safetensors.torch, "save_file", 1)
        self._cut_parquet(parquet.ParquetWriter)
        plain = io.open

        def opened(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            stream = plain(file, mode, *more, **named)
            if not isinstance(file, int) and mode[0] in "wax":
                self._cut_stream(stream)
            return stream

        io.open = opened

    def _before(self, module: Any, name: str) -> None:
        plain = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.at(name)
            return plain(*arguments, **named)

        setattr(module, name, call)

    def _deafly(self, module: Any, name: str) -> None:
        """Takes a function that writes to a stream in many parts as one write."""
        plain = getattr(module, name)

        def call(value: Any, stream: Any) -> None:
            content = io.BytesIO()
            plain(value, content)
            stream.write(content.getvalue())

        setattr(module, name, call)

    def _cut(self, module: Any, name: str, place: int) -> None:
        plain = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            def half() -> None:
                plain(*arguments, **named)
                os.truncate(arguments[place], os.path.getsize(arguments[place]) // 2)  # noqa: PTH202

            self.at("write", half)
            return plain(*arguments, **named)

        setattr(module, name, call)

    def _cut_parquet(self, writer: Any) -> None:
        """Takes all that is written to a parquet file as one write."""
        begin, end = writer.__init__, writer.close

        def init(this: Any, where: Any, *more: Any, **named: Any) -> None:
            this.place = where
            begin(this, where, *more, **named)

        def close(this: Any) -> None:
            def half() -> None:
                end(this)
                os.truncate(this.place, os.path.getsize(this.place) // 2)  # noqa: PTH202

            if this.is_open:
                self.at("write", half)
            end(this)

        writer.__init__, writer.close = init, close

    def _cut_stream(self, stream: Any) -> None:
        plain = stream.write

        def write(content: Any) -> Any:
            def half() -> None:
                plain(content[: len(content) // 2])
                stream.flush()

            self.at("write", half)
            return plain(content)

        stream.write = write


def commands(root: Path, calls: Calls) -> None:
    """What a child does: types the commands, quietly, and ends with their first bad status."""
    import torch

    torch.set_num_threads(1)
    os.chdir(root)
    quiet = os.open(os.devnull, os.O_WRONLY)
    said = os.open(root.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 1)
    os.dup2(said, 2)
    calls.listen()
    from kit.commands._menu import run

    for line in COMMANDS:
        if status := run(list(line)):
            os._exit(status)
    done = {
        "kinds": calls.kinds,
        "modules": [name for name in sys.modules if not name.startswith("kit_workspace")],
    }
    root.with_suffix(".done").write_bytes(json.dumps(done).encode())
    os._exit(0)


def child(root: Path, calls: Calls | None = None) -> int:
    """Types the commands in a child, which `calls` may disturb; its status, negative for a signal."""
    number = os.fork()
    if number == 0:
        try:
            commands(root, calls or Calls())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def contents(root: Path) -> dict[str, Any]:
    """Every file of a workspace but for its data: what must be the same however often a process was killed."""
    by_name: dict[str, Any] = {}
    for file in sorted(file for file in root.rglob("*") if file.is_file()):
        name = re.sub(r"pixels-\d+", "pixels", str(file.relative_to(root)))
        if not name.startswith(("data/", "config.json")) and not name.endswith("lock"):
            by_name[name] = _content(file, root)
    return by_name


def _content(file: Path, root: Path) -> Any:
    text = file.read_bytes()
    if file.parts[-3:-1] and "cache" in file.relative_to(root).parts:
        return None  # what is in it shows in the predictions
    if file.name == "manifest.json" or (file.suffix == ".json" and file.parent.name == "submissions"):
        return _steady(json.loads(text))
    if file.name == "log.jsonl":
        return [_steady(json.loads(line)) for line in text.splitlines()]
    if file.name == "board.csv":
        return re.sub(rb"\d{4}-\d\d-\d\dT[^,]*", b"", text).decode()
    return _state(file) if file.name == "state.pt" else hashlib.sha256(text).hexdigest()


def _state(file: Path) -> Any:
    """The training state's values: equal ones need not be the same bytes."""
    import torch

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return hashlib.sha256(value.numpy().tobytes()).hexdigest(), str(value.dtype), tuple(value.shape)
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    return plain(torch.load(file, weights_only=True))


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in VOLATILE}
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def half_files(root: Path) -> list[str]:
    """Files under their final names that do not read, as a killed process left them."""
    from pyarrow.parquet import read_table

    from kit.data.predictions import Predictions
    from kit.errors import KitError
    from kit.model import checkpoints
    from kit.runs import row_checksums

    wrong = []
    for file in root.glob("runs/**/*"):
        if any(part.endswith(".part") for part in file.parts):
            continue
        try:
            if file.name == row_checksums.FILE:
                read_table(file)
            elif file.suffix == ".parquet":
                Predictions.read(file)
            elif file.suffix == ".json":
                json.loads(file.read_bytes())
            elif re.fullmatch(r"\d{4}(-\d{6})?", file.name):
                checkpoints.check_checkpoint(file)
        except (KitError, ValueError) as error:
            wrong.append(f"{file.relative_to(root)}: {str(error).splitlines()[0]}")
    return wrong


def spread(kinds: list[str], of: int) -> list[int]:
    """Numbers of calls, from 1: each `of`-th of its kind, and so some of each."""
    seen: Counter[str] = Counter()
    chosen = []
    for number, kind in enumerate(kinds, 1):
        if seen[kind] % of == of // 2 or of == 1:
            chosen.append(number)
        seen[kind] += 1
    return chosen


def prepared(folder: Path) -> tuple[Path, list[str], dict[str, Any]]:
    """A drawn competition, the calls of its commands by kind, and what they come to; imports what they need."""
    from kit.device import torch_internals
    from tests.drawing import draw_competition

    drawn = draw_competition(folder / "drawn", train=18, test=4, **CONFIG)
    whole = folder / "whole"
    shutil.copytree(drawn, whole)
    status = child(whole)
    assert status == 0, whole.with_suffix(".said").read_text()
    done, wanted = json.loads(whole.with_suffix(".done").read_bytes()), contents(whole)
    kinds = done["kinds"]
    torch_internals.prepare_torchvision()
    for name in done["modules"]:
        with suppress(ImportError):
            importlib.import_module(name)
    return drawn, kinds, wanted


def cases(folder: Path, choose: Callable[[list[str]], list[int]]) -> Iterator[tuple[int, str, list[str]]]:
    """Each chosen call's number, kind, and what was wrong after it: nothing, if kit keeps its word."""
    drawn, kinds, wanted = prepared(folder)
    for number in choose(kinds):
        root = folder / f"case-{number}"
        shutil.copytree(drawn, root)
        yield number, kinds[number - 1], case(root, number, wanted)
        shutil.rmtree(root)


def case(root: Path, number: int, wanted: dict[str, Any]) -> list[str]:
    """What is wrong after a kill at one call, and after the same commands again."""
    if (status := child(root, Calls(number))) not in (-signal.SIGKILL, 0):
        return [f"was not killed, but ended with {status}"]
    if status == 0 and number <= len(json.loads(root.with_suffix(".done").read_bytes())["kinds"]):
        return ["was not killed, though it came to that call"]
    # one that ended made fewer calls than the counted one, and must have come to the same
    wrong = half_files(root)
    if status := child(root):
        said = root.with_suffix(".said").read_text()
        return [*wrong, f"the same commands end with {status}: {said[-1500:]}"]
    present = contents(root)
    wrong += [f"is left over: {name}" for name in sorted(present.keys() - wanted.keys())]
    wrong += [f"is missing: {name}" for name in sorted(wanted.keys() - present.keys())]
    return wrong + [
        f"differs: {name}" for name in sorted(present.keys() & wanted.keys()) if present[name] != wanted[name]
    ]


def main() -> int:
    """Runs the cases and prints what goes wrong; the exit status is 1 then."""
    of, begun, counts, bad = int((sys.argv[1:] or ["1"])[0]), time.monotonic(), Counter[str](), 0
    memory = Path("/dev/shm")  # where a sync costs nothing; the order of the calls is what is looked at
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for number, kind, wrong in cases(Path(folder), partial(spread, of=of)):
            counts[kind] += 1
            bad += bool(wrong)
            if wrong:
                print(f"call {number}, {kind}:", *wrong, sep="\n  ", flush=True)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"killed at {counts.total()} calls ({listed}); {bad} went wrong; {time.monotonic() - begun:.0f} s")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
