"""How long a run takes on all rows, by logs that are written here and sums made by hand."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from kit.config.models import Experiment
from kit.data.folds import Folds
from kit.runs.run import Run
from kit.stages.final.timing import BestEpoch, Pace, best_epoch, measure_pace
from tests.approximate import approx


def written(root: Path, logs: list[list[dict[str, float]]]) -> Run:
    """A run of 12 rows, of which each of the folds 0 and 1 holds out 4."""
    run = Run(root / "r")
    numbers = np.repeat([0, 1, -1], 4)[:, None]
    Folds(np.array([f"{n:02d}" for n in range(12)]), numbers).write(run.folder / "folds.csv")
    for fold, lines in enumerate(logs):
        run.fold(fold).mkdir(parents=True)
        run.fold_predictions_file(fold).write_bytes(b"")
        text = "".join(json.dumps({"lr": 0.1, "train_loss": 1.0, **line}) + "\n" for line in lines)
        (run.fold(fold) / "log.jsonl").write_text(text)
    return run


def line(epoch: int, step: int, speed: float, seconds: float, **scores: float) -> dict[str, float]:
    return {"epoch": epoch, "step": step, "images_per_second": speed, "seconds": seconds, **scores}


def test_an_epoch_grows_with_its_rows_and_validation_tells_what_predicting_takes(tmp_path: Path) -> None:
    """2 steps of 4 rows at 2 and 4 images/s are 4 and 2 s on 8 rows, so 6 and 3 on 12; 2 s more for 4 rows held out."""
    run = written(tmp_path, [[line(1, 2, 2, 6, f1=0.5), line(2, 4, 4, 4, f1=0.6)]])
    pace = measure_pace(run, Experiment(epochs=2, batch_size=4), {})
    assert pace is not None
    assert pace.epochs == pytest.approx((6, 3))
    assert pace.seconds_per_row == pytest.approx(0.5)


def test_folds_are_averaged_and_one_that_did_not_end_is_left_aside(tmp_path: Path) -> None:
    run = written(tmp_path, [[line(1, 2, 2, 4)], [line(1, 2, 4, 2)]])
    pace = measure_pace(run, Experiment(epochs=1, batch_size=4), {})
    assert pace is not None
    assert pace.epochs == pytest.approx(((6 + 3) / 2,))
    assert pace.seconds_per_row == pytest.approx(4.5 / 12 / 3), (
        "nothing was validated: a third of training's time a row"
    )
    assert measure_pace(run, Experiment(epochs=2, batch_size=4), {}) is None


def test_times_of_another_machine_or_device_are_reported() -> None:
    here = Pace((1.0,), 0.1, {"host": platform.node(), "device": "cpu"})
    assert here.note("cpu") == ""
    assert "(cpu), but this machine is" in here.note("cuda")
    assert "measured on moon (cuda:1)" in Pace((1.0,), 0.1, {"host": "moon", "device": "cuda:1"}).note("cuda")
    assert "unknown machine" in Pace((1.0,), 0.1, {}).note("cpu")


def test_the_best_epoch_is_that_of_the_folds_mean_and_none_where_it_is_the_last(tmp_path: Path) -> None:
    first = [line(1, 2, 2, 4, f1=0.5), line(2, 4, 2, 4, f1=0.9), line(3, 6, 2, 4, f1=0.7)]
    second = [line(1, 2, 2, 4, f1=0.5), line(2, 4, 2, 4, f1=0.5), line(3, 6, 2, 4, f1=0.6)]
    run = written(tmp_path, [first, second])
    best = best_epoch(run, "f1", True)
    assert best == BestEpoch(2, approx(0.7), approx(0.65))
    assert best_epoch(run, "f1", False) == BestEpoch(1, approx(0.5), approx(0.65))
    assert best_epoch(run, "log_loss", False) is None, "not every epoch was scored by it"
    assert best_epoch(written(tmp_path / "x", [second]), "f1", True) is None
