"""kit report: a page of whatever there is, its numbers as JSON, and a write-up that a team may edit."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core import files
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition, draw_several

Step = Callable[[Path], None]
Said = pytest.CaptureFixture[str]


def reported(folder: Path, *arguments: str) -> dict[str, Any]:
    """The numbers of a report that is written into a folder."""
    assert run(["report", "--out", str(folder / "report.html"), *arguments]) == 0
    return dict(json.loads((folder / "report.json").read_text()))


def test_it_writes_a_page_and_its_numbers_and_prints_the_path(
    space: Path, inside: Step, capsys: Said
) -> None:
    inside(space)
    assert run(["report"]) == 0
    said = capsys.readouterr()
    assert said.out == "report.html\n"
    assert "numbers: report.json" in said.err
    facts = json.loads((space / "report.json").read_text())
    assert facts["summary"]["best"] == "a@plain"
    assert facts["evaluation"]["rows"] == 60
    assert facts["data"]["findings"] is not None
    assert "image 0" in (space / "report.html").read_text()


def test_everything_that_was_done_is_reported(space: Path, inside: Step) -> None:
    for views in ("plain", "hflip"):
        tta(space, [space / "runs" / "a"], views=views)
    submitted = submit_blend(Workspace.open(space), ["a", "a@hflip"], name="both")
    inside(space)
    assert run(["board", "score", "1", "0.75"]) == 0
    facts = reported(space, "--no-check")
    assert [one["views"] for one in facts["views"]] == ["hflip"]
    assert facts["blend"]["cv"] == pytest.approx(submitted.cv)
    assert [one["weight"] for one in facts["blend"]["members"]] == [0.5, 0.5]
    assert facts["board"]["submissions"][0]["leaderboard"] == 0.75
    assert facts["summary"]["leaderboard"] == 0.75
    counts = facts["evaluation"]["confusion"]
    assert sum(map(sum, counts)) == 60
    assert [len(curve["epochs"]) for curve in facts["runs"][0]["curves"]] == [2, 2]
    assert {"lr", "train_loss", "images_per_second", "memory_mib"} <= facts["runs"][0]["curves"][0][
        "values"
    ].keys()


def test_the_worst_mistakes_are_those_of_the_highest_loss(space: Path, inside: Step) -> None:
    import numpy as np

    from kit.data.predictions import Predictions
    from kit.data.table import train_table

    inside(space)
    mistakes = reported(space, "--no-check")["mistakes"]
    oof = Predictions.read(space / "runs/a/predictions/plain/oof.parquet")
    table = train_table(space, Workspace.open(space).competition.data)
    at = dict(zip(table.ids.tolist(), table.targets().tolist(), strict=True))
    truth = np.array([at[name] for name in oof.ids.tolist()])
    loss = -np.log(oof.probabilities[np.arange(60), truth])
    wrong = oof.probabilities.argmax(axis=1) != truth
    order = [str(oof.ids[row]) for row in np.argsort(-loss) if wrong[row]]
    assert [one["id"] for one in mistakes][:5] == order[:5]
    assert mistakes[0]["loss"] == pytest.approx(float(loss[wrong].max()), abs=1e-5)


def test_a_workspace_without_runs_says_what_to_type(competition: Path, inside: Step) -> None:
    inside(competition)
    facts = reported(competition, "--no-check")
    for section in ("runs", "evaluation", "mistakes", "suspects", "views", "blend", "board"):
        assert facts[section]["hint"].startswith("kit "), section
    assert any(step["command"].startswith("kit train") for step in facts["summary"]["steps"])


def test_tables_that_cannot_be_read_are_reported_and_so_are_the_runs(space: Path, inside: Step) -> None:
    (space / "data" / "train.csv").write_text("id,label\n")
    inside(space)
    facts = reported(space)
    assert facts["data"]["why"].startswith("D29")
    assert facts["summary"]["wrong"][0]["level"] == "problem"
    assert facts["runs"][0]["name"] == "a"


def test_rows_of_several_labels_have_no_confusion_and_all_the_rest(tmp_path: Path, inside: Step) -> None:
    root = draw_several(tmp_path / "space", train=24, epochs=1)
    train(root, name="r")
    inside(root)
    facts = reported(root, "--no-check")
    assert facts["evaluation"]["confusion"] == []
    assert sum(one["rows"] for one in facts["evaluation"]["calibration"]["bins"]) == 24 * 3
    assert len(facts["evaluation"]["classes"]) == 3


def test_hostile_classes_of_a_table_are_escaped(tmp_path: Path, inside: Step) -> None:
    root, evil = draw_competition(tmp_path / "space"), "</script><script>window.evil=1</script>"
    table = root / "data" / "train.csv"
    table.write_text(table.read_text().replace(",blob,", f",{evil},"))
    sample = root / "data" / "sample_submission.csv"
    sample.write_text(sample.read_text().replace(",blob", f",{evil}"))
    inside(root)
    reported(root, "--no-check")
    text = (root / "report.html").read_text()
    assert evil not in text
    assert text.count("<script") == 2


def test_named_runs_are_reported_alone_and_a_member_is_evaluated(
    space: Path, inside: Step, capsys: Said
) -> None:
    tta(space, [space / "runs" / "a"], views="hflip")
    inside(space)
    assert reported(space, "--no-check", "runs/a@hflip")["evaluation"]["member"] == "a@hflip"
    for wrong in ("b@hflip", "b"):
        capsys.readouterr()
        assert run(["report", "--no-check", wrong]) == 2
        assert "b" in capsys.readouterr().err


def test_json_is_printed_in_the_paths_place(competition: Path, inside: Step, capsys: Said) -> None:
    inside(competition)
    assert run(["report", "--no-check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "space"


def test_grad_cam_is_beside_the_mistakes_on_request(space: Path, inside: Step) -> None:
    inside(space)
    assert all(one["cam"] is None for one in reported(space, "--no-check")["mistakes"])
    mistakes = reported(space, "--no-check", "--cam")["mistakes"]
    assert mistakes
    assert all("Grad-CAM for" in one["cam"]["text"] for one in mistakes)


def test_without_its_checkpoint_a_mistake_is_shown_all_the_same(
    space: Path, inside: Step, capsys: Said
) -> None:
    for file in (space / "runs" / "a").glob("fold-*/*/manifest.json"):
        file.unlink()
    inside(space)
    facts = reported(space, "--no-check", "--cam")
    assert facts["mistakes"]
    assert all(one["picture"] and one["cam"] is None for one in facts["mistakes"])
    assert "no Grad-CAM: D51 the checkpoint that predicted fold" in capsys.readouterr().err
    assert facts["lacking"]


def test_without_cam_torch_is_not_imported(space: Path) -> None:
    code = "import sys; from kit.commands._menu import run; run(['report']); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=space, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert (space / "report.html").is_file()


def test_a_page_that_is_none_is_refused(competition: Path, inside: Step, capsys: Said) -> None:
    inside(competition)
    assert run(["report", "--out", "report.pdf"]) == 2
    assert "does not end in .html" in capsys.readouterr().err


def test_a_full_disk_leaves_no_report(
    competition: Path, inside: Step, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(competition)

    def full(path: Path) -> None:
        if "report.html" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "sync", full)
    assert run(["report", "--no-check"]) == 1
    assert "R06 disk full while writing report.html" in capsys.readouterr().err
    assert not list(competition.glob("*report*"))


def test_a_write_up_is_made_again_until_it_is_edited(space: Path, inside: Step, capsys: Said) -> None:
    inside(space)
    story = space / "report.md"
    for _ in range(2):
        assert run(["report", "--no-check", "--write-up"]) == 0
    assert "| a | small |" in story.read_text()
    story.write_text(story.read_text().replace("## The problem", "## Our problem"))
    (space / "report.html").unlink()
    capsys.readouterr()
    assert run(["report", "--no-check", "--write-up"]) == 2
    said = capsys.readouterr().err
    assert "C30 report.md was edited" in said
    assert "try: --out fresh.html" in said
    assert "## Our problem" in story.read_text()
    assert not (space / "report.html").exists()
    assert run(["report", "--no-check", "--write-up", "--out", "fresh.html"]) == 0
    assert (space / "fresh.md").is_file()
