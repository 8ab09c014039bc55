"""Draws are pure functions of what names them, the same in every process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from kit.core.randomness import generator, number


def test_the_same_name_gives_the_same_draws() -> None:
    assert (
        generator(1, "augment", 0, 3, 17, 0).random(5).tolist()
        == generator(1, "augment", 0, 3, 17, 0).random(5).tolist()
    )


def test_every_part_of_the_name_counts() -> None:
    names: list[tuple[int, *tuple[str | int, ...]]] = [
        (0, "a", 1, 2),
        (1, "a", 1, 2),
        (0, "b", 1, 2),
        (0, "a", 2, 2),
        (0, "a", 1, 3),
        (0, "a", 12),
        (0, "a1", 2),
    ]
    assert len({number(*name) for name in names}) == len(names)


def test_numbers_seed_torch_and_numpy() -> None:
    seeds = [number(0, "step", step) for step in range(1000)]
    assert len(set(seeds)) == 1000
    assert 0 <= min(seeds) <= max(seeds) < 2**63


def test_draws_are_the_same_in_another_process() -> None:
    """Python's own hash of text is salted a process."""
    code = "from kit.core.randomness import number; print(number(7, 'order', 2))"
    outputs = {
        subprocess.check_output([sys.executable, "-c", code], env={"PYTHONHASHSEED": str(n)}) for n in (1, 2)
    }
    assert outputs == {f"{number(7, 'order', 2)}\n".encode()}


def test_draws_of_neighbours_are_not_alike() -> None:
    first = np.array([generator(0, "augment", 0, 0, row, 0).random() for row in range(2000)])
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.06
    assert abs(first.mean() - 0.5) < 0.02
