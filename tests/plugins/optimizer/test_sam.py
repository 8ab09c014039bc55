"""SAM in kit's step against the papers' equations, written as a plain loop."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.learner import Learner, learner
from kit.engine.step import StepPlan
from kit.kinds import Optimizer, Scheduler
from tests.engine.test_step import Drawn, Tight, opened, run

FLOAT = Precision("float32", "float32", "contiguous")


class Small(nn.Module):
    """A network with batch norm and no dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(108, 4)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.norm(images.float() / 255).flatten(1))
        return outputs


def new(network: nn.Module, **options: Any) -> Learner:
    spec = {"name": "sam", "base": {"name": "sgd", "lr": 0.1, "weight_decay": 0.0}, **options}
    return learner(network, Optimizer.open(spec).build(list(network.named_parameters())), FLOAT)


def loop(network: nn.Module, radius: float, adaptive: bool) -> nn.Module:
    """Foret et al., algorithm 1, and Kwon et al., equation 7, over the same batches at a constant rate."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)

    def gradients(batch: Any, network: nn.Module) -> list[Tensor]:
        loss = nn.functional.cross_entropy(network(batch.images), batch.labels)
        return list(torch.autograd.grad(loss, list(network.parameters())))

    network.train()
    for batch in Drawn().batches * 2:
        first = gradients(batch, network)
        moved = deepcopy(network)  # its statistics are thrown away with it
        sizes = [w.detach().abs() if adaptive else torch.ones_like(w) for w in network.parameters()]
        squares = [((s * g) ** 2).sum() for s, g in zip(sizes, first, strict=True)]
        norm = torch.sqrt(torch.stack(squares).sum())
        with torch.no_grad():
            for weight, size, slope in zip(moved.parameters(), sizes, first, strict=True):
                weight.add_(radius * size**2 * slope / (norm + 1e-12))
        for weight, slope in zip(network.parameters(), gradients(batch, moved), strict=True):
            weight.grad = slope
        optimizer.step()
    return network


@pytest.mark.parametrize(("radius", "adaptive"), [(0.5, False), (2.0, True)])
def test_a_step_is_that_of_the_paper(radius: float, adaptive: bool) -> None:
    trainer = new(Small(), radius=radius, adaptive=adaptive)
    stage = fit.FitStage(2, Drawn(), opened("cross_entropy"), Scheduler.open("constant"))
    list(fit.fit(trainer, [stage], StepPlan(3, 0), FLOAT))
    wanted = loop(Small(), radius, adaptive).state_dict()
    for name, value in trainer.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6)


def test_a_step_that_runs_out_of_memory_begins_again_with_the_same_weights() -> None:
    ended = []
    for most in (10, 4):
        trainer = new(Tight(most, "backward"))
        run(trainer)
        ended.append([weight.detach() for weight in trainer.network.parameters()])
    for one, other in zip(*ended, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_not_finite_leaves_the_weights() -> None:
    trainer = new(Small())
    with torch.no_grad():
        trainer.network.get_parameter("head.weight")[0, 0] = float("nan")
    before = deepcopy(trainer.network.state_dict())
    with pytest.raises(fit.NotFiniteError):
        run(trainer)
    after = trainer.network.state_dict()
    assert all(torch.equal(after[name].nan_to_num(7), value.nan_to_num(7)) for name, value in before.items())
