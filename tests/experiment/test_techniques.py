"""Stages: one run whose parts differ in size, augmentation, loss and frozen parts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from kit.config.schema import complete
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.errors import ConfigError
from kit.experiment.dry_run import dry_run
from kit.experiment.fold_training import train_stages
from kit.experiment.loading import geometry
from kit.experiment.run_context import RunContext, prepare_run
from kit.model import checkpoints
from kit.runs.run import find_run
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train


def with_stages(root: Path, stages: list[dict[str, Any]], *more: str) -> Workspace:
    return Workspace.open(root, [f"stages={json.dumps(stages)}", *more])


def prepared(space: Workspace) -> RunContext:
    return finish(prepare_run(space, find_run(space, "r")))


def test_each_stage_has_its_epochs_sizes_and_plugins(competition: Path) -> None:
    space = with_stages(
        competition,
        [{"epochs": 2, "image_size": 12, "batch_size": 6}, {"augmenter": "resize", "sampler": "oversample"}],
        "epochs=5",
    )
    one, two = train_stages(prepared(space), 0)
    assert (one.epochs, two.epochs) == (2, 3)
    first, second = next(iter(one.batches.epoch(0))), next(iter(two.batches.epoch(2)))
    assert first.images.shape == (6, 3, 12, 12)
    assert second.images.shape == (8, 3, 16, 16)
    names = [type(stage.batches.sampler).plugin_name() for stage in (one, two)]  # type: ignore[attr-defined]
    assert names == ["shuffled", "oversample"]


def test_the_cache_has_room_for_the_largest_stage(competition: Path) -> None:
    space = with_stages(competition, [{"epochs": 1, "image_size": 32}, {}], "cache_size=null")
    assert geometry(space.experiment).cache_size == 40
    plain = Workspace.open(competition, ["cache_size=null"])
    assert geometry(plain.experiment).cache_size == 20


def test_a_run_of_stages_trains_predicts_and_is_written_down_whole(competition: Path) -> None:
    stages = [
        {"epochs": 1, "image_size": 12, "freeze": ["backbone"], "loss": "mixup"},
        {"scheduler": {"name": "constant"}, "lr_scale": 0.1},
    ]
    space = with_stages(competition, stages)
    run = train(space, name="r")
    lines = [json.loads(line) for line in (run.fold(0) / "log.jsonl").read_text().splitlines()]
    # step 4 of 8, by a cosine after its warm-up
    middle = 0.01 * (1 + math.cos(math.pi * (4 / 9 - 0.1) / 0.9)) / 2
    assert [line["lr"] for line in lines] == [pytest.approx(middle), pytest.approx(0.001)]
    written = run.config["stages"]
    assert [stage["epochs"] for stage in written] == [1, 1]
    assert written[0]["loss"]["alpha"] == 0.2
    assert written[1]["loss"] is None
    (tta_result,) = tta(competition, [run.folder], "hflip")
    assert set(tta_result.scores) == {"macro_f1", "log_loss", "accuracy"}


def test_a_frozen_backbone_stays_as_it_began(competition: Path) -> None:
    space = with_stages(competition, [{"freeze": ["backbone"]}], "ema_decay=0")
    run = train(space, name="r", folds=[0])
    checkpoint = checkpoints.load(run.fold(0) / "0002")
    from kit.experiment.fold_training import new_learner

    began = new_learner(prepared(space), 0).network.state_dict()
    for name, value in checkpoint.weights.items():
        assert torch.equal(value, began[name]) == name.startswith(("backbone.", "scale", "shift")), name


def test_the_dry_run_shows_the_first_batch_of_every_stage(competition: Path) -> None:
    space = with_stages(competition, [{"epochs": 1, "image_size": 8, "batch_size": 30}, {}], "epochs=3")
    report = dry_run(space, "r", [0])
    assert report.first_batch == (30, 3, 8, 8)
    assert report.steps == 1 + 2 * 4


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{"epochs": 2}, {"epochs": 1}], "the stages have 3 epochs in total, but `epochs` is 2"),
        ([{"epochs": 2}, {}], "the stages have 2 epochs in total, but `epochs` is 2"),
        ([{}, {}], "only one stage may omit its epochs"),
        ([{"image_siz": 8}], "stages.0.image_siz: unknown key; did you mean 'image_size'"),
        (
            [{"epochs": 1}, {"image_size": 4}],
            "stages.1.image_size: Input should be greater than or equal to 8",
        ),
    ],
)
def test_stages_that_do_not_fill_the_run_are_refused(
    competition: Path, stages: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        with_stages(competition, stages)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (
            [{"loss": "arcface"}],
            "C08 stages.0.loss 'arcface' needs 3 cosines, but the run's loss 'cross_entropy' needs 3 logits",
        ),
        ([{"loss": {"name": "focal", "gama": 1}}], "loss 'focal' has no option 'gama'; did you mean 'gamma'"),
        ([{"freeze": ["bakbone"]}], "no part 'bakbone'; did you mean 'backbone'"),
        ([{"freeze": ["backbone", "head"]}], "stages.0.freeze freezes all parts of the network"),
    ],
)
def test_a_stage_that_does_not_fit_the_run_is_refused_before_training(
    competition: Path, stages: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        dry_run(with_stages(competition, stages), "r")
    assert words in str(caught.value)


def test_a_network_of_a_fixed_size_refuses_a_stage_of_another(competition: Path) -> None:
    backbone = '{"name": "timm", "arch": "vit_tiny_patch16_224", "img_size": 16}'
    with pytest.raises(
        ConfigError, match=r"C09 stages.0: backbone 'timm' needs images of 16 px, but image_size is 32"
    ):
        dry_run(with_stages(competition, [{"image_size": 32}], f"backbone={backbone}"), "r")


def test_the_whole_config_shows_every_option_of_a_stages_plugins(competition: Path) -> None:
    shown = complete(with_stages(competition, [{"loss": "focal"}]))
    assert shown["stages"][0]["loss"]["gamma"] == 2.0
    assert shown["stages"][0]["augmenter"] is None
