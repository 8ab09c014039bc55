"""tools.journey: which calls count as entering a file of kit."""

from __future__ import annotations

import importlib
import sys

import pytest

from kit.core import randomness
from kit.core.legible import legible
from tools.journey import Journey, record


def test_functions_that_run_count_and_imports_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    journey = Journey()
    monkeypatch.delitem(sys.modules, "kit.core.batching", raising=False)
    with record(journey):
        importlib.import_module("kit.core.batching")
        randomness.generator(0, "x")
    assert list(journey.files) == ["core/randomness.py"]
    assert journey.moves == 1


def test_moves_count_each_change_of_file() -> None:
    journey = Journey()
    with record(journey):
        for _ in range(3):
            randomness.generator(0, "x")
            legible("x")
    assert list(journey.files) == ["core/randomness.py", "core/legible.py"]
    assert journey.moves == 6
