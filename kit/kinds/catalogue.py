"""Catalogue: the available plugins and their options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from kit.errors import PluginError
from kit.kinds import registry
from kit.kinds.base_classes import KINDS
from kit.kinds.label_kinds import MEANING
from kit.kinds.plugin import Plugin, default_of
from kit.kinds.registry import PluginLocation
from kit.kinds.targets import LABEL_KINDS, SEE_LABELS

LIMITS = {
    "ge": "at least {}",
    "gt": "above {}",
    "le": "at most {}",
    "lt": "below {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "multiple_of": "a multiple of {}",
    "pattern": "matching {}",
}


@dataclass(frozen=True)
class PluginRow:
    """One plugin in the list; `error` is the reason if it cannot be used."""

    kind: str
    name: str
    plugin_source: str
    where: str
    summary: str
    error: str = ""


@dataclass(frozen=True)
class Option:
    """One option of a plugin. An option without a default is required."""

    name: str
    type: str
    default: Any
    required: bool
    limits: str
    description: str


@dataclass(frozen=True)
class PluginInfo:
    """The description of one plugin: text, source and options."""

    kind: str
    name: str
    plugin_source: str
    file: str
    summary: str
    text: str
    source: str
    options: tuple[Option, ...]
    takes: str = ""  # the labels that it takes, if its kind depends on labels


def list_plugins(kinds: Iterable[str], root: Path | None = None) -> list[PluginRow]:
    """Lists all plugins of these kinds. Those outside kit are imported, so that broken ones show their error."""
    return [
        _row_of(location, len(places))
        for kind in kinds
        for places in registry.locations(kind, root).values()
        for location in places
    ]


def _row_of(location: PluginLocation, count: int) -> PluginRow:
    try:
        summary = registry.summary(location)
    except Exception:  # not Python, or its package fails: loading reports the reason
        summary = ""
    where = str(location.distribution or location.file or location.module)
    error = f"P03 {count} plugins have this name" if count > 1 else _error(location)
    return PluginRow(location.kind, location.name, location.source, where, summary, error)


def _error(location: PluginLocation) -> str:
    if location.source == "kit":
        return ""
    try:
        registry.load_plugin_class(location, KINDS[location.kind])
    except PluginError as error:
        cases = "; ".join(str(case) for case in error.cases)
        return f"{error.code} {error.summary}{': ' + cases if cases else ''}"
    return ""


def describe(kind: str, name: str, root: Path | None = None) -> PluginInfo:
    """Returns one plugin's text, source and options. Raises PluginError if it is unknown or broken."""
    location = registry.find(kind, name, root)
    plugin = registry.load_plugin_class(location, KINDS[kind])
    file = Path(inspect.getfile(plugin))
    text, source = _split_docstring(
        inspect.getdoc(plugin) or "", sys.modules[plugin.__module__].__doc__ or ""
    )
    options = tuple(_option(key, field) for key, field in plugin.option_fields().items())
    summary = text.splitlines()[0] if text else ""
    return PluginInfo(kind, name, location.source, str(file), summary, text, source, options, _takes(plugin))


def _takes(plugin: type[Plugin]) -> str:
    if plugin.kind not in SEE_LABELS:
        return ""
    wraps = any(
        type_name(field.annotation).partition(" ")[0] in SEE_LABELS
        for field in plugin.option_fields().values()
    )
    known = [MEANING[labels] for labels in plugin.label_kinds if labels in LABEL_KINDS]
    teacher_kinds = [MEANING[labels] for labels in plugin.label_kinds if labels not in LABEL_KINDS]
    kinds = _list_words(known) + ", if the inner plugins do too" * wraps
    return kinds + (f"\nWith pseudo-labels: {_list_words(teacher_kinds)}" if teacher_kinds else "")


def _list_words(items: Sequence[str]) -> str:
    """Returns `a`, `a or b` or `a, b or c`."""
    *first, last = items or ("",)
    return f"{', '.join(first)} or {last}" if first else last


def _split_docstring(text: str, module: str) -> tuple[str, str]:
    """Splits a docstring into its text and the part after `Source:`, of the class or else of its module."""
    body, _, source = text.partition("Source:")
    source = source or inspect.cleandoc(module).partition("Source:")[2]
    return body.strip(), " ".join(source.split())


def _option(name: str, field: Any) -> Option:
    default = to_jsonable_python(default_of(field))
    limits = [
        text.format(getattr(rule, key))
        for rule in field.metadata
        for key, text in LIMITS.items()
        if getattr(rule, key, None) is not None
    ]
    return Option(
        name,
        type_name(field.annotation),
        default,
        field.is_required(),
        ", ".join(limits),
        field.description or "",
    )


def type_name(annotation: Any) -> str:
    """Returns a type as a user writes it: `float`, `int | None`, `tuple[str, ...]`, or the kind of a nested plugin."""
    if inspect.isclass(annotation) and issubclass(annotation, Plugin):
        return annotation.kind
    if inspect.isclass(annotation) and not getattr(annotation, "__args__", None):
        return "None" if annotation is type(None) else annotation.__name__
    return str(annotation).replace("typing.", "")


def open_file(file: Path) -> Plugin:
    """Returns the plugin of a file plugins/<kind>/<name>.py of any workspace, with its default options.

    Raises PluginError (P09) if the file is elsewhere, and other PluginErrors if the plugin is broken.
    """
    file = file.resolve()
    kind, plugins_folder = file.parent.name, file.parent.parent
    if not file.is_file() or file.suffix != ".py" or kind not in KINDS or plugins_folder.name != "plugins":
        raise PluginError(
            f"{file} is not a plugin file" if file.is_file() else f"there is no file {file}",
            code="P09",
            hint="plugins/<kind>/<name>.py of a workspace",
        )
    return KINDS[kind].open(
        file.stem, None if plugins_folder == registry.BUILTIN_DIR.resolve() else plugins_folder.parent
    )
