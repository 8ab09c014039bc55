"""torchvision loads where its operators do not, and its other failures stay failures."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from kit.device import torchvision_ops


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
    monkeypatch.setattr(torchvision_ops, "_declare", lambda: declared.append(True))
    torchvision_ops.prepare()
    torchvision_ops.prepare()
    assert tries == ["torchvision"] * 3
    assert declared == [True]


def test_another_failure_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise RuntimeError("libc is too old")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="libc"):
        torchvision_ops.prepare()


def test_timm_works_after_it() -> None:
    torchvision_ops.prepare()
    import timm

    assert timm.is_model("resnet18")
