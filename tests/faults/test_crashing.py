"""Killed at any of its writes, a command typed again repairs everything: a sample of what `make crash` does in full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashing import spread

# both tests in one process that imports everything once, and not in the tests' own: forks of one with threads may hang
SCRIPT = """
import sys
from pathlib import Path

import kit.core.files
from tests import crashing

folder = Path(sys.argv.pop())
status = crashing.main()
kit.core.files._remove_partial_file = lambda part: None  # breaks the promise on purpose
found = list(crashing.cases(folder, lambda kinds: [kinds.index("replace") + 1]))
print("broken:", found)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The harness at a sample of all writes, and then at one write of a kit that leaves files behind."""
    command = [sys.executable, "-c", SCRIPT, "60", str(tmp_path_factory.mktemp("broken"))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)


def test_killed_at_a_sample_of_all_writes_the_same_commands_come_to_the_same_result(
    harness: subprocess.CompletedProcess[str],
) -> None:
    assert harness.returncode == 0, harness.stdout + harness.stderr
    assert "; 0 went wrong" in harness.stdout


def test_the_sample_has_some_of_each_kind_and_all_are_all() -> None:
    kinds = ["write", "fsync", "replace"] * 7 + ["rmdir"]
    assert {kinds[number - 1] for number in spread(kinds, 5)} == {"write", "fsync", "replace"}
    assert spread(kinds, 1) == list(range(1, 23))


def test_the_harness_sees_a_command_that_leaves_something_behind(
    harness: subprocess.CompletedProcess[str],
) -> None:
    assert "is left over" in harness.stdout.partition("broken:")[2], harness.stdout + harness.stderr
