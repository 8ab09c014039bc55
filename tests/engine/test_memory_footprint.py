"""What a step holds, against bytes counted by hand and against a step of another size that was watched itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kit.device.precision import Precision
from kit.engine.batches import Batch
from kit.engine.learner import Learner, learner
from kit.engine.memory_footprint import PARTS, Footprint, _of, _record_steps, footprint, list_blocks
from kit.engine.step import StepPlan
from kit.kinds import Backbone, Head, Loss, Optimizer, Pooling
from kit.model.network import Parts, build

PRECISION = Precision("float32", "float32", "contiguous")


def batch(rows: int, side: int) -> Batch:
    images = torch.zeros(rows, 3, side, side, dtype=torch.uint8)
    return Batch(images, torch.arange(rows) % 4, torch.arange(rows))


class Two(nn.Module):
    """Two matrices of 100 x 50 and 50 x 4 with a ReLU between, over 100 of an image's 108 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second = (
            nn.Linear(100, 50, bias=False),
            nn.ReLU(),
            nn.Linear(50, 4, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.act(self.first(images.flatten(1)[:, :100].float())))
        return outputs


def new_learner(network: nn.Module, ema: float = 0.5, name: str = "adamw") -> Learner:
    optimizer = Optimizer.open({"name": name, "lr": 0.1}).build(list(network.named_parameters()))
    return learner(network, optimizer, PRECISION, ema)


def watched(network: nn.Module, loss: str = "cross_entropy") -> tuple[Learner, Footprint, Batch]:
    rows = batch(32, 6)
    one = new_learner(network)
    return one, footprint(one, Loss.open(loss), rows, StepPlan(0, 0), PRECISION), rows


def test_the_parts_are_those_counted_by_hand() -> None:
    _, memory, _ = watched(Two())
    weights = 4 * (100 * 50 + 50 * 4)
    parts = memory.parts(1000)
    assert parts["weights"] == weights
    assert parts["average"] == weights
    assert parts["optimizer"] == 2 * weights + 2 * 4  # two moments, and the step count of each matrix
    assert parts["batch"] == pytest.approx(1000 * (108 + 8), abs=2)  # pixels of a byte, labels of eight
    # an image's 100 floats for the first matrix, 50 for the ReLU and the second, 4 log-probabilities and a label
    assert memory.activations(1000)["first"] == 400_000
    assert memory.activations(1000)["act"] == 200_000
    assert memory.activations(1000)["second"] == 0  # what it takes is what the ReLU saved
    assert sum(parts.values()) == memory.peak(1000)


@pytest.mark.parametrize("images", [3, 8, 32])
@pytest.mark.parametrize("arch", ["small", "resnet10t", "mobilenetv3_small_050", "test_vit"])
def test_any_size_is_foretold_from_two_small_steps(arch: str, images: int) -> None:
    spec = (
        {"name": "small", "width": 4}
        if arch == "small"
        else {"name": "timm", "arch": arch, "pretrained": False}
    )
    side = 160 if arch == "test_vit" else 32
    torch.manual_seed(0)
    loss = Loss.open({"name": "cutmix", "probability": 1.0})
    parts = Parts(Backbone.open(spec), Pooling.open("average"), Head.open("linear"), loss)
    one, rows = new_learner(build(parts, 4, side)), batch(32, side)
    memory = footprint(one, loss, rows, StepPlan(0, 0), PRECISION)
    moments = _record_steps(one, loss, _of(rows, images), StepPlan(0, 0), PRECISION).moments
    assert memory.peak(images) == pytest.approx(max(sum(moment) for moment in moments), rel=0.03)


def test_the_peak_is_where_it_is_highest_at_that_size() -> None:
    few, many = watched(Two())[1].parts(1), watched(Two())[1].parts(100_000)
    assert few["gradients"] > 0  # with few images the highest moment is the optimizer's
    assert many["activations"] > 0.4 * sum(many.values())
    assert many["gradients"] <= few["gradients"]


def test_blocks_are_the_parts_of_a_backbone_that_people_name() -> None:
    parts = Parts(
        Backbone.open({"name": "timm", "arch": "resnet10t", "pretrained": False}),
        Pooling.open("average"),
        Head.open("linear"),
        Loss.open("cross_entropy"),
    )
    names = [name for name, _ in list_blocks(build(parts, 4, 32))]
    assert {"bn1", "layer1.0", "layer2.0", "layer3.0", "layer4.0", "pooling", "head"} <= set(names)
    assert names[-2:] == ["pooling", "head"]
    assert next(iter(PARTS)) == "weights"
