"""Killed at any of its writes, a command typed again mends everything: a sample of what `make crash` does in full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.crashing import spread


def test_killed_at_a_sample_of_all_writes_the_same_commands_come_to_the_same_result() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "tests.crashing", "60"]
    made = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "; 0 went wrong" in made.stdout


def test_the_sample_has_some_of_each_kind_and_all_are_all() -> None:
    kinds = ["write", "fsync", "replace"] * 7 + ["rmdir"]
    assert {kinds[number - 1] for number in spread(kinds, 5)} == {"write", "fsync", "replace"}
    assert spread(kinds, 1) == list(range(1, 23))


def test_the_harness_sees_a_command_that_leaves_something_behind(
    tmp_path: Path,
) -> None:
    """Breaks the promise on purpose, in a process of its own, as forks of a test process with threads may hang."""
    broken = (
        "import kit.core.files, tests.crashing as c\n"
        "kit.core.files._remove_stump = lambda part: None\n"
        "import sys; from pathlib import Path\n"
        f"found = list(c.cases(Path({str(tmp_path)!r}), lambda kinds: [kinds.index('replace') + 1]))\n"
        "print(found)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    made = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, env=environment, timeout=300
    )
    assert "is left over" in made.stdout, made.stdout + made.stderr
