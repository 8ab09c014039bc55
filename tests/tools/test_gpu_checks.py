"""The checks that a user runs on a GPU: the list loads, a CPU passes one, and a broken promise is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu_bench import CHECKS, CPU, Bench, Outcome

# the whole batch twice, since the first copy fails, and then its two halves
COPY = "running out of memory while a batch is copied does not end training"


def test_the_list_has_each_check_and_a_row_for_each_variant() -> None:
    assert len(CHECKS) >= 40
    variants = [name for name in CHECKS if name.startswith("a loss of NaN changes no weight")]
    assert len(variants) == 4


def test_a_check_passes_on_a_cpu(tmp_path: Path) -> None:
    row = gpu.run_check(COPY, Bench(CPU, tmp_path))
    assert (row.result, row.figure) == ("passed", "4 copies for one step")


def broken(bench: Bench) -> Outcome:
    raise RuntimeError("CUDA error: a | b\nmore")


@pytest.mark.parametrize(
    ("outcome", "result"),
    [(Outcome(False, "1"), "failed"), (Outcome(True, "1"), "passed"), (Outcome(None, "1"), "measured")],
)
def test_each_outcome_is_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: Outcome, result: str
) -> None:
    monkeypatch.setitem(CHECKS, COPY, lambda bench: outcome)
    assert str(gpu.run_check(COPY, Bench(CPU, tmp_path))) == f"| {COPY} | {result} | 1 | 0 s |"


def test_an_error_is_a_failed_check_and_what_needs_a_gpu_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(CHECKS, COPY, broken)
    row = str(gpu.run_check(COPY, Bench(CPU, tmp_path)))
    assert row == f"| {COPY} | failed | RuntimeError in other code: CUDA error: a / b more | 0 s |"
    (row,) = map(str, gpu.run_checks(Bench(CPU, tmp_path), "device=auto"))
    assert "| not possible | needs a GPU |" in row


def test_no_check_begins_after_the_time_is_over(tmp_path: Path) -> None:
    rows = list(gpu.run_checks(Bench(CPU, tmp_path), seconds=-1))
    assert {(row.result, row.figure) for row in rows} == {("not possible", "the time is over")}
