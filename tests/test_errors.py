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


@pytest.mark.parametrize("name", ["summary", "code", "cases", "hint", "exit_code"])
def test_an_error_does_not_change_after_it_was_made(name: str) -> None:
    error = StoppedError("stopped after fold 0", 15)
    before = str(error)
    with pytest.raises(AttributeError, match=f"a StoppedError keeps its {name}"):
        setattr(error, name, "other")
    assert (str(error), error.exit_code) == (before, 143)


def test_a_changed_error_is_another_one_with_the_same_class_code_and_status() -> None:
    error = StoppedError("stopped after fold 0", 15)
    changed = error.replace(summary="stopped", cases=["fold 1", Case("fold 2")], hint="wait")
    assert type(changed) is StoppedError
    assert (changed.code, changed.exit_code) == ("R05", 143)
    assert str(changed).splitlines() == ["R05 stopped", "  fold 1", "  fold 2", "try: wait"]
    assert str(error).splitlines() == [
        "R05 stopped after fold 0",
        "try: run the same command again to resume",
    ]
    assert str(pickle.loads(pickle.dumps(changed))) == str(changed)


def test_a_raised_error_keeps_its_cause() -> None:
    first = DataError("8 images", code="D01")
    with pytest.raises(DataError) as caught:
        raise first.replace(hint="mend them") from first
    assert caught.value.__cause__ is first
