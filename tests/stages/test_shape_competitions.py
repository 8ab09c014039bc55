"""Stand-ins of competitions with tables of other shapes are entered from kit init to a valid submission."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drawn_shapes import SHAPES
from tests.entering import enter

ENTERED = [name for name, shape in SHAPES.items() if shape.format and name != "two versions"]


@pytest.fixture(scope="module", autouse=True)
def valid() -> Iterator[list[str]]:
    """The stand-ins that were entered; the table is printed at the end."""
    lines: list[str] = []
    yield lines
    for name in lines:
        print(f"{name}: kit init, valid")
    print(f"{len(lines)} of {len(ENTERED)} shapes entered")


@pytest.mark.parametrize("name", ENTERED)
def test_a_competition_is_entered_by_kit_init_alone(name: str, tmp_path: Path, valid: list[str]) -> None:
    one = enter(tmp_path, SHAPES[name])
    assert one.submitted
    valid.append(name)
