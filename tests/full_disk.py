"""Fills the disk while one file of a small competition's commands is written; then frees it and types them again.

python -m tests.full_disk FOLDER limit     a limit on the size of files (RLIMIT_FSIZE)
python -m tests.full_disk FOLDER fill      a disk that is really full: FOLDER is a small tmpfs
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.crashing import Calls, child, contents, half_files, prepared

ARTEFACTS = (
    r"pixels-0\.bin", r"index\.npz", r"hashes\.json", r"runs/r/manifest\.json", r"fold-0/0002", r"fold-0/0002-000002",
    r"fold-1/log\.jsonl", r"fold-1/oof\.parquet", r"plain/oof\.parquet", r"hflip/test\.parquet",
    r"submissions/0001-b\.json", r"submissions/0001-b\.csv", r"submissions/board\.csv",
)  # fmt: skip


class Full(Calls):
    """Lets the disk be full while a file whose path ends so is written."""

    def __init__(self, ending: str, fills: bool) -> None:
        super().__init__()
        self.ending, self.fills = re.compile(ending + "$"), fills

    def listen(self) -> None:
        from kit.core import files

        plain = files.disk_full_as_error

        @contextmanager
        def space_for(path: Path, size: int) -> Iterator[None]:
            with plain(path, size):
                if not self.ending.search(str(path)):
                    yield
                    return
                with filled(Path.cwd()) if self.fills else limited():
                    yield

        files.disk_full_as_error = space_for  # type: ignore[assignment]


@contextmanager
def limited() -> Iterator[None]:
    """No file can have a byte more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def filled(root: Path) -> Iterator[None]:
    """The file system has no byte left."""
    ballast = os.open(root.parent / "ballast", os.O_WRONLY | os.O_CREAT)
    try:
        for chunk in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    os.write(ballast, bytes(chunk))
        yield
    finally:
        os.close(ballast)
        (root.parent / "ballast").unlink()


def cases(folder: Path, fills: bool) -> Iterator[tuple[str, list[str]]]:
    """Each artefact, and what was wrong: nothing, if kit keeps its word. Each time the commands go on a bit further."""
    root, _, wanted = prepared(folder)
    for ending in ARTEFACTS:
        yield ending, case(root, Full(ending, fills))
    status, present = child(root), contents(root)
    names = sorted(present.keys() | wanted.keys())
    wrong = [f"differs: {name}" for name in names if present.get(name, 0) != wanted.get(name, 0)]
    yield "at the end", [f"ends with {status}"] * bool(status) + wrong


def case(root: Path, full: Full) -> list[str]:
    root.with_suffix(".said").unlink(missing_ok=True)
    status, said = child(root, full), root.with_suffix(".said").read_text()
    wrong = [] if status == 1 else [f"ends with {status}, not 1"]
    wanted = (
        r"error: R06 disk full while writing .*: it needs about \S+ \w+, and \S+ \w+ are free"
        if full.fills
        else r"error: R28 the system allows no file as large as .*: it needs about \S+ \w+"
    )
    if not re.search(wanted, said):
        wrong.append(f"says {said[-800:]}")
    wrong += [f"stump {file.name}" for file in root.rglob("*.part")] + half_files(root)
    if "0002" in full.ending.pattern and not (root / "runs/r/fold-0/0001/manifest.json").is_file():
        wrong.append("the checkpoint before it is gone")
    return wrong


if __name__ == "__main__":
    faults = dict(cases(Path(sys.argv[1]), sys.argv[2] == "fill"))
    print(json.dumps(faults))
    sys.exit(any(faults.values()))
