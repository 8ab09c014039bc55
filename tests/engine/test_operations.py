"""On a GPU each operation is a launch: kit's step has at most a tenth more of them than a bare step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kit.core.progress import finish
from kit.device import torch_internals
from kit.device.precision import Precision
from kit.engine import step
from kit.engine.batches import Batch
from kit.engine.fit import _FiniteChecker
from kit.engine.learner import Buffers, Learner, learner
from kit.engine.step import StepPlan, optimizer_step
from kit.kinds import Loss, Optimizer

BFLOAT = Precision("bfloat16", "bfloat16", "channels_last")
# they launch nothing
VIEWS = {
    "view", "_unsafe_view", "permute", "transpose", "t", "expand", "slice", "select", "unsqueeze", "squeeze",
    "as_strided", "detach", "alias", "empty", "empty_like", "empty_strided", "split", "split_with_sizes", "unbind",
    "lift_fresh",
}  # fmt: skip


def create(name: str, **options: Any) -> nn.Module:
    torch_internals.prepare_torchvision()
    import timm

    network: nn.Module = timm.create_model(name, num_classes=4, **options)
    return network


class Counter(TorchDispatchMode):
    """Counts what a GPU would launch; a multi-tensor copy between dtypes launches one a tensor there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # exclude does not reach super()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        mixed = name == "_foreach_copy_" and len({one.dtype for one in args[0]}) > 1
        self.count += len(args[0]) if mixed else name not in VIEWS
        return func(*args, **(kwargs or {}))


def counted(work: Callable[[], object]) -> int:
    counter = Counter()
    with counter:
        work()
    return counter.count


def built(name: str) -> Learner:
    torch.manual_seed(0)
    network = create(name, **({"img_size": 64} if "vit" in name else {}))
    network = BFLOAT.to_device(network, torch.device("cpu")).train()
    optimizer = Optimizer.open("adamw").build(list(network.named_parameters()))
    return learner(network, optimizer, BFLOAT, ema_decay=0.99)


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "convnext_tiny", "vit_small_patch16_224"])
def test_a_step_has_at_most_a_tenth_more_operations_than_a_bare_one(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(step, "_waits", lambda learner: False)  # what a GPU does with a fused optimizer
    trainer, loss, rows = built(name), Loss.open("cross_entropy"), torch.arange(2)
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    shown, looks = images.float() / 255, _FiniteChecker(trainer, 5)

    def ours() -> None:
        batch = Batch(shown, rows, rows)
        value, finite = finish(optimizer_step(trainer, loss, batch, StepPlan(0, 0), BFLOAT, 0.0))
        looks.add(batch, 0.001, value, finite)
        trainer.step += 1

    def bare() -> None:
        trainer.optimizer.zero_grad(set_to_none=True)
        with BFLOAT.autocast_training(trainer.device):
            outputs = trainer.network(shown)
        loss.rows(outputs.float(), rows).mean().backward()
        trainer.optimizer.step()

    ours()
    bare()
    del trainer.optimizer.found_inf  # type: ignore[attr-defined]
    mine, theirs = counted(ours), counted(bare)
    print(name, mine, theirs, mine / theirs)
    assert mine <= 1.10 * theirs, f"{mine} beside {theirs}"


def test_buffers_in_one_tensor_are_saved_and_restored_to_the_bit() -> None:
    network = create("resnet10t").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    buffers = Buffers(network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.data_ptr() % 64 == 0 or not value.numel() or name in dict(network.named_parameters())
    buffers.save()
    network(torch.rand(4, 3, 32, 32))
    after = {name: value.clone() for name, value in network.named_buffers()}
    assert all(not torch.equal(value, before[name]) for name, value in after.items())
    buffers.restore(torch.tensor(False))
    assert all(torch.equal(value, after[name]) for name, value in network.named_buffers())
    buffers.restore(torch.tensor(True))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found_by_either_look(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    trainer = learner(torch.nn.Linear(2, 2), torch.optim.SGD([torch.zeros(1)]), BFLOAT)
    for gpu in (False, True):
        monkeypatch.setattr(step, "_waits", lambda learner, gpu=gpu: not gpu)
        gradients = [torch.randn(3, 5), torch.randn(7), torch.randn(2, 2).bfloat16()]
        kept: list[Tensor] = [gradient.clone() for gradient in gradients]
        assert step._all_finite(trainer, gradients)
        assert all(torch.equal(one, other) for one, other in zip(gradients, kept, strict=True))
        gradients[1][3] = bad
        assert not step._all_finite(trainer, gradients)
