"""The averages of weights are timm's and torch's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import learner
from kit.engine.step import StepPlan
from kit.kinds import Loss, Scheduler
from kit.model.weight_averaging import Ema, Swa

FLOAT = Precision("float32", "float32", "contiguous")


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))


def moved(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    network(torch.randn(5, 3, 6, 6)).square().mean().backward()
    optimizer.step()


def test_the_moving_average_follows_timms_warmed_up_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = Ema(network, 0.7)
    values, expected = [3.0, 5.0, 7.0, 11.0], 0.0
    for step, value in enumerate(values):
        nn.init.constant_(network.weight, value)
        average.after_step(step + 1)
        decay = min(0.7, 1 - (1 + step) ** (-2 / 3)) if step else 0.0
        expected = decay * expected + (1 - decay) * value
    assert average.module.get_parameter("weight").item() == pytest.approx(expected, rel=1e-6)


def test_the_moving_average_is_timms_to_the_bit_with_batch_norm_too() -> None:
    from timm.utils import ModelEmaV3

    network = convolutional()
    ours, theirs = Ema(network, 0.8), ModelEmaV3(network, decay=0.8, use_warmup=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(1, 8):
        moved(network, optimizer)
        ours.after_step(step)
        theirs.update(network, step=step)
    mine, reference = ours.module.state_dict(), theirs.module.state_dict()
    assert all(torch.equal(mine[key], reference[key]) for key in reference)
    assert mine["1.num_batches_tracked"].item() == 7


def test_the_equal_average_is_torchs_over_the_epochs_after_its_start() -> None:
    network = convolutional()
    ours, theirs = Swa(network, start=0.4), AveragedModel(network, use_buffers=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for epoch in range(1, 6):
        moved(network, optimizer)
        ours.after_epoch(epoch / 5)
        assert ours.has_averaged == (epoch > 2)
        if epoch > 2:
            theirs.update_parameters(network)
    reference = theirs.module.state_dict()
    floats = {name: value for name, value in ours.module.state_dict().items() if value.is_floating_point()}
    assert len(floats) == 8
    for name, value in floats.items():
        torch.testing.assert_close(value, reference[name], rtol=1e-5, atol=1e-6, msg=name)


class Drawn:
    """Batches that differ from epoch to epoch."""

    steps = 3

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        draws = torch.Generator().manual_seed(number)
        for _ in range(first_step, self.steps):
            images = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8, generator=draws)
            yield Batch(images, torch.randint(0, 2, (8,), generator=draws), torch.arange(8))

    def close(self) -> None:
        pass


class Pixels(nn.Module):
    """A network over uint8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = convolutional()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.inner(images.float() / 255)
        return outputs


def test_at_the_end_of_a_run_batch_norms_statistics_are_torchs_for_the_averaged_weights() -> None:
    network, batches = Pixels(), Drawn()
    trainer = learner(network, torch.optim.SGD(network.parameters(), lr=0.1), FLOAT, swa_start=0.3)
    stages = [fit.FitStage(4, batches, Loss.open("cross_entropy"), Scheduler.open("constant"))]
    list(fit.fit(trainer, stages, StepPlan(0, 0), FLOAT))
    reference = Pixels()
    reference.load_state_dict(trainer.predictor.state_dict())
    nn.init.constant_(reference.get_buffer("inner.1.running_mean"), 9.0)
    update_bn((batch.images for batch in batches.epoch(4)), reference)
    assert trainer.average_network is not None
    for name in ("inner.1.running_mean", "inner.1.running_var"):
        assert torch.equal(reference.get_buffer(name), trainer.average_network.get_buffer(name))
    assert not trainer.average_network.training


class TwoNorms(Pixels):
    """Pixels with a second batch norm behind the part that a test freezes."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = nn.BatchNorm1d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.outer(super().forward(images))
        return outputs


def test_parts_frozen_in_all_averaged_epochs_keep_their_statistics() -> None:
    network, batches = TwoNorms(), Drawn()
    nn.init.constant_(network.get_buffer("inner.1.running_mean"), 9.0)
    trainer = learner(network, torch.optim.SGD(network.parameters(), lr=0.1), FLOAT, swa_start=0.3)
    stages = [
        fit.FitStage(4, batches, Loss.open("cross_entropy"), Scheduler.open("constant"), frozen=("inner",))
    ]
    list(fit.fit(trainer, stages, StepPlan(0, 0), FLOAT))
    average = trainer.average_network
    assert isinstance(average, TwoNorms)
    assert average.get_buffer("inner.1.running_mean").tolist() == [9.0] * 4
    with torch.no_grad():  # the frozen part as it predicts
        features = [average.inner.eval()(batch.images.float() / 255) for batch in batches.epoch(4)]
    torch.testing.assert_close(
        average.outer.running_mean, torch.stack([part.mean(0) for part in features]).mean(0)
    )


def test_a_part_that_thaws_during_the_averaged_epochs_is_measured_again() -> None:
    network = TwoNorms()
    average = Swa(network, start=0.0)
    network.inner.eval()
    average.after_epoch(0.5)
    assert "inner.1" in average.still_modules
    network.inner.train()
    average.after_epoch(1.0)
    assert average.still_modules == frozenset()
    again = Swa(network, start=0.0)
    again.load(average.state(), average.module.state_dict())
    assert again.state() == average.state()
