"""Schedule-free AdamW in kit's fit against the authors' package schedulefree, step by step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from schedulefree import AdamWScheduleFree
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.engine import fit
from kit.engine.learner import Learner, learner
from kit.engine.step import StepPlan
from kit.errors import ConfigError
from kit.experiment.batch_size import estimate_disk
from kit.experiment.fold_training import new_learner
from kit.experiment.run_context import prepare_run
from kit.kinds import Optimizer, Scheduler
from kit.model import checkpoints
from kit.stages.training.train import train
from tests.engine.test_step import Drawn, Tight, opened, run
from tests.plugins.optimizer.test_sam import FLOAT, Small

OPTIONS: dict[str, Any] = {"lr": 0.05, "weight_decay": 0.2, "betas": (0.8, 0.99)}
EPOCHS, WARMUP = 3, 0.5  # nine steps; the last of the warm-up is the fifth


def new(network: nn.Module, **options: Any) -> Learner:
    spec = {"name": "schedule_free_adamw", **OPTIONS, **options}
    return learner(network, Optimizer.open(spec).build(list(network.named_parameters())), FLOAT)


def groups(network: nn.Module) -> list[dict[str, Any]]:
    """Matrices decay, biases and norms do not."""
    weights = list(network.parameters())
    return [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": 0.2},
        {"params": [weight for weight in weights if weight.dim() == 1], "weight_decay": 0.0},
    ]


def authors(network: nn.Module) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """After each step of a plain loop with the authors' optimizer: the weights that are trained, and the average."""
    optimizer = AdamWScheduleFree(groups(network), lr=0.05, betas=(0.8, 0.99), warmup_steps=5)
    for batch in Drawn().batches * EPOCHS:
        network.train()
        optimizer.train()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch.images), batch.labels).backward()
        optimizer.step()
        trained = [weight.detach().clone() for weight in network.parameters()]
        optimizer.eval()
        yield trained, [weight.detach().clone() for weight in network.parameters()]


def assert_close(ours: Any, theirs: Any) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.detach(), other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("foreach", [True, False])
def test_each_step_and_its_average_are_the_authors(foreach: bool) -> None:
    trainer, theirs, count = new(Small()), authors(Small()), 0
    if not foreach:
        trainer.disable_foreach()
    scheduler = Scheduler.open({"name": "constant", "warmup": WARMUP})
    stage = fit.FitStage(EPOCHS, Drawn(), opened("cross_entropy"), scheduler)
    for event in fit.fit(trainer, [stage], StepPlan(3, 0), FLOAT):
        if isinstance(event, fit.StepEvent):
            trained, average = next(theirs)
            assert_close(trainer.network.parameters(), trained)
            assert_close(trainer.predictor.parameters(), average)
            count += 1
    assert count == 9


def test_at_the_end_batch_norms_statistics_are_torchs_for_the_average() -> None:
    trainer, reference = new(Small()), Small()
    stage = fit.FitStage(EPOCHS, Drawn(), opened("cross_entropy"), Scheduler.open("constant"))
    for event in fit.fit(trainer, [stage], StepPlan(3, 0), FLOAT):
        if isinstance(event, fit.StepEvent):  # until then those of training
            assert torch.equal(trainer.predictor.norm.running_mean, trainer.network.norm.running_mean)  # type: ignore
    reference.load_state_dict(trainer.predictor.state_dict())
    update_bn((batch.images for batch in Drawn().batches), reference)
    assert_close(trainer.predictor.buffers(), reference.buffers())
    assert not torch.equal(trainer.predictor.norm.running_mean, trainer.network.norm.running_mean)  # type: ignore


def test_a_weight_that_thaws_averages_from_then_on() -> None:
    late, reference = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    early = nn.Parameter(torch.ones(2, 2))
    ours = Optimizer.open({"name": "schedule_free_adamw"}).build([("a", early), ("b", late)])
    theirs = AdamWScheduleFree([reference], lr=2.5e-3)
    theirs.train()
    for step in range(8):
        early.grad = torch.ones(2, 2)
        if step >= 4:
            late.grad, reference.grad = torch.ones(3) * step, torch.ones(3) * step
            theirs.step()
        ours.step()
    assert_close([late], [reference.detach()])
    theirs.eval()
    average = torch.zeros(3)
    ours.write_average([late], [average])  # type: ignore[attr-defined]
    assert_close([average], [reference.detach()])


