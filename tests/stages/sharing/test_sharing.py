"""kit runs export and import: nothing is overwritten, nothing unsafe is read, and an unfinished run continues."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kit
from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.core.archives import open_archive
from kit.core.files import sha256
from kit.core.stopping import Deadline, Stop
from kit.data.predictions import Predictions
from kit.errors import BusyError, ConfigError, DataError, InvalidError, KitError, StoppedError
from kit.runs.run import Run
from kit.stages.blending.blend import blend
from kit.stages.sharing.exporting import export_runs
from kit.stages.sharing.importing import import_runs
from kit.stages.submission.board import Board
from kit.stages.training.fold import FoldDeadline
from kit.stages.training.train import train, train_run
from tests.written_runs import FOLDS, competition, write_run


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the runs a (plain, d4) and b, and a submission of a@d4 and b."""
    space = competition(tmp_path_factory.mktemp("sharing") / "space")
    blend(space, ["runs/a@d4", "runs/b"], "mean")
    return space.root


@pytest.fixture
def one(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "one"))


@pytest.fixture
def two(written: Path, tmp_path: Path) -> Path:
    """The same competition without runs and submissions."""
    skip = shutil.ignore_patterns("runs", "submissions")
    return Path(shutil.copytree(written, tmp_path / "two", ignore=skip))


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def test_a_folder_that_cannot_be_written_to_is_imported_whole(one: Path, two: Path) -> None:
    killed = {"pid": os.getpid(), "host": "another", "since": "then"}  # what a killed session leaves
    (one / "runs/a/busy.json").write_text(json.dumps(killed))
    (one / "runs/a/.lock").touch()
    before = hashes(one)
    for path in [one, *one.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    result = import_runs(two, one)
    assert hashes(one) == before
    assert [run.name for run in result.runs] == ["a", "b"]
    inner = {name.removeprefix("runs/"): mark for name, mark in before.items() if name.startswith("runs/")}
    assert hashes(two / "runs") == {name: mark for name, mark in inner.items() if name != "a/busy.json"}
    assert all(
        os.access(path, os.W_OK) and path.stat().st_mode & stat.S_IWUSR for path in (two / "runs").rglob("*")
    )
    assert [entry.name for entry in Board.read(two).entries] == [
        entry.name for entry in Board.read(one).entries
    ]
    assert not (two / "runs" / ".import.part").exists()
    blend(Workspace.open(two), ["runs/a@d4", "runs/b"], "simplex")


def test_the_same_import_again_changes_nothing(one: Path, two: Path) -> None:
    import_runs(two, one)
    before = hashes(two)
    result = import_runs(two, one)
    assert (result.runs, result.already) == ((), ("a", "b"))
    assert [each.is_new for each in result.submissions] == [False]
    assert hashes(two) == before


def test_an_equal_name_of_another_run_is_refused_and_a_prefix_gives_it_another(one: Path, two: Path) -> None:
    write_run(two, "b", sure=0.9)
    before = hashes(two)
    with pytest.raises(ConfigError, match="C11 1 runs of these names are here already") as caught:
        import_runs(two, one)
    assert "--prefix anna-" in caught.value.hint
    assert hashes(two) == before
    result = import_runs(two, one, "anna-")
    assert [(run.was, run.name) for run in result.runs] == [("a", "anna-a"), ("b", "anna-b")]
    assert {name: mark for name, mark in hashes(two).items() if name in before} == before
    predictions = Predictions.read(two / "runs/anna-a/predictions/d4/oof.parquet")
    was = Predictions.read(one / "runs/a/predictions/d4/oof.parquet")
    assert predictions.provenance.run == "anna-a"
    assert np.array_equal(predictions.probabilities, was.probabilities)
    (entry,) = Board.read(two).entries
    assert entry.members == "anna-a@d4 anna-b@plain"
    record = json.loads((two / "submissions" / entry.file).with_suffix(".json").read_text())
    assert [each["member"] for each in record["members"]] == ["anna-a@d4", "anna-b@plain"]


def test_a_number_that_the_board_has_is_replaced_by_the_next_free_one(one: Path, two: Path) -> None:
    write_run(two, "c", sure=0.9)
    blend(Workspace.open(two), ["runs/c"], "mean")
    mine = hashes(two / "submissions")
    Board.read(one).score(1, 0.75)
    result = import_runs(two, one)
    assert [(each.was, each.number) for each in result.submissions] == [(1, 2)]
    entries = {entry.number: entry for entry in Board.read(two).entries}
    assert entries[2].notes == "was 1 in another workspace"
    assert entries[2].leaderboard == 0.75
    assert entries[2].file.startswith("0002-")
    there = Board.read(one).entries[0].file
    assert sha256(two / "submissions" / entries[2].file) == sha256(one / "submissions" / there)
    now = hashes(two / "submissions")
    assert {name for name in mine if now[name] != mine[name]} == {"board.csv"}
    Board.read(one).score(1, 0.8)
    assert [each.is_new for each in import_runs(two, one).submissions] == [False]
    assert {entry.number: entry.leaderboard for entry in Board.read(two).entries}[2] == 0.75


def test_a_score_that_is_not_here_yet_comes_with_the_import(one: Path, two: Path) -> None:
    import_runs(two, one)
    Board.read(one).score(1, 0.75)
    assert [each.scored for each in import_runs(two, one).submissions] == [True]
    assert Board.read(two).entries[0].leaderboard == 0.75


def test_an_export_has_the_views_that_are_asked_for_and_no_weights(space: Path, tmp_path: Path) -> None:
    names: dict[str, set[str]] = {}
    options: tuple[dict[str, bool], ...] = ({}, {"weights": True})
    for option in options:
        out = tmp_path / f"{len(names)}.zip"
        export_runs(space, ["a@plain"], out, **option)
        with zipfile.ZipFile(out) as archive:
            names[out.stem] = set(archive.namelist())
    assert {"runs/a/config.json", "runs/a/folds.csv", "runs/a/predictions/plain/oof.parquet"} <= names["0"]
    assert "runs/a/fold-0/log.jsonl" in names["0"]
    assert not [name for name in names["0"] if "safetensors" in name or "state" in name]
    assert "runs/a/fold-0/0002/model.safetensors" in names["1"]
    with pytest.raises(ConfigError, match="C38"):
        export_runs(space, ["a"], tmp_path / "0.zip")
    with pytest.raises(ConfigError, match="C15 runs/a has no predictions by d4"):
        export_runs(space, ["a@d4"], tmp_path / "2.zip")


def test_an_export_is_imported_and_its_folds_are_compared(one: Path, two: Path, tmp_path: Path) -> None:
    export_runs(one, ["a@d4", "b"], tmp_path / "r.zip")
    write_run(two, "same")
    write_run(two, "shifted", folds=[(fold + 1) % 3 for fold in FOLDS], sure=0.9)
    write_run(two, "other", folds=[row % 3 for row in range(9)])
    first, second = import_runs(two, tmp_path / "r.zip").runs
    assert first.views == ("plain", "d4")
    assert first.same_folds == ("same",)
    assert first.other_folds == ("other", "shifted")
    assert second.same_folds == ("a", "same")
    assert first.notes == ("without weights: kit blend and kit final can use it, kit tta cannot",)


def change_ids(root: Path) -> None:
    text = (root / "runs/a/folds.csv").read_text()
    (root / "runs/a/folds.csv").write_text(text.replace("t8,", "t9,"))


def change_test_ids(root: Path) -> None:
    file = root / "runs/a/predictions/d4/test.parquet"
    predictions = Predictions.read(file)
    replace(predictions, ids=np.array([name.replace("007", "008") for name in predictions.ids])).write(file)


def change_classes(root: Path) -> None:
    for file in (root / "runs/a").rglob("*.parquet"):
        replace(Predictions.read(file), classes=("ant", "bee", "dog")).write(file)


def predict_training_rows(root: Path) -> None:
    file = root / "runs/a/predictions/d4/oof.parquet"
    predictions = Predictions.read(file)
    replace(predictions, folds=(predictions.folds + 1) % 3).write(file)


def damage(root: Path) -> None:
    file = root / "runs/a/predictions/d4/oof.parquet"
    file.write_bytes(file.read_bytes()[:-50])


def come_from_a_newer_kit(root: Path) -> None:
    (root / "runs/a/manifest.json").write_text(json.dumps({"schema": 99, "asked": {}}))


def change_a_submission(root: Path) -> None:
    file = root / "submissions" / Board.read(root).entries[0].file
    file.write_text(file.read_text() + "x,ant\n")


@pytest.mark.parametrize(
    ("spoil", "code", "exit_code"),
    [
        (change_ids, "D41", 4),
        (change_test_ids, "D41", 4),
        (change_classes, "D42", 4),
        (predict_training_rows, "D43", 4),
        (damage, "D40", 4),
        (come_from_a_newer_kit, "D52", 3),
        (change_a_submission, "D74", 3),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_fit_is_refused_and_nothing_is_taken(
    one: Path, two: Path, spoil: Callable[[Path], None], code: str, exit_code: int
) -> None:
    before = hashes(two)
    spoil(one)
    with pytest.raises(KitError) as caught:
        import_runs(two, one)
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    assert ".import.part" not in str(caught.value)
    assert hashes(two) == before


def test_an_export_that_was_changed_or_made_by_a_newer_kit_is_refused(
    one: Path, two: Path, tmp_path: Path
) -> None:
    export_runs(one, ["b"], tmp_path / "r.zip")
    with zipfile.ZipFile(tmp_path / "r.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(files["export.json"])
    spoilt = {
        "changed": {**files, "runs/b/folds.csv": files["runs/b/folds.csv"] + b"\n"},
        "lacking": {name: data for name, data in files.items() if "test.parquet" not in name},
        "newer": {**files, "export.json": json.dumps({**about, "schema": 99}).encode()},
        "no-json": {**files, "export.json": b"{"},
    }
    codes = {"changed": "D69", "lacking": "D69", "newer": "D52", "no-json": "D69"}
    for name, content in spoilt.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for entry, data in content.items():
                archive.writestr(entry, data)
        with pytest.raises(DataError) as caught:
            import_runs(two, tmp_path / f"{name}.zip")
        assert caught.value.code == codes[name], name
    assert not (two / "runs").exists() or not list((two / "runs").iterdir())


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("../runs/a/folds.csv", "leads out of the archive's folder"),
        ("runs/a/../../../x", "leads out of the archive's folder"),
        ("/runs/a/folds.csv", "leads out of the archive's folder"),
        ("runs\\..\\x", "leads out of the archive's folder"),
        ("C:/runs/a", "leads out of the archive's folder"),
        (link("runs/a/folds.csv"), "is a link or a special file"),
        ("runs/a/FOLDS.csv", "is there twice"),
    ],
)
def test_an_unsafe_zip_is_refused_whole(
    two: Path, tmp_path: Path, entry: str | zipfile.ZipInfo, said: str
) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr(
            "runs/a/folds.csv" if not isinstance(entry, zipfile.ZipInfo) else "runs/b/folds.csv", "id,fold\n"
        )
        archive.writestr(entry, "/etc/passwd")
    before = hashes(tmp_path)
    with pytest.raises(DataError, match="D69") as caught:
        import_runs(two, tmp_path / "r.zip")
    assert said in str(caught.value)
    assert hashes(tmp_path) == before


def test_a_zip_bomb_is_refused_before_it_is_read(two: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("runs/a/folds.csv", b"0" * 2**25)
    with pytest.raises(DataError, match="would expand from") as caught:
        import_runs(two, tmp_path / "r.zip")
    assert caught.value.code == "D69"
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 and no archive")
    with pytest.raises(DataError, match="D69"):
        import_runs(two, tmp_path / "no.zip")


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", b"0123456789")
    data = path.read_bytes()
    at = data.rindex(b"PK\x01\x02")
    path.write_bytes(data[: at + 20] + (2**30).to_bytes(4, "little") + data[at + 24 :])
    with pytest.raises(DataError, match="its entries overlap"), open_archive(path):
        pass


def test_a_link_out_of_the_folder_is_refused(one: Path, two: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("id,fold\n")
    (one / "runs/a/config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="D69 .* it is a link out of"):
        import_runs(two, one)


def test_a_folder_without_runs_and_one_with_several_workspaces_are_reported(
    one: Path, two: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="C15 .* has no run and no board"):
        import_runs(two, two / "data")
    shutil.copytree(one, tmp_path / "inputs" / "x")
    shutil.copytree(one, tmp_path / "inputs" / "y")
    with pytest.raises(ConfigError, match="C15 .* has 2 workspaces"):
        import_runs(two, tmp_path / "inputs")
    with pytest.raises(ConfigError, match="has no run 'c'"):
        import_runs(two, one, only=["c"])
    assert [run.name for run in import_runs(two, one / "runs" / "b").runs] == ["b"]
    assert [run.name for run in import_runs(two, tmp_path / "inputs" / "x", only=["a"]).runs] == ["a"]


def test_the_second_notebook_imports_the_first_and_continues_to_the_same_bits(
    space: Path,
    tmp_path: Path,
    inside: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now, measure = [0.0], FoldDeadline.end_step

    def end_step(fold: FoldDeadline) -> None:
        now[0] += 1.0
        measure(fold)

    monkeypatch.setattr(FoldDeadline, "end_step", end_step)
    with pytest.raises(StoppedError):
        train_run(Workspace.open(space), "r", stop=Stop(deadline=Deadline(11.0, lambda: now[0])))
    second = tmp_path / "second"
    shutil.copytree(space, second, ignore=shutil.ignore_patterns("runs", "config.json"))
    inside(second)
    assert command(["runs", "import", str(space), "--run", "r"]) == 0
    said = capsys.readouterr().out
    assert "config.json: taken from the import, because there was none" in said
    assert "runs/r: stopped in fold 1 after epoch 0 of 2, step 2 of the next" in said
    train(second, name="r")
    runs = (Run(second / "runs" / "r"), Run(space / "runs" / "a"))
    oof = [run.predictions("plain") / "oof.parquet" for run in runs]
    first, other = (Predictions.read(file).probabilities for file in oof)
    assert np.array_equal(first, other)


def test_a_run_without_weights_blends_and_says_why_it_does_not_predict(
    space: Path, tmp_path: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(space)
    assert command(["runs", "export", "a", "--out", str(tmp_path / "a.zip")]) == 0
    shutil.rmtree(space / "runs")
    assert command(["runs", "import", str(tmp_path / "a.zip")]) == 0
    capsys.readouterr()
    assert command(["train", "--name", "a"]) == 0
    assert "runs/a is finished" in capsys.readouterr().err
    assert command(["tta", "--checkpoints", "runs/a", "--views", "hflip"]) == 2
    assert "C15 runs/a has no weights" in capsys.readouterr().err


def test_damaged_weights_are_refused(space: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(space, tmp_path / "other", ignore=shutil.ignore_patterns("runs")))
    (file,) = space.glob("runs/a/fold-0/0002/model.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(KitError, match="D51 .*sha256 mismatch"):
        import_runs(other, space)


def test_other_labels_are_noted(one: Path, two: Path) -> None:
    manifest = {"schema": 1, "started": "now", "asked": {}, "provenance": {"rows": "0" * 64}}
    (one / "runs/a/manifest.json").write_text(json.dumps(manifest))
    (first, _) = import_runs(two, one).runs
    assert first.notes[0].startswith("labels or groups differ from this table")


def test_a_run_at_work_is_refused(one: Path, two: Path) -> None:
    held = {"pid": os.getpid(), "host": platform.node(), "since": "now"}
    (one / "runs/a/busy.json").write_text(json.dumps(held))
    with pytest.raises(BusyError, match="R08"):
        import_runs(two, one)


def test_wrong_folds_in_a_file_are_refused(one: Path, two: Path) -> None:
    write_run(one, "a", views="d4", about={"folds": "0" * 64})
    with pytest.raises(InvalidError, match="D43 .*with other folds"):
        import_runs(two, one)


def test_a_session_exports_and_imports(one: Path, two: Path, tmp_path: Path) -> None:
    export = kit.open(one).export_runs("a@d4", out=tmp_path / "a.zip", progress=False)
    assert repr(export).startswith(f"{export.path}: a@d4, ")
    result = kit.open(two).import_runs(export.path, prefix="anna-", progress=False)
    assert repr(result).splitlines() == [
        "runs/anna-a (was a): not trained, predictions plain d4",
        "  without weights: kit blend and kit final can use it, kit tta cannot",
    ]
    table = result.to_frame()
    assert table["name"].tolist() == ["anna-a"]
    assert table["views"].tolist() == ["plain, d4"]
