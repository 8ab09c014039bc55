"""The origin of each value of a config: a default, config.json, kit init's recipe, or the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from kit.config.models import SECTIONS
from kit.config.parsing import parse
from kit.config.schema import RECIPE, SCHEMA_FILE
from kit.config.workspace import CONFIG_FILE, SHARED_CACHE, Workspace
from kit.core.files import read_json
from kit.kinds import KINDS
from kit.kinds.base_classes import DATA_KINDS
from kit.kinds.plugin import Plugin

REQUIRED = "(required)"  # stands for the default of an option without one
COMMAND_LINE, DEFAULT = "command line", "default"
CACHE_FOLDER = "cache_folder"  # the key that an environment variable replaces


@dataclass(frozen=True)
class Setting:
    """A key of the config as overrides name it, with its value, its default and the value's origin."""

    key: str
    value: Any
    default: Any
    source: str


def settings(workspace: Workspace, overrides: str | Iterable[str] = ()) -> tuple[Setting, ...]:
    """Returns every key of a config and every option of its plugins.

    `overrides` are those that the workspace was opened with.

    Raises ConfigError and PluginError for unusable values.
    """
    overrides = (overrides,) if isinstance(overrides, str) else overrides
    given = tuple(text.partition("=")[0].strip() for text in overrides)
    used = flatten(workspace.raw)
    name, chosen = _recipe(workspace)
    of_file = flatten(parse(workspace.text)) if workspace.text else {}

    def source(key: str, value: Any) -> str:
        if key == CACHE_FOLDER and os.environ.get(SHARED_CACHE):
            return SHARED_CACHE
        # an option that is an object is listed by its own keys
        inner = isinstance(value, Mapping) and any(path.startswith(f"{key}.") for path in used)
        if key not in used and not inner:
            return DEFAULT
        if any(key == path or key.startswith(f"{path}.") for path in given):
            return COMMAND_LINE
        return f"recipe {name}" if key in chosen and chosen[key] == of_file.get(key) else CONFIG_FILE

    return tuple(
        Setting(key, value, default, source(key, value)) for key, value, default in _values(workspace)
    )


def flatten(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Returns a nested object's values by dotted key, as overrides name them.

    A plugin's `name` is at the plugin's key.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        dotted = before.rstrip(".") if key == "name" and before else f"{before}{key}"
        flat |= flatten(value, f"{dotted}.") if isinstance(value, Mapping) and value else {dotted: value}
    return flat


def _recipe(workspace: Workspace) -> tuple[str, dict[str, Any]]:
    """Returns the name of kit init's recipe and the values that it chose, by dotted key; empty if no file has them."""
    try:
        recipe = dict(read_json(workspace.root / SCHEMA_FILE)[RECIPE])
        return str(recipe["name"]), flatten(dict(recipe["values"]))
    except (OSError, ValueError, TypeError, KeyError):
        return "", {}


Row = tuple[str, Any, Any]


def _values(workspace: Workspace) -> Iterator[Row]:
    """Yields each key with its value and its default."""
    for section, model in zip((workspace.competition, workspace.experiment), SECTIONS, strict=True):
        for key, field in model.model_fields.items():
            value, default = getattr(section, key), field.get_default(call_default_factory=True)
            if key in KINDS and value is not None:
                yield from _plugins(key, key, value, default, workspace)
            elif isinstance(value, BaseModel):
                yield from _block(key, value, workspace)
            elif key == CACHE_FOLDER:
                yield _row(key, os.environ.get(SHARED_CACHE) or value, field)
            else:
                yield _row(key, value, field)


def _block(key: str, block: BaseModel, workspace: Workspace) -> Iterator[Row]:
    for name, field in type(block).model_fields.items():
        value, dotted = getattr(block, name), f"{key}.{name}"
        if name in DATA_KINDS and value is not None:
            yield from _plugins(dotted, name, value, field.get_default(call_default_factory=True), workspace)
        elif isinstance(value, BaseModel):
            yield from _block(dotted, value, workspace)
        else:
            yield _row(dotted, value, field)


def _plugins(key: str, kind: str, spec: Any, default: Any, workspace: Workspace) -> Iterator[Row]:
    if isinstance(spec, tuple | list):
        for number, inner in enumerate(spec):
            yield from _plugins(f"{key}.{number}", kind, inner, None, workspace)
        return
    opened = KINDS[kind].open(spec, workspace.root, key)
    yield from _options(key, opened, default["name"] if isinstance(default, Mapping) else default)


def _options(key: str, plugin: Plugin, default: Any) -> Iterator[Row]:
    """Yields the name of a plugin and all its options, including those of nested plugins."""
    yield key, plugin.plugin_name(), default.plugin_name() if isinstance(default, Plugin) else default
    for name, field in plugin.option_fields().items():
        value = getattr(plugin, name)
        if isinstance(value, Plugin):
            inner = field.get_default(call_default_factory=True)
            yield from _options(f"{key}.{name}", value, REQUIRED if inner is PydanticUndefined else inner)
        else:
            yield _row(f"{key}.{name}", value, field)


def _row(key: str, value: Any, field: Any) -> Row:
    default = field.get_default(call_default_factory=True)
    default_shown = REQUIRED if default is PydanticUndefined else to_jsonable_python(default)
    return key, to_jsonable_python(value), default_shown


def text_of(value: Any) -> str:
    """Returns a value as in config.json, a text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
