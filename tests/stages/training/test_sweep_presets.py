"""Presets of kit sweep: sets of overrides of equal time, the same when the sweep is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.errors import ConfigError
from kit.kinds import Loss
from kit.plugins.loss.cutmix_or_mixup import CutmixOrMixup
from kit.stages.profiling.time_budget import TrainingPace
from kit.stages.training import sweep_presets as presets
from kit.stages.training.sweep import run_sweep
from kit.stages.training.sweep_presets import preset_sets


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """An epoch takes ten seconds, then twenty, and so on."""
    seconds: list[float] = []

    class Known(TrainingPace):
        def epoch_seconds(self, image_size: int) -> float:
            return seconds[-1]

    def pace(*_: object) -> TrainingPace:
        seconds.append(10.0 * (len(seconds) + 1))
        return Known(32, 1.0, 1.0, 30, 60)

    monkeypatch.setattr(presets, "measure_pace", pace)
    return seconds


def test_rates_are_a_third_once_and_three_times_the_configs(competition: Path) -> None:
    space = Workspace.open(competition, ("optimizer.lr=0.001", "epochs=8"))
    assert preset_sets(space, "rate") == [
        "optimizer.lr=0.000333 epochs=8",
        "optimizer.lr=0.001 epochs=8",
        "optimizer.lr=0.003 epochs=8",
    ]


def test_a_larger_image_gets_fewer_epochs(competition: Path) -> None:
    """9 epochs at 192: 160 px have 1/1.44 of the pixels and 13 epochs, 224 px 1.36 times and 6.6."""
    space = Workspace.open(competition, ("image_size=192", "epochs=9"))
    assert preset_sets(space, "size") == [
        "image_size=160 epochs=13",
        "image_size=192 epochs=9",
        "image_size=224 epochs=7",
    ]


def test_mixed_images_end_before_the_run(competition: Path) -> None:
    space = Workspace.open(competition, ("loss=label_smoothing",))
    *plain, mixed = preset_sets(space, "augmentation")
    assert [line.split()[0] for line in plain] == [
        "augmenter=light",
        "augmenter=heavy",
        "augmenter=randaugment",
    ]
    changed = Workspace.open(competition, mixed.split()).experiment
    loss = changed.open(Loss)
    assert isinstance(loss, CutmixOrMixup)
    assert loss.stop_after == 0.75
    assert loss.base.plugin_name() == "label_smoothing"


def test_the_time_is_shared_by_all_folds_of_all_trials(competition: Path, measured: list[float]) -> None:
    space = Workspace.open(competition)
    folds = space.experiment.splitter["folds"]
    sets = preset_sets(space, "rate", seconds=3 * folds * 45)  # 45 s for a fold of a trial, an epoch takes 10
    assert [line.split()[-1] for line in sets] == ["epochs=4"] * 3
    assert measured == [10.0]


def test_an_unknown_preset_is_refused(competition: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'rate'") as caught:
        preset_sets(Workspace.open(competition), "rates")
    assert caught.value.code == "C05"


def test_a_resumed_sweep_keeps_its_epochs(competition: Path, measured: list[float]) -> None:
    def swept() -> list[tuple[str, ...]]:
        sweep = run_sweep("p", ["image_size=16"], start=competition, preset="rate", seconds=120)
        return [trial.overrides for trial in sweep.trials]

    first = swept()
    known = json.loads((competition / "sweeps/p.json").read_text())
    assert len(known["each"]) == len(first) == 3
    assert sorted(swept()) == sorted(first)
    assert measured == [10.0]
    with pytest.raises(ConfigError, match="--config-set"):
        run_sweep("q", [], ["epochs=1"], start=competition, preset="rate")
