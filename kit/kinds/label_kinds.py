"""Checks that plugins take a table's kind of labels; the error names the plugins that do."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kit.errors import Case, ConfigError, KitError
from kit.kinds import registry
from kit.kinds.base_classes import KINDS
from kit.kinds.plugin import Plugin
from kit.kinds.targets import LabelKind

MEANING = {
    "class_index": "one label per row",
    "multi_hot": "any number of labels per row",
    "numbers": "numbers",
    "soft": "shares of the classes",
    "several": "an answer for each of several parts",
    "taught": "one label and a teacher's probabilities per row",
}


def check_takes(plugins: Iterable[Plugin], labels: LabelKind, root: Path | None = None) -> None:
    """Raises ConfigError C17 if plugins do not take labels of this kind, naming those of their kinds that do."""
    wrong = [plugin for plugin in plugins if not plugin.takes_labels(labels)]
    if not wrong:
        return
    plugins_text = " and ".join(f"{plugin.kind} {plugin.plugin_name()!r}" for plugin in wrong)
    cases = [Case(plugins_taking(plugin.kind, labels, root), plugin.kind) for plugin in wrong]
    raise ConfigError(
        f"the table has {MEANING[labels]}, which {plugins_text} {'does' if len(wrong) == 1 else 'do'} not support",
        code="C17",
        cases=cases,
        hint=" ".join(_how_to_select(plugin.kind) for plugin in wrong),
    )


def _how_to_select(kind: str) -> str:
    """Returns how a user selects a plugin of a kind: `scorer` is not a key of config.json."""
    return "--scorer <one of these>" if kind == "scorer" else f"{kind}=<one of these>"


def plugins_taking(kind: str, labels: LabelKind, root: Path | None = None) -> str:
    """Returns the names of a kind's plugins that take labels of a kind, as errors list them."""
    names = [name for name in registry.locations(kind, root) if _takes(kind, name, labels, root)]
    return ", ".join(names) or f"no plugin supports them; kit plugins new {kind} mine creates one"


def _takes(kind: str, name: str, labels: LabelKind, root: Path | None) -> bool:
    """Whether a plugin with its default options takes the labels. A plugin that cannot be opened does not."""
    with suppress(KitError):
        return KINDS[kind].open(name, root).takes_labels(labels)
    return False
