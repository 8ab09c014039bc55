"""Private parts of torch do what their public counterparts do, in the torch that is installed."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from kit.device import torch_internals
from kit.device.torch_internals import (
    AnyBatchNorm,
    TorchDispatchMode,
    all_finite,
    copy_all,
    is_compiled,
    lerp_all,
    overflow_flags,
    storage_key,
    tree_leaves,
)

KIT = Path(torch_internals.__file__).parents[1]


def test_tensors_are_copied_as_copy_does() -> None:
    targets = [torch.zeros(3), torch.zeros(2, 2, dtype=torch.float64)]
    sources = [torch.randn(3), torch.randn(2, 2)]
    expected = [target.clone().copy_(source) for target, source in zip(targets, sources, strict=True)]
    copy_all(targets, sources)
    assert all(map(torch.equal, targets, expected))


def test_tensors_move_as_lerp_does() -> None:
    targets, ends = [torch.randn(5), torch.randn(2, 3)], [torch.randn(5), torch.randn(2, 3)]
    expected = [torch.lerp(target, end, 0.25) for target, end in zip(targets, ends, strict=True)]
    lerp_all(targets, ends, 0.25)
    assert all(map(torch.equal, targets, expected))


@pytest.mark.parametrize(("value", "flags"), [(1.0, [0.0]), (float("inf"), [1.0]), (float("nan"), [1.0])])
def test_gradients_that_are_not_finite_are_found(value: float, flags: list[float]) -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer, scaler = torch.optim.SGD([weight]), torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale((weight * torch.tensor([value, 1.0])).sum()).backward()
    scaler.unscale_(optimizer)
    assert [float(each) for each in overflow_flags(scaler, optimizer)] == flags


@pytest.mark.parametrize("value", [1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_several_dtypes_are_finite_where_all_are(value: float, dtype: torch.dtype) -> None:
    gradients = [torch.randn(3), torch.tensor([value, 1.0], dtype=dtype), torch.randn(2, 2).double()]
    before = [gradient.clone() for gradient in gradients]
    assert bool(all_finite(gradients, torch.device("cpu"))) == (value == 1.0)
    for gradient, old in zip(gradients, before, strict=True):
        assert torch.allclose(gradient, old, rtol=0, atol=0, equal_nan=True)


def test_a_key_is_that_of_the_storage() -> None:
    whole = torch.zeros(8)
    other = torch.zeros(8)
    assert storage_key(whole) == storage_key(whole[2:]) == storage_key(whole.view(2, 4).detach())
    assert storage_key(whole) != storage_key(other)


def test_every_batch_norm_is_one() -> None:
    for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm):
        assert isinstance(kind(3), AnyBatchNorm)
    assert not isinstance(nn.GroupNorm(1, 3), AnyBatchNorm)


def test_a_dispatch_mode_sees_operations_and_their_tensors() -> None:
    seen: list[torch.Tensor] = []

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            outputs = func(*args, **(kwargs or {}))
            seen.extend(leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor))
            return outputs

    with Mode():  # type: ignore[no-untyped-call]  # exclude does not reach subclasses
        values, _ = torch.ones(2, 3).max(dim=1)
    assert any(each is values or torch.equal(each, values) for each in seen)


def test_a_plain_network_is_not_compiled() -> None:
    network = nn.Linear(2, 2)
    assert not is_compiled(network)
    network.compile(backend="eager")
    assert is_compiled(network)


def private_names(file: Path) -> list[str]:
    """Imports and attributes of torch and numpy in a file whose name begins with one underscore."""
    faults = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            paths = [f"{node.module}.{each.name}" for each in node.names]
        elif isinstance(node, ast.Import):
            paths = [each.name for each in node.names]
        elif isinstance(node, ast.Attribute):
            paths = [ast.unparse(node)]
        else:
            continue
        for path in paths:
            root, *parts = path.split(".")
            if root in ("torch", "numpy", "np", "nn") and any(re.match("_[^_]", part) for part in parts):
                faults.append(f"line {node.lineno}: {path}")
    return faults


def test_private_names_of_torch_and_numpy_stand_in_one_module() -> None:
    own = Path(torch_internals.__file__)
    assert len(private_names(own)) >= 5
    others = {str(file): private_names(file) for file in KIT.rglob("*.py") if file != own}
    assert {file: names for file, names in others.items() if names} == {}


def test_missing_operators_are_declared_only_where_the_import_fails_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[str] = []

    def fail_once(name: str) -> ModuleType:
        tries.append(name)
        if len(tries) == 1:
            raise RuntimeError("operator torchvision::nms does not exist")
        return ModuleType(name)

    declared: list[bool] = []
    monkeypatch.setattr(importlib, "import_module", fail_once)
    monkeypatch.setattr(torch_internals, "_declare_operators", lambda: declared.append(True))
    torch_internals.prepare_torchvision()
    torch_internals.prepare_torchvision()
    assert tries == ["torchvision"] * 3
    assert declared == [True]


def test_another_failure_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise RuntimeError("libc is too old")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="libc"):
        torch_internals.prepare_torchvision()


def test_timm_works_after_it() -> None:
    torch_internals.prepare_torchvision()
    import timm

    assert timm.is_model("resnet18")
