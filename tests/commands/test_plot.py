"""`kit plot`: a picture file, its path on stdout, and errors in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from kit.commands._menu import run

Step = Callable[[Path], None]


def test_it_writes_the_picture_and_prints_its_path(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["plot", "augment", "augmenter=flips", "--rows", "2", "--variants", "3"]) == 0
    said = capsys.readouterr()
    assert said.out == "augment.png\n"
    assert "2 rows with 3 variants each, augmenter flips" in said.err
    picture = cv2.imread("augment.png")
    assert picture is not None
    assert picture.shape[1] > 4 * 96


def test_json_names_file_and_rows_and_the_seed_decides_which(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    results = []
    for seed in ("0", "1", "0"):
        assert run(["plot", "augment", "--seed", seed, "--out", f"{seed}.png", "--rows", "4", "--json"]) == 0
        results.append((json.loads(capsys.readouterr().out), Path(f"{seed}.png").read_bytes()))
    (first, picture), (other, another), again = results
    assert first["file"] == "0.png"
    assert first["variants"] == 6
    assert len(first["rows"]) == 4
    assert first["rows"] != other["rows"]
    assert picture != another
    assert (first, picture) == again


def test_the_augmenters_options_come_from_overrides(competition: Path, inside: Step) -> None:
    inside(competition)
    for name, flips in (("plain", "false"), ("turned", "true")):
        overrides = ["augmenter=flips", f"augmenter.vertical={flips}", "augmenter.horizontal=false"]
        assert run(["plot", "augment", *overrides, "--out", f"{name}.png"]) == 0
    assert Path("plain.png").read_bytes() != Path("turned.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "picture.jpg"], "does not end in .png"),
        (["augmenter=hevy"], "did you mean 'heavy'"),
        (["augmenter=heavy", "augmenter.cutout_probs=1"], "did you mean 'cutout_prob'"),
        (["--rows", "0"], "--rows"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    arguments: list[str], words: str, competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["plot", "augment", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(competition.glob("*.png"))
    assert not list(competition.glob("*.jpg"))


def test_the_learning_rates_are_drawn_and_their_peak_is_said(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["plot", "lr", 'scheduler={"name":"constant","warmup":0.5}', "epochs=4"]) == 0
    said = capsys.readouterr()
    assert said.out == "lr.png\n"
    assert "4 epochs, 16 steps per fold\npeak 0.01 at step 9 (epoch 2.2), 0.01 at the end" in said.err
    assert cv2.imread("lr.png") is not None


def test_the_range_test_is_drawn_and_given_as_json(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["plot", "lr", "--find", "--steps", "12", "--from", "1e-4", "--to", "0.01", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert [len(report["trials"]), report["file"]] == [12, "lr.png"]
    assert "try optimizer.lr between them" in said.err
    assert cv2.imread("lr.png") is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "lr.svg"], "does not end in .png"),
        (["--find", "--from", "0.1", "--to", "0.01"], "is not larger than --from 0.1"),
        (["scheduler=cosin"], "did you mean 'cosine'"),
    ],
)
def test_rates_that_cannot_be_drawn_are_refused(
    arguments: list[str], words: str, competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["plot", "lr", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(competition.glob("lr.*"))
