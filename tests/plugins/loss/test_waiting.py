"""A loss in a step waits for no device, and makes no tensor of a list again."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kit.kinds import Classes, Loss
from kit.kinds.levels import Level
from kit.kinds.registry import locations
from kit.kinds.several_target import SeveralTarget
from kit.plugins.loss._device_tensors import _MADE
from kit.plugins.loss.group_smoothing import GroupSmoothing

NAMES = tuple("abcd")
CLASSES = Classes(
    NAMES,
    (9, 7, 8, 6),
    ("x", "x", "y", "y"),
    (("u", "l"), ("u", "r"), ("v", "l"), ("v", "r")),
    30,
    target_range=(-9, 9),
    levels=(Level("genus", ("s", "s", "t", "t")),),
)
# they look for pairs in the numbers of a batch, and cannot but wait
MINES = {"metric_learning", "contrastive"}
PARTS = SeveralTarget((("first", 2), ("second", 2)))


class Waits(TorchDispatchMode):
    """Counts what waits for a GPU: a number that is read, a list that is copied, a mask as an index."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # exclude does not reach super()
        self.counts = Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        masked = name == "index" and any(one is not None and one.dtype == torch.bool for one in args[1])
        if masked or name in ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select"):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", sorted(set(locations("loss")) - MINES))
def test_no_loss_waits_in_a_step(name: str) -> None:
    options = {"balance": 1.0} if name == "bce" else {}
    known = replace(CLASSES, target=PARTS) if name == "several" else CLASSES
    loss = Loss.open({"name": name, **options}).with_classes(known)
    outputs = torch.rand(6, loss.width(4), requires_grad=True)
    labels = torch.arange(6) % 4
    if "class_index" not in loss.label_kinds:
        labels = torch.nn.functional.one_hot(labels, 4).float()
    loss.rows(outputs, labels).sum().backward()  # tensors are made once
    with Waits() as waits:
        loss.rows(outputs, labels).sum().backward()
        loss.probabilities(outputs)
    assert not waits.counts


def test_tensors_are_their_owner_s_and_go_with_it() -> None:
    loss = Loss.open("class_weighted").with_classes(CLASSES)
    outputs, labels = torch.rand(6, 4), torch.arange(6) % 4
    with torch.inference_mode():
        loss.rows(outputs, labels)
    loss.rows(outputs.requires_grad_(), labels).sum().backward()  # not a tensor of inference mode
    other = loss.with_classes(Classes(NAMES, (1, 1, 1, 90), (), (), 93))
    assert not torch.equal(loss.rows(outputs, labels), other.rows(outputs, labels))
    assert pickle.loads(pickle.dumps(loss)) == loss
    key = id(loss)
    assert key in _MADE
    del loss
    assert key not in _MADE


def test_group_smoothing_is_its_targets_for_many_classes_and_soft_labels() -> None:
    count = 300
    groups = tuple(f"g{number % 97}" for number in range(count))
    classes = Classes(tuple(map(str, range(count))), (1,) * count, groups, (), count)
    loss = GroupSmoothing.open({"name": "group_smoothing", "smoothing": 0.2}).with_classes(classes)
    targets = torch.tensor(loss.targets())
    outputs, labels = torch.randn(16, count), torch.randint(0, count, (16,))
    soft = torch.rand(16, count).softmax(1)
    logs = outputs.log_softmax(1)
    torch.testing.assert_close(
        loss.rows(outputs, labels), -(targets[labels] * logs).sum(1), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        loss.rows(outputs, soft), -((soft @ targets) * logs).sum(1), rtol=1e-4, atol=1e-5
    )
