"""Contract tests: functions that every plugin of a kind must pass. The tests and `kit plugins check` call them.

A contract test is a function `law_<sentence>(plugin) -> None` in kit/contracts/<kind>.py, or in plugin.py if
it is for every kind. Its docstring states the contract in one sentence; it raises AssertionError with the
numbers.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from kit.kinds.plugin import Plugin

Law = Callable[[Plugin], None]


@dataclass(frozen=True)
class Violation:
    """Whether one contract test passes for a plugin, and the numbers if it does not."""

    law: str
    holds: bool
    detail: str = ""


def laws_of(kind: str) -> list[Law]:
    """Returns the contract tests of every plugin, then those of the kind, in the order they are written."""
    modules = [importlib.import_module("kit.contracts.plugin")]
    if importlib.util.find_spec(f"kit.contracts.{kind}") is not None:
        modules.append(importlib.import_module(f"kit.contracts.{kind}"))
    return [law for module in modules for law in _laws_in(module)]


def _laws_in(module: ModuleType) -> list[Law]:
    return [
        value
        for name, value in vars(module).items()
        if name.startswith("law_") and getattr(value, "__module__", "") == module.__name__
    ]


def sentence(law: Law) -> str:
    """Returns the contract in one sentence, from its docstring."""
    return (law.__doc__ or law.__name__.replace("_", " ")).strip().splitlines()[0]


def check(plugin: Plugin) -> list[Violation]:
    """Runs every contract test of the plugin's kind. An error of the plugin is a failed test."""
    return [_violation(law, plugin) for law in laws_of(plugin.kind)]


def _violation(law: Law, plugin: Plugin) -> Violation:
    try:
        law(plugin)
    except AssertionError as error:
        return Violation(sentence(law), False, str(error).strip() or "it does not hold")
    except Exception as error:  # any error of a team's own code
        return Violation(sentence(law), False, f"{type(error).__name__}: {error}")
    return Violation(sentence(law), True)
