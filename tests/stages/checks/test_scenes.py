"""kit check on photos of scenes: a random split tears them, `data.group=scene` does not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.commands._menu import run
from kit.data.folds import Folds
from kit.stages.checks import scenes
from tests.images.test_scenes import place, seen_from
from tests.stages.checks.test_check import draw, findings_of

ROWS = 72
SCENE = ("data.group=scene", "splitter=stratified_group_kfold", "splitter.folds=2")


@pytest.fixture(autouse=True)
def half_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks the held-out half of the rows, fewer than in a competition."""
    monkeypatch.setattr(scenes, "SAMPLE_ROWS", ROWS // 2)


def competition(root: Path, views: int, **config: Any) -> Path:
    """72 photos of two classes, `views` of each scene, under names that carry no information."""
    rows: list[tuple[str, str, np.ndarray]] = []
    for number in np.random.default_rng(0).permutation(ROWS).tolist():
        scene, view = divmod(number, views)
        image = seen_from(place(scene, 160), 6.0 * view, 1 + 0.05 * view, 10 * view)
        rows.append((f"{len(rows):03d}", "ab"[scene % 2], image))
    return draw(root, rows, [place(900, 160)], image_size=96, cache_size=96, **config)


def test_torn_scenes_are_found_and_one_line_answers(
    tmp_path: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    root = competition(tmp_path / "space", 3)
    finding = findings_of(root)["K30"]
    assert finding.level == "problem"
    assert int(finding.summary.split()[0]) > 24
    assert finding.fix == "data.group=scene splitter=stratified_group_kfold"
    assert "K30" not in findings_of(root, *SCENE)
    with (root / "scenes.csv").open() as file:
        groups = [row["group"] for row in csv.DictReader(file)]
    assert len(set(groups)) == 24
    inside(root)
    assert run(["train", "--name", "r", *SCENE, "epochs=1"]) == 0
    folds = Folds.read(root / "runs/r/folds.csv").numbers[:, 0]
    assert all(len(set(folds[np.array(groups) == name].tolist())) == 1 for name in set(groups))
    before = (root / "scenes.csv").stat().st_mtime_ns
    assert run(["train", "--name", "r", *SCENE, "epochs=1"]) == 0
    assert (root / "scenes.csv").stat().st_mtime_ns == before
    assert "runs/r" in capsys.readouterr().out


def test_photos_of_one_scene_each_are_no_finding(tmp_path: Path) -> None:
    assert "K30" not in findings_of(competition(tmp_path, 1))


def test_scenes_of_rows_with_several_labels_are_refused(
    tmp_path: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    root = competition(tmp_path / "space", 1)
    config = json.loads((root / "config.json").read_text())
    several = {"data": {**config.get("data", {}), "label_separator": " "}, "loss": "bce", "splitter": "kfold"}
    (root / "config.json").write_text(json.dumps({**config, **several}))
    inside(root)
    assert run(["check", "data.group=scene"]) == 2
    assert "C17" in capsys.readouterr().err
