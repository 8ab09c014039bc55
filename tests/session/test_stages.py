"""Each method runs the stage of its command: it returns what the command's files and --json hold, and shows itself."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import kit
from kit.commands._menu import run
from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.stages.blending.blend import Submitted
from tests.session.displayed import check_display


@pytest.fixture(scope="module")
def two_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs a and b, of another learning rate, with plain predictions of their test rows."""
    comp = kit.open(Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("two") / "space")))
    comp.train("b", optimizer={"lr": 0.005}, progress=False)
    comp.tta(["a", "b"], progress=False)
    return comp.folder


@pytest.fixture
def two(two_once: Path, tmp_path: Path) -> kit.Session:
    return kit.open(Path(shutil.copytree(two_once, tmp_path / "space")))


def test_rows_are_embedded_retrieved_and_paired(
    two: kit.Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded = two.embed("a", progress=False)
    check_display(embedded, "member", "features", "train_rows")
    assert embedded.to_frame().train_rows.tolist() == [60]
    results = two.retrieve(embedded, scorer={"name": "power", "k": 5}, progress=False)
    check_display(results, "member", "scorer", "macro_f1", "gain")
    monkeypatch.chdir(two.folder)
    assert run(["retrieve", "a", "--scorer", '{"name": "power", "k": 5}', "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["scores"] == dict(results[0].scores)

    (two.folder / "pairs.csv").write_text("one,other\n060,061\n060,062\n")
    paired = two.pairs(embedded[0], two.folder / "pairs.csv", out=two.folder / "scored.csv", progress=False)
    check_display(paired, "id_1", "id_2", "probability", "same")
    with (two.folder / "scored.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = paired.to_frame()
    assert [row["id_2"] for row in rows] == table.id_2.tolist() == ["061", "062"]
    assert [float(row["probability"]) for row in rows] == pytest.approx(table.probability.tolist(), rel=1e-5)
    assert [bool(int(row["same"])) for row in rows] == table.same.tolist()


def test_an_untrained_network_embeds_as_a_run_of_its_own(two: kit.Session) -> None:
    (result,) = two.embed(untrained="bare", progress=False)
    assert result.member == "runs/bare@plain"
    with pytest.raises(ConfigError, match="either checkpoints, or untrained"):
        two.embed()


def test_a_sweep_is_a_table_of_runs_and_the_command_continues_it(
    two: kit.Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = {"optimizer.lr": [0.01, 0.02], "epochs": 1}
    result = two.sweep("s", axes, config_set=[{"loss": "focal"}], progress=False)
    check_display(result, "run", "settings", "macro_f1", "score_std", "gain_of_best")
    table = result.to_frame()
    assert sorted(table.run) == ["s-001", "s-002"]
    assert sorted(table.settings) == ["optimizer.lr=0.01", "optimizer.lr=0.02"]
    assert table.macro_f1.is_monotonic_decreasing
    assert (two.folder / "runs/s-001/config.json").read_text().count('"focal"') == 1
    monkeypatch.chdir(two.folder)
    command = ["sweep", "s", "optimizer.lr=0.01,0.02", "epochs=1", "--config-set", 'loss="focal"', "--json"]
    assert run(command) == 0
    assert [one["run"] for one in json.loads(capsys.readouterr().out)["trials"]] == table.run.tolist()


def test_a_trial_that_fails_is_in_the_result(two: kit.Session) -> None:
    result = two.sweep("f", {"epochs": 1, "init_from": [None, "runs/none"]}, progress=False)
    assert [bool(why) for why in result.to_frame().failed] == [False, True]
    assert "1 failed" in repr(result)


def test_a_soup_is_a_run(two: kit.Session) -> None:
    soup = two.soup(["a", "b"], name="s", progress=False)
    check_display(soup, "run", "folds", "macro_f1")
    table = soup.to_frame().set_index("run")
    stored = Predictions.read(two.folder / "runs/s/predictions/plain/oof.parquet").provenance
    assert table.macro_f1["s"] == stored.require_scores()["macro_f1"]
    assert table.folds["a"] == "0 1"
    assert two.tta(soup, progress=False)[0].member == "runs/s@plain"


def test_a_merged_run_is_a_run(two: kit.Session) -> None:
    two.embed(untrained="bare", progress=False)
    two.train(name="probe", backbone={"name": "embeddings", "run": "bare"}, epochs=1, progress=False)
    result = two.merge("probe", name="whole", progress=False)
    check_display(result, "run", "folds", "difference")
    assert result.to_frame().difference[0] < 0.01
    assert two.tta(result, progress=False)[0].member == "runs/whole@plain"


def test_the_final_networks_are_planned_and_trained(two: kit.Session) -> None:
    planned = two.final(["a", "b"], ensembler="mean", dry_run=True, progress=False)
    check_display(planned, "run", "epochs", "trains", "fits")
    assert planned.to_frame().run.tolist() == ["a-final", "b-final"]
    assert not (two.folder / "runs/a-final").exists()
    blended = two.blend(["a", "b"], ensembler="mean", name="x", progress=False)
    assert isinstance(blended, Submitted)
    record = next((two.folder / "submissions").glob("0001-x.json"))
    result = two.final(blend=record, progress=False)
    check_display(result, "name", "nested")
    assert result.runs == ("a-final", "b-final")
    assert result.submitted.cv == blended.cv
    with pytest.raises(ConfigError, match="already names members"):
        two.final("a", blend=record)
    with pytest.raises(ConfigError, match="give one of the two"):
        two.final("a", hours=1, time="1h")


def test_a_bundle_predicts_what_the_workspace_does(two: kit.Session, tmp_path: Path) -> None:
    result = two.bundle("a", out=tmp_path / "bundle", progress=False)
    check_display(result, "member")
    assert result.bundle.members == ("a@plain",)
    data = two.folder / "data"
    predicted = two.predict(
        result.folder,
        images=data / "images",
        sample=data / "sample_submission.csv",
        out=tmp_path / "predicted.csv",
        work=tmp_path / "work",
        progress=False,
    )
    check_display(predicted, "id")
    blended = two.blend("a", name="x", progress=False)
    assert isinstance(blended, Submitted)
    expected = pd.read_csv(blended.path, dtype=str)
    pd.testing.assert_frame_equal(predicted.to_frame(), expected)
    with pytest.raises(ConfigError, match="time limit of a notebook"):
        two.bundle("a", out=tmp_path / "other", time="1h")


def test_memory_and_speed_are_tables(two: kit.Session, tmp_path: Path) -> None:
    memory = two.memory(batch_size=[2, 4], out=tmp_path / "memory.png", progress=False)
    check_display(memory, "images", "peak", "fits")
    assert memory.to_frame().images.tolist() == [2, 4]
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    parts = memory.to_frame().drop(columns=["images", "peak", "fits"]).sum(axis=1)
    assert parts.tolist() == memory.to_frame().peak.tolist()
    speed = two.bench.network(steps=3, batch_size=2, progress=False)
    check_display(speed, "precision", "memory_format", "training", "predicting")
    assert (speed.to_frame().training > 0).all()
    loader = two.bench.loader(workers=0, steps=3, progress=False)
    check_display(loader, "workers", "loader_alone", "training")
    assert loader.to_frame().workers.tolist() == [0]
    with pytest.raises(ConfigError, match="less than 3"):
        two.bench.loader(steps=1)
