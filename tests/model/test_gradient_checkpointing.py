"""Steps with gradient checkpointing are those without it, to the bit, and take less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import Learner, learner
from kit.engine.memory_footprint import footprint
from kit.engine.step import StepPlan
from kit.errors import ConfigError, RunError
from kit.kinds import Backbone, Classes, Loss, Optimizer, Scheduler
from kit.model import network
from kit.model.gradient_checkpointing import enable_gradient_checkpointing
from kit.stages.training.train import train
from tests.stages.training.test_train import Killed, kill_after, same, weights

FLOAT = Precision("float32", "float32", "contiguous")
CLASSES = Classes(tuple("abcd"), (9, 7, 8, 6), (), (), 30)
SIZE = 32
RESNET = {"name": "timm", "arch": "resnet10t", "drop_path": 0.4}
VIT = {"name": "timm", "arch": "vit_tiny_patch16_224", "img_size": SIZE, "drop_path": 0.4}


class Drawn:
    """Two batches of six images, the same at every epoch."""

    steps = 2

    def epoch(self, number: int, first_step: int = 0) -> Any:
        draws = torch.Generator().manual_seed(1)
        for _ in range(self.steps):
            images = torch.randint(0, 256, (6, 3, SIZE, SIZE), dtype=torch.uint8, generator=draws)
            yield Batch(images, torch.randint(0, 4, (6,), generator=draws), torch.arange(6))

    def close(self) -> None:
        pass


def new(backbone: dict[str, Any], recomputes: bool, optimizer: Any = "adamw") -> Learner:
    experiment = Experiment.model_validate({"backbone": backbone, "image_size": SIZE})
    parts = network.open_parts(experiment, None, CLASSES)
    torch.manual_seed(0)
    built = network.build(parts, 4, SIZE)
    if recomputes:
        enable_gradient_checkpointing(built, parts.backbone)
    weight_optimizer = Optimizer.open(optimizer).build(list(built.named_parameters()))
    return learner(built, weight_optimizer, FLOAT, ema_decay=0.5)


def trained(trainer: Learner, loss: Any = "cross_entropy", **plan: Any) -> Learner:
    stage = fit.FitStage(2, Drawn(), Loss.open(loss).with_classes(CLASSES), Scheduler.open("cosine"))
    list(fit.fit(trainer, [stage], StepPlan(3, 0, **plan), FLOAT))
    return trainer


def count_calls(module: nn.Module) -> list[int]:
    calls = [0]

    def count(*_: Any) -> None:
        calls[0] += 1

    module.register_forward_pre_hook(count)
    return calls


@pytest.mark.parametrize(
    ("backbone", "block", "optimizer", "options"),
    [
        (RESNET, "layer3.0", "adamw", {"loss": "cutmix", "clip_grad_norm": 1.0}),
        (RESNET, "layer3.0", {"name": "sam", "base": "sgd"}, {"micro_batch_size": 3}),
        (VIT, "blocks.4", "adamw", {}),
    ],
    ids=["batch norm", "sam in micro-batches", "transformer"],
)
def test_weights_statistics_and_averages_are_the_same_bits(
    backbone: dict[str, Any], block: str, optimizer: Any, options: dict[str, Any]
) -> None:
    plain, recomputing = new(backbone, False, optimizer), new(backbone, True, optimizer)
    calls = [
        count_calls(trainer.network.get_submodule(f"backbone.model.{block}"))
        for trainer in (plain, recomputing)
    ]
    trained(plain, **options)
    trained(recomputing, **options)
    assert calls[1][0] == 2 * calls[0][0] > 0
    for ours, theirs in ((plain.network, recomputing.network), (plain.predictor, recomputing.predictor)):
        expected = ours.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in theirs.state_dict().items())


def test_batch_norm_counts_each_batch_once_and_moves_as_torchs() -> None:
    trainer, reference = (
        new({**RESNET, "drop_path": 0.0}, True),
        new({**RESNET, "drop_path": 0.0}, False).network,
    )
    trained(trainer, micro_batch_size=6)
    counts = trainer.network.state_dict()["backbone.model.layer1.0.bn1.num_batches_tracked"]
    assert int(counts) == 4  # two epochs of two batches
    one = new({**RESNET, "drop_path": 0.0}, True)
    stage = fit.FitStage(1, Drawn(), Loss.open("cross_entropy"), Scheduler.open("cosine"))
    for event in fit.fit(one, [stage], StepPlan(3, 0), FLOAT):
        if isinstance(event, fit.StepEvent):
            break
    reference.train()
    reference(next(iter(Drawn().epoch(0))).images)
    for ours, theirs in zip(one.network.buffers(), reference.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_gradients_are_those_of_torch_by_hand() -> None:
    trainer, reference = (
        new({**RESNET, "drop_path": 0.0}, True),
        new({**RESNET, "drop_path": 0.0}, False).network,
    )
    batch = next(iter(Drawn().epoch(0)))
    nn.functional.cross_entropy(reference.train()(batch.images), batch.labels).backward()
    trainer.network.train()
    nn.functional.cross_entropy(trainer.network(batch.images), batch.labels).backward()
    for ours, theirs in zip(trainer.network.parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)


def test_the_foretold_memory_is_less_and_that_of_a_watched_step() -> None:
    batch = next(iter(Drawn().epoch(0)))
    plain, recomputing = (
        footprint(new(VIT, on), Loss.open("cross_entropy"), batch, StepPlan(0, 0), FLOAT)
        for on in (False, True)
    )
    assert recomputing.peak(1000) < 0.4 * plain.peak(1000)
    # of each block its input is kept, 4 patches and a class token of 192 numbers
    assert recomputing.activations(1000)["blocks.5"] == 0
    kept = recomputing.activations(1000)["elsewhere"] - plain.activations(1000)["elsewhere"]
    assert kept == pytest.approx(12 * 1000 * 5 * 192 * 4, rel=0.1)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["backbone=small"], "backbone 'small' does"),
        (["backbone=timm", "backbone.arch=dla46_c", "image_size=32"], "with arch 'dla46_c' does"),
    ],
)
def test_a_backbone_without_it_is_refused_before_images_are_read(
    competition: Path, overrides: list[str], name: str
) -> None:
    (competition / "data/images/000.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="C89") as raised:
        train(Workspace.open(competition, ["gradient_checkpointing=true", *overrides]), name="r")
    assert name in str(raised.value)


def test_a_run_continues_with_it_and_is_the_same_run(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["backbone=timm", "backbone.arch=resnet10t", "image_size=32", "save_every_steps=2"]
    train(Workspace.open(competition, given), name="undisturbed", folds=[0])
    with monkeypatch.context() as context:
        kill_after(context, 5)
        with pytest.raises(Killed):
            train(Workspace.open(competition, given), name="r", folds=[0])
    train(Workspace.open(competition, [*given, "gradient_checkpointing=true"]), name="r", folds=[0])
    assert same(weights(competition, "undisturbed", 0), weights(competition, "r", 0))


class Short(nn.Module):
    """A backbone that never fits, with and without checkpointing."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 2, 1)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        pass

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        features: torch.Tensor = self.inner(images)
        return features


class ShortBackbone(Backbone):
    """Never fits."""

    def build(self) -> nn.Module:
        return Short()


@pytest.mark.parametrize("recomputes", [False, True])
def test_it_is_advised_where_memory_runs_out_unless_it_is_on(
    recomputes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backbone, "open", classmethod(lambda cls, *_, **__: ShortBackbone()))
    with pytest.raises(RunError, match="R02") as raised:
        trained(new(RESNET, recomputes))
    assert ("gradient_checkpointing=true" in (raised.value.hint or "")) == (not recomputes)
