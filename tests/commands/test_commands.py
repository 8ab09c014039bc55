"""The command line: the whole road, its exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.commands.tta import _repeat_option
from kit.core.files import read_json

Step = Callable[[Path], None]


def test_the_pipeline_from_train_to_board(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["train", "--name", "a"]) == 0
    assert run(["train", "--name", "b", "loss=cutmix", "backbone.width=6"]) == 0
    talk = capsys.readouterr()
    assert talk.out.split() == ["runs/a", "runs/b"]
    assert "fold 1 epoch 2/2" in talk.err
    assert run(["tta", "--checkpoints", "runs/a", "runs/b", "--views", "flip", "--json"]) == 0
    members = json.loads(capsys.readouterr().out)
    assert [each["member"] for each in members] == ["runs/a@flip", "runs/b@flip"]
    assert run(["blend", "runs/a@flip", "runs/b@flip", "--name", "first"]) == 0
    rows = list(csv.reader((competition / "submissions" / "0001-first.csv").read_text().splitlines()))
    assert rows[0] == ["id", "label"]
    assert [row[0] for row in rows[1:]] == [f"{n:03d}" for n in range(60, 72)]
    assert run(["board", "score", "1", "0.75"]) == 0
    capsys.readouterr()
    assert run(["board", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["number"], float(entry["leaderboard"])) == (1, 0.75)


def test_a_finished_run_says_so_without_loading_torch(competition: Path) -> None:
    import subprocess

    from kit.stages.training.train import train

    train(competition, name="a")
    code = (
        "import sys\nfrom kit.commands._menu import run\n"
        "assert run(['train', '--name', 'a']) == 0\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=competition, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "runs/a is finished" in done.stderr


def test_several_seeds_are_several_runs_on_the_same_folds(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["train", "--name", "r", "--seeds", "0,1", "--folds", "0", "--json", "epochs=1"]) == 0
    assert [each["run"] for each in json.loads(capsys.readouterr().out)] == ["runs/r-seed0", "runs/r-seed1"]
    assert (competition / "runs/r-seed0/folds.csv").read_bytes() == (
        competition / "runs/r-seed1/folds.csv"
    ).read_bytes()
    assert read_json(competition / "runs/r-seed1/config.json")["seed"] == 1


def test_a_dry_run_prints_what_a_run_would_be(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["train", "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 60
    assert report["steps"] == 16
    assert report["parameters"] > 1000
    assert run(["train", "--dry-run"]) == 0
    lines = dict(
        re.split(r"  +| (?=\d+\.\d{4}$)", line, maxsplit=1) for line in capsys.readouterr().out.splitlines()
    )
    assert lines["folds"] == "0: 30 train, 30 held out; 1: 30 train, 30 held out"
    assert lines["loss of equal outputs"] == "1.0986"  # log(3)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["tarin"], 2, "did you mean 'train'"),
        (["train", "epoch=3"], 2, "no config key 'epoch'; did you mean 'epochs'?"),
        (["train", "loss=focall"], 2, "no loss named 'focall'"),
        (["train", "loss=arcface", "loss.margn=0.2"], 2, "did you mean 'margin'"),
        (["train", "epochs=many"], 2, "epochs: Input should be a valid integer"),
        (["train", "splitter=stratified_group_kfold"], 2, "data.group"),
        (["train", "--folds", "0;1"], 2, "not a list of numbers"),
        (["train", "--folds", "7"], 2, "the folds are 0 to 1"),
        (["train", "device=cuda:9"], 2, "C10"),
        (["tta", "--checkpoints", "runs/none"], 2, "C15"),
        (
            ["tta", "--checkpoints", "runs/none", "--views", "d5"],
            2,
            "no views named 'd5'; did you mean 'd4'?",
        ),
        (["tta", "-c", "runs/none", "--views", "{bad json"], 2, "'{bad json' is not valid JSON"),
        (["tta", "-c", "runs/none", "--views", "{}"], 2, "P06"),
        (["tta", "-c", "runs/none", "--device", "meta"], 2, "C10"),
        (["train", "optimizer.betas=[2,0.9]"], 2, "optimizer.betas.0"),
        (["blend", "runs/none"], 2, "runs/none"),
        (["board", "score", "9", "0.5"], 2, "9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_user_got_wrong_is_said_in_a_line_without_a_traceback(
    competition: Path,
    inside: Step,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    inside(competition)
    assert run(arguments) == code
    talk = capsys.readouterr()
    assert words in talk.err.replace("\n", " ")
    assert "Traceback" not in talk.err
    assert talk.out == ""


def test_outside_a_workspace_it_says_how_to_make_one(
    tmp_path: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(tmp_path)
    assert run(["train"]) == 2
    assert "kit init" in capsys.readouterr().err


def test_bad_data_is_listed_in_quarantine(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    for number in range(7):
        (competition / "data" / "images" / f"{number:03d}.png").write_bytes(b"")
    assert run(["train"]) == 3
    talk = capsys.readouterr().err
    assert "D01" in talk
    assert talk.count(".png") == 5
    rows = list(csv.DictReader((competition / "quarantine.csv").read_text().splitlines()))
    assert [row["id"] for row in rows] == [f"{number:03d}" for number in range(7)]
    assert {(row["split"], row["code"]) for row in rows} == {("train", "D01")}


def test_strict_makes_a_warning_stop_with_bad_datas_status(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    images = competition / "data" / "images"
    (images / "004.png").write_bytes((images / "003.png").read_bytes())
    assert run(["train", "--dry-run"]) == 0
    assert "warning: W02" in capsys.readouterr().err
    assert run(["train", "--dry-run", "--strict"]) == 3
    assert "W0" in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    inside(competition)
    monkeypatch.setattr("kit.engine.step._apply_gradients", press)
    assert run(["train"]) == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (
            ["--checkpoints", "a", "b", "--views", "d4"],
            ["--checkpoints", "a", "--checkpoints", "b", "--views", "d4"],
        ),
        (["--views", "d4", "--checkpoints", "a"], ["--views", "d4", "--checkpoints", "a"]),
        (
            ["--checkpoints", "a", "--checkpoints", "b", "c"],
            ["--checkpoints", "a", "--checkpoints", "b", "--checkpoints", "c"],
        ),
        (
            ["--checkpoints", "a", "data.on_unreadable_test=class_prior"],
            ["--checkpoints", "a", "data.on_unreadable_test=class_prior"],
        ),
        (["-c", "a", "--json"], ["-c", "a", "--json"]),
        (["-c", "a", "b", "--json", "x=1"], ["-c", "a", "--checkpoints", "b", "--json", "x=1"]),
    ],
)
def test_checkpoints_takes_what_a_shell_makes_of_a_star(given: list[str], meant: list[str]) -> None:
    assert _repeat_option(given, "--checkpoints") == meant


def test_the_demo_plays_its_commands_and_compares_with_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kit.commands import demo

    quick = "epochs=1 splitter=holdout backbone.width=4 backbone.stages=1"
    lines = [
        f"train --name small {quick}",
        "tta --checkpoints runs/small --views plain",
        "blend runs/small --name demo",
    ]
    monkeypatch.setattr(demo, "COMMANDS", lines)
    monkeypatch.chdir(tmp_path)
    assert run(["demo", str(tmp_path / "digits")]) == 0
    talk = capsys.readouterr()
    assert "$ kit train --name small" in talk.err
    assert "test macro_f1 0." in talk.out
    rows = list(csv.reader((tmp_path / "digits" / "submissions" / "0001-demo.csv").read_text().splitlines()))
    assert len(rows) == 1 + 599


def test_the_demo_leaves_another_competition_alone(
    competition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (competition / "data" / "train.csv").read_bytes()
    assert run(["demo", str(competition)]) == 2
    assert "holds another competition" in capsys.readouterr().err
    assert (competition / "data" / "train.csv").read_bytes() == before


def test_the_repositorys_config_is_the_demos() -> None:
    from kit.stages.demo.digits import DEMO_CONFIG

    assert read_json(Path(__file__).parents[2] / "config.json") == DEMO_CONFIG


def test_the_command_line_looks_for_garbage_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    from kit import __main__

    before = gc.get_threshold()
    monkeypatch.setattr("sys.argv", ["kit", "--version"])
    try:
        with pytest.raises(SystemExit, match="0"):
            __main__.main()
        assert gc.get_threshold()[0] >= 10_000 > before[0]
    finally:
        gc.set_threshold(*before)
