"""Each command that computes says on which device, in which dtype, before it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.commands._menu import run

LINE = "device: cpu with 1 thread, float32, channels_last, 0 loader processes"


@pytest.fixture(autouse=True)
def few_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.device.precision.available_cores", lambda: 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("device:")]


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["train", "--name", "b", "--folds", "0", "epochs=1"], 1),
        (["train", "--name", "a"], 0),  # finished: nothing is computed
        (["tta", "--checkpoints", "runs/a", "--views", "hflip"], 1),
        (["tta", "--checkpoints", "runs/a"], 1),
        (["embed", "--checkpoints", "runs/a"], 1),
        (["final", "runs/a"], 2),  # training, and predicting with the network of all rows
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_it_is_one_line(
    space: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    count: int,
) -> None:
    monkeypatch.chdir(space)
    if command[0] == "final":
        assert run(["tta", "--checkpoints", "runs/a"]) == 0
    lines(capsys)
    assert run(command) == 0
    assert lines(capsys) == [LINE] * count


def test_workers_with_one_kind_of_device_are_one_line(
    space: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(space)
    executor = '{"name": "processes", "workers": 2, "threads": 1}'
    assert (
        run(["tta", "--checkpoints", "runs/a", "--views", "hflip", "workers=0", "--executor", executor]) == 0
    )
    assert lines(capsys) == [LINE]


def test_a_bundle_says_it_too(
    space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(space)
    assert run(["tta", "--checkpoints", "runs/a"]) == 0
    assert run(["bundle", "runs/a", "--out", str(tmp_path / "bundle")]) == 0
    lines(capsys)
    assert (
        run(
            [
                "predict",
                str(tmp_path / "bundle"),
                "--images",
                "data/images",
                "--sample",
                "data/sample_submission.csv",
                "--work",
                str(tmp_path / "work"),
                "--out",
                str(tmp_path / "out.csv"),
            ]
        )
        == 0
    )
    assert lines(capsys) == [LINE]