def test_a_weight_that_never_stepped_is_its_own_average() -> None:
    weight, target = nn.Parameter(torch.ones(3)), torch.zeros(3)
    optimizer = Optimizer.open("schedule_free_adamw").build([("w", weight)])
    optimizer.write_average([weight, torch.full((2,), 5.0)], [target, other := torch.zeros(2)])  # type: ignore
    assert (target.tolist(), other.tolist()) == ([1.0] * 3, [5.0] * 2)


def test_a_step_that_runs_out_of_memory_begins_again_with_the_same_weights() -> None:
    ended = []
    for most in (10, 4):
        trainer = new(Tight(most, "backward"))
        run(trainer)
        ended.append([weight.detach() for weight in trainer.predictor.parameters()])
    assert_close(*ended)


def test_a_gradient_that_is_not_finite_leaves_weights_and_average() -> None:
    trainer = new(Small())
    with torch.no_grad():
        trainer.network.get_parameter("head.weight")[0, 0] = float("inf")
    with pytest.raises(fit.NotFiniteError):
        run(trainer)
    untouched = Small()
    assert torch.equal(trainer.predictor.get_parameter("head.bias"), untouched.head.bias)
    assert not trainer.optimizer.state


def test_sam_around_it_averages_too() -> None:
    sam = Optimizer.open({"name": "sam", "base": {"name": "schedule_free_adamw", "lr": 0.05}})
    network = Small()
    trainer = learner(network, sam.build(list(network.named_parameters())), FLOAT)
    run(trainer)
    assert sam.averages_weights()
    assert not torch.equal(trainer.predictor.get_parameter("head.weight"), network.head.weight)


def test_lookahead_around_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not average weights itself"):
        Optimizer.open({"name": "lookahead", "base": "schedule_free_adamw"})


@pytest.mark.parametrize(
    ("overrides", "text", "hint"),
    [
        ([], "ema_decay 0.9, scheduler 'cosine'", "ema_decay=0 scheduler=constant scheduler.warmup=0.05"),
        (["ema_decay=0", "swa_start=0.5", "scheduler=constant"], "with swa_start 0.5", "swa_start=null"),
        (
            ["ema_decay=0", "scheduler=constant", "epochs=3", 'stages=[{"epochs":2},{"scheduler":"cosine"}]'],
            "scheduler 'cosine', whose rate falls",
            "scheduler=constant scheduler.warmup=0.05",
        ),
    ],
)
def test_other_averages_and_falling_rates_are_refused(
    competition: Path, overrides: list[str], text: str, hint: str
) -> None:
    given = ["optimizer=schedule_free_adamw", "ema_decay=0.9", *overrides]
    with pytest.raises(ConfigError) as raised:
        train(Workspace.open(competition, given), name="r")
    assert (raised.value.code, raised.value.hint) == ("C88", hint)
    assert text in str(raised.value)
    assert not (competition / "runs" / "r" / "fold-0").exists()


def test_a_run_predicts_by_the_average_and_its_disk_estimate_counts_it(competition: Path) -> None:
    given = ["optimizer=schedule_free_adamw", "ema_decay=0", "scheduler=constant", "backbone.width=32"]
    space = Workspace.open(competition, given)
    trained = train(space, name="r", folds=[0])
    checkpoint = checkpoints.latest(trained.fold(0))
    assert checkpoint is not None
    assert checkpoint.average is not None
    network = new_learner(finish(prepare_run(space, trained)), 0).network
    shapes = dict(network.named_parameters())
    # the state has numbers instead of names: matrices stand in the first group
    order = [name for dims in (True, False) for name, w in shapes.items() if (w.dim() > 1) == dims]
    states = checkpoint.state()["optimizer"]["state"]
    assert len(states) == len(order)
    for number, name in enumerate(order):
        average = torch.lerp(checkpoint.weights[name], states[number]["z"], 1 - 1 / 0.9)
        torch.testing.assert_close(checkpoint.average[name], average)
    written = sum(file.stat().st_size for file in trained.fold(0).glob("00*/*"))
    shutil.rmtree(trained.fold(0))
    with_average, without = (
        estimate_disk(trained, space.experiment, network, [0], 2, averages).least
        for averages in (True, False)
    )
    assert with_average == pytest.approx(written, rel=0.1)
    assert without < 0.85 * with_average
