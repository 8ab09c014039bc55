"""kit check: each thing that spoils a competition is found where it is drawn into one, and nothing where it is not."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.table import Table
from kit.stages.checks.check import _without_rows, run_checks
from kit.stages.checks.finding import Finding
from tests.drawing import CONFIG
from tests.images.test_near_duplicates import scene


def draw(
    root: Path,
    rows: list[tuple[str, str, np.ndarray]],
    test: list[np.ndarray],
    more: dict[str, list[str]] | None = None,
    **config: Any,
) -> Path:
    """A competition of these rows (id, label, image) and test images; `more` are columns of the training table."""
    images = root / "data" / "images"
    images.mkdir(parents=True)
    for name, _, image in rows:
        cv2.imwrite(str(images / f"{name}.png"), image)
    for number, image in enumerate(test):
        cv2.imwrite(str(images / f"t{number:03d}.png"), image)
    columns = more or {}
    with (root / "data" / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", *columns])
        for at, (name, label, _) in enumerate(rows):
            writer.writerow([name, label, *(values[at] for values in columns.values())])
    lines = ["id,label", *(f"t{number:03d},a" for number in range(len(test)))]
    (root / "data" / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    (root / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return root


def plain(count: int, first: int = 0) -> list[tuple[str, str, np.ndarray]]:
    """Different pictures, of classes a and b in turns."""
    return [(f"{number:03d}", "ab"[number % 2], scene(number + first)) for number in range(count)]


def findings_of(root: Path, *overrides: str) -> dict[str, Finding]:
    return {finding.code: finding for finding in run_checks(Workspace.find(root, list(overrides))).findings}


def test_clean_data_give_no_finding(tmp_path: Path) -> None:
    assert findings_of(draw(tmp_path, plain(60), [scene(number) for number in range(900, 930)])) == {}


def brighter(image: np.ndarray) -> np.ndarray:
    pixels: np.ndarray = np.clip(image.astype(int) + 6, 0, 255)
    return pixels.astype(np.uint8)


def test_near_copies_across_folds_are_a_problem_that_data_group_auto_answers(tmp_path: Path) -> None:
    rows = plain(30)
    rows += [(f"c{name}", label, brighter(image)) for name, label, image in rows[:10]]
    root = draw(tmp_path, rows, [scene(900)])
    finding = findings_of(root)["K05"]
    assert finding.level == "problem"
    assert finding.fix == "data.group=auto splitter=stratified_group_kfold"
    assert all(str(case)[:3] == str(case)[-3:] for case in finding.cases)
    assert "K05" not in findings_of(root, *finding.fix.split())
    groups = dict(csv.reader((root / "groups.csv").read_text().splitlines()))
    assert groups["c005"] == groups["005"] == "005"
    assert groups["025"] == "025"


def test_copies_with_other_labels_are_distinguished_exact_and_near(tmp_path: Path) -> None:
    rows = plain(30)
    rows += [("same", "b", rows[0][2]), ("near", "b", brighter(rows[2][2]))]
    findings = findings_of(draw(tmp_path, rows, [scene(900)]))
    assert [str(case) for case in findings["K04"].cases] == ["000 (a) = same (b)"]
    assert [str(case) for case in findings["K07"].cases] == ["002 (a) = near (b)"]
    assert (findings["K04"].level, findings["K07"].level) == ("problem", "warning")


def test_test_images_that_are_known_are_counted(tmp_path: Path) -> None:
    rows = plain(30)
    findings = findings_of(draw(tmp_path, rows, [scene(900), rows[3][2], brighter(rows[5][2]), scene(901)]))
    assert findings["K06"].summary == "2 of 4 test images are copies of training images, 1 byte for byte"
    assert {str(case) for case in findings["K06"].cases} == {"train 003 = test t001", "train 005 = test t002"}


def test_unreadable_images_and_those_of_no_row_are_listed(tmp_path: Path) -> None:
    root = draw(tmp_path, plain(30), [scene(900)])
    (root / "data/images/004.png").write_bytes(b"")
    (root / "data/images/t000.png").write_bytes(b"<html>")
    shutil.copy(root / "data/images/005.png", root / "data/images/extra.png")
    findings = findings_of(root)
    assert findings["K01"].summary == "2 images are unusable (D01 1, D06 1)"
    assert [(case.id, case.split) for case in findings["K01"].cases] == [("004", "train"), ("t000", "test")]
    assert [Path(case.path).name for case in findings["K02"].cases] == ["extra.png"]


def test_a_person_in_the_ids_is_seen_with_the_line_that_keeps_it_whole(tmp_path: Path) -> None:
    rows = [(f"p{number // 7:02d}_{number % 7}", "ab"[number % 2], scene(number)) for number in range(84)]
    root = draw(tmp_path, rows, [scene(900)])
    finding = findings_of(root)["K09"]
    assert finding.summary.startswith("7 images share prefix 'p00', one of 12 groups that the folds separate")
    assert finding.fix == "data.group={prefix} splitter=stratified_group_kfold"
    assert "K09" not in findings_of(root, *finding.fix.split())


def test_a_column_of_groups_is_seen_and_a_site_or_a_class_is_none(tmp_path: Path) -> None:
    rows = plain(60)
    more = {
        "person": [f"p{at // 4}" for at in range(60)],
        "site": ["x" if at < 30 else "y" for at in range(60)],
    }
    finding = findings_of(draw(tmp_path, rows, [scene(900)], more))["K09"]
    assert finding.fix == "data.group=person splitter=stratified_group_kfold"
    assert [case.path for case in finding.cases] == ["person"]


def test_unequal_classes_and_folds_without_one_are_seen(tmp_path: Path) -> None:
    rows = [(name, "b" if name == "000" else "a", image) for name, _, image in plain(40)]
    findings = findings_of(draw(tmp_path, rows, [scene(900)], splitter={"name": "kfold", "folds": 2}))
    assert findings["K03"].summary == "class a has 39 rows, class b only 1"
    assert "does not train on b" in str(findings["K08"].cases)


def test_test_images_of_another_camera_are_reported_with_the_numbers(tmp_path: Path) -> None:
    dark = [cv2.resize((scene(number) // 3), (48, 48)) for number in range(900, 940)]
    finding = findings_of(draw(tmp_path, plain(60), dark))["K10"]
    cases = {case.path: case.detail for case in finding.cases}
    assert cases["width"] == "median 96 in train, 48 in test (distance 1.00)"
    assert "brightness" in cases


def test_thin_and_plain_images_are_notes(tmp_path: Path) -> None:
    rows = plain(30)
    rows[3] = ("003", "b", np.ascontiguousarray(scene(3)[:16]))
    rows[4] = ("004", "a", np.full((96, 96, 3), 77, np.uint8))
    finding = findings_of(draw(tmp_path, rows, [scene(900)]))["K11"]
    assert finding.level == "note"
    assert [case.id for case in finding.cases] == ["003", "004"]
    assert "resize=pad" in finding.fix
    assert "data.alpha_fill=black" in finding.fix


def test_images_of_one_colour_are_not_told_to_pad(tmp_path: Path) -> None:
    rows = plain(30)
    rows[4] = ("004", "a", np.full((96, 96, 3), 77, np.uint8))
    finding = findings_of(draw(tmp_path, rows, [scene(900)]))["K11"]
    assert finding.summary == "1 images have only one colour"
    assert "resize" not in finding.fix


Inside = Callable[[Path], None]


def test_the_command_prints_effect_and_answer_and_its_status_is_for_scripts(
    tmp_path: Path, inside: Inside, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = plain(30)
    inside(draw(tmp_path, [*rows, ("same", "b", rows[0][2])], [scene(900)]))
    assert run(["check"]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("31 training rows of 2 classes, 1 test rows\n\nK04 problem: 1 pairs")
    assert "  effect: one of the two labels is wrong" in said.out
    assert "1 problem; kit explain" in said.err
    assert run(["check", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["findings"][0]["cases"][0]["detail"] == "000 (a) = same (b)"


def test_warnings_alone_are_no_failure_unless_strict(tmp_path: Path, inside: Inside) -> None:
    rows = plain(30)
    inside(draw(tmp_path, rows, [scene(900), rows[3][2]]))
    assert run(["check"]) == 0
    assert run(["check", "--strict"]) == 3


# --------------------------------------------------------------------------------------- data.group=auto

AUTO = ["data.group=auto", "splitter=stratified_group_kfold", "splitter.folds=2", "epochs=1"]


def test_a_run_with_auto_keeps_copies_in_one_fold_and_blends(tmp_path: Path, inside: Inside) -> None:
    rows = plain(30)
    rows += [(f"c{name}", label, brighter(image)) for name, label, image in rows[:10]]
    inside(draw(tmp_path, rows, [scene(900), scene(901)]))
    assert run(["train", "--name", "r", *AUTO]) == 0
    fold = dict(csv.reader((tmp_path / "runs/r/folds.csv").read_text().splitlines()))
    assert all(fold[f"c{name}"] == fold[name] for name, *_ in rows[:10])
    assert run(["train", "--name", "r", *AUTO]) == 0  # finished: the same groups
    assert run(["tta", "--checkpoints", "runs/r", *AUTO[:1]]) == 0
    assert run(["blend", "runs/r", *AUTO[:1]]) == 0


def test_groups_that_people_edit_are_kept_and_those_of_other_rows_made_again(
    tmp_path: Path, inside: Inside
) -> None:
    inside(draw(tmp_path, plain(30), [scene(900)]))
    file = tmp_path / "groups.csv"
    assert run(["check", *AUTO[:2]]) == 0
    edited = file.read_text().replace("001,001", "001,000")
    file.write_text(edited)
    assert run(["check", *AUTO[:2]]) == 0
    assert file.read_text() == edited
    file.write_text("id,group\n000,000\n")
    assert run(["blend", "runs/none", *AUTO[:1]]) in (2, 3)  # what needs groups does not make them
    assert run(["check", *AUTO[:2]]) == 0
    assert len(file.read_text().splitlines()) == 31
    file.write_text("row,name\n")
    assert run(["check", *AUTO[:2]]) == 3


def test_the_files_of_boxes_and_of_joined_images_have_a_row(tmp_path: Path) -> None:
    for name in ("a_red.png", "a_blue.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"")
    paths = [Path(f"{tmp_path}/a_red.png | {tmp_path}/a_blue.png"), Path(f"{tmp_path}/b.png [1, 2, 3, 4]")]
    train = Table(np.array(["a", "b"]), paths, ("x",))
    (finding,) = _without_rows(train, Table(np.array([], str), [], ("x",)))
    assert [Path(case.path).name for case in finding.cases] == ["c.png"]
