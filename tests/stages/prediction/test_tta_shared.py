"""tta: an image is read once for all that predict it, and who else reads along changes no bit."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from kit.config.workspace import Workspace
from kit.data import predictions
from kit.data.predictions import Predictions
from kit.errors import BusyError, RunError
from kit.images.cache import Cache
from kit.runs.run import Run
from kit.stages.prediction.tta import tta
from kit.stages.prediction.view_policy import choose_views
from kit.stages.training.train import train
from tests.drawing import draw_competition

RUNS = {
    "a": [],
    "b": ["seed=1"],
    "c": ["seed=2", "batch_size=7", "split_seed=1", "epochs=1"],
    "d": ["image_size=20", "cache_size=24", "epochs=1"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs a and b are of one kind, c has other folds and batches, d another geometry."""
    root = draw_competition(tmp_path_factory.mktemp("shared") / "space")
    for name, overrides in RUNS.items():
        train(root, overrides, name=name)
    return root


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "space"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each image was taken from the cache, by the cache's folder and the image's name."""
    counts: Counter[tuple[str, str]] = Counter()
    real = Cache.__getitem__

    def noted(cache: Cache, row: int) -> np.ndarray:
        counts[cache.file.parent.name.rpartition("-")[0], cache.paths[row].stem] += 1
        return real(cache, row)

    monkeypatch.setattr(Cache, "__getitem__", noted)
    return counts


def files(root: Path, views: str) -> dict[str, Predictions]:
    paths = root.glob(f"runs/*/predictions/{views}/*.parquet")
    return {f"{file.parts[-4]} {file.stem}": Predictions.read(file) for file in paths}


def same(one: dict[str, Predictions], other: dict[str, Predictions]) -> bool:
    return one.keys() == other.keys() and all(
        mine.ids.tolist() == other[name].ids.tolist()
        and mine.folds.tolist() == other[name].folds.tolist()
        and np.array_equal(mine.probabilities, other[name].probabilities)
        and mine.provenance == other[name].provenance
        for name, mine in one.items()
    )


def test_two_runs_of_two_folds_read_each_image_once_for_all_views(
    runs: Path, reads: Counter[tuple[str, str]]
) -> None:
    tta(runs, ["runs/a", "runs/b"], "d4")
    assert reads == {("short_side-20", f"{number:03d}"): 1 for number in range(72)}


def test_other_folds_and_batches_share_the_pass_and_another_geometry_has_its_own(
    runs: Path, reads: Counter[tuple[str, str]]
) -> None:
    tta(runs, ["runs/a", "runs/d", "runs/c"], "hflip")
    names = [f"{number:03d}" for number in range(72)]
    assert reads == {(f"short_side-{size}", name): 1 for size in (20, 24) for name in names}


def test_predicting_together_is_predicting_run_by_run_to_the_bit(runs: Path) -> None:
    together = [result.member for result in tta(runs, [f"runs/{name}" for name in RUNS], "flip")]
    assert together == [f"runs/{name}@flip" for name in RUNS]
    before = files(runs, "flip")
    for name in RUNS:
        shutil.rmtree(runs / f"runs/{name}/predictions/flip")
        tta(runs, [f"runs/{name}"], "flip")
    assert len(before) == 8
    assert same(before, files(runs, "flip"))


def test_a_policy_reads_each_image_once_for_all_its_views(
    runs: Path, reads: Counter[tuple[str, str]]
) -> None:
    choose_views(runs, ["runs/a", "runs/b"], "flip")
    assert set(reads.values()) == {1}


def test_networks_too_large_together_are_predicted_one_run_after_the_other(
    runs: Path, reads: Counter[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["kit.stages.prediction.tta"], "MAX_WEIGHT_BYTES", 1)
    tta(runs, ["runs/a", "runs/b"], "hflip")
    assert set(reads.values()) == {2}


def test_only_what_is_missing_is_predicted(runs: Path, reads: Counter[tuple[str, str]]) -> None:
    tta(runs, ["runs/a", "runs/b/fold-1"], "hflip")
    before = files(runs, "hflip")
    reads.clear()
    results = tta(runs, ["runs/a", "runs/b"], "hflip")
    assert [result.computed for result in results] == [False, True]
    held_out = Run(runs / "runs/b").folds().oof_mask(0)
    assert sum(reads.values()) == held_out.sum() + 12
    kept = files(runs, "hflip")["b test"]
    assert np.array_equal(kept.take(kept.folds == 1).probabilities, before["b test"].probabilities)


def test_probabilities_that_stand_in_maps_and_row_groups_are_the_same(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tta(runs, ["runs/a", "runs/b"], "hflip")
    before = files(runs, "hflip")
    for name in ("a", "b"):
        shutil.rmtree(runs / f"runs/{name}/predictions/hflip")
    monkeypatch.setattr(sys.modules["kit.experiment.prediction_file"], "MAPPED", 0)
    monkeypatch.setattr(predictions, "ROW_GROUP_BYTES", 3 * 4 * 5)  # five rows
    tta(runs, ["runs/a/fold-1", "runs/b"], "hflip")
    tta(runs, ["runs/a", "runs/b"], "hflip")  # what is kept is read into a map too
    assert same(before, files(runs, "hflip"))
    file = parquet.ParquetFile(runs / "runs/a/predictions/hflip/test.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [5, 5, 2, 5, 5, 2]


def test_a_full_disk_is_said_before_anything_is_predicted(
    runs: Path, reads: Counter[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, begin: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["kit.experiment.prediction_file"], "MAPPED", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match="disk full"):
        tta(runs, ["runs/a"], "hflip")
    assert not reads


def test_a_run_at_work_elsewhere_stops_the_command_before_anything_is_done(runs: Path) -> None:
    with Run(runs / "runs/b").lock(), pytest.raises(BusyError, match="runs/b is in use"):
        tta(runs, ["runs/a", "runs/b"], "hflip")
    assert not (runs / "runs/a/predictions/hflip").exists()


def test_what_a_killed_command_left_is_removed(runs: Path) -> None:
    folder = runs / "runs/a/predictions/hflip"
    folder.mkdir()
    (folder / ".test.parquet.x.part").write_bytes(b"half")
    tta(Workspace.open(runs), ["runs/a"], "hflip")
    assert sorted(file.name for file in folder.iterdir()) == ["oof.parquet", "test.parquet"]
