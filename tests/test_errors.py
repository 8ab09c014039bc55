"""Errors: a summary, at most five cases, what to try; one exit code each."""

from __future__ import annotations

import pickle

import pytest

from kit import errors
from kit.errors import Case, DataError, StoppedError, did_you_mean


def test_a_message_is_a_summary_five_cases_and_what_to_try() -> None:
    cases = [Case("empty file", path=f"{n}.jpg") for n in range(8)]
    lines = str(DataError("8 images", code="D01", cases=cases, hint="mend them")).splitlines()
    assert lines[0] == "D01 8 images"
    assert lines[1:6] == [f"  {n}.jpg: empty file" for n in range(5)]
    assert lines[6:] == ["  … and 3 more", "try: mend them"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("RunError", 1),
        ("ConfigError", 2),
        ("PluginError", 2),
        ("DataError", 3),
        ("CheckpointError", 3),
        ("InvalidError", 4),
        ("BusyError", 75),
    ],
)
def test_exit_codes_are_those_of_the_drawing(kind: str, code: int) -> None:
    error = getattr(errors, kind)
    assert error.exit_code == code
    drawn = next(line for line in (errors.__doc__ or "").splitlines() if kind in line)
    assert str(code) in drawn.split()


def test_the_nearest_word_is_offered_and_a_far_one_is_not() -> None:
    assert did_you_mean("focall", ["focal", "arcface"]) == "; did you mean 'focal'?"
    assert did_you_mean("xyz", ["focal", "arcface"]) == ""


def test_an_error_of_another_process_is_the_same_error() -> None:
    for error in (
        DataError("8 images", code="D01", cases=[Case("empty", path="a.jpg")], hint="mend them"),
        StoppedError("stopped after fold 0", 15),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.exit_code == error.exit_code
        assert again.args == error.args
