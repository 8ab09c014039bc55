"""Overrides: `loss=cutmix loss.base=arcface` applied to config.json's object, names before options."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kit.config.models import SECTIONS, Data, keys
from kit.config.specs import respecify
from kit.core.renamed import CONFIG_KEYS
from kit.errors import ConfigError, KitWarning, did_you_mean
from kit.kinds import KINDS
from kit.kinds.base_classes import DATA_KINDS


def apply_overrides(raw: Mapping[str, Any], assignments: str | Iterable[str]) -> dict[str, Any]:
    """Returns the config's object with `loss=cutmix loss.base=arcface loss.base.margin=0.3` applied, names
    before options.

    If an assignment names the current plugin, the plugin keeps its options; another name drops them. The same
    holds for nested plugins and items of lists. An object is the whole spec: existing options that it leaves
    out are reset, with warning W60. Values are JSON if they can be parsed as JSON, else text. Of two
    assignments to one key the last counts. A single assignment needs no list.
    """
    assignments = (assignments,) if isinstance(assignments, str) else assignments
    values = {tuple(path): value for path, value in map(_parse_assignment, assignments)}
    changed: dict[str, Any] = json.loads(json.dumps(raw))  # a copy
    for path, value in sorted(values.items(), key=lambda pair: len(pair[0])):
        dropped = [text for text in _assign(changed, path, value) if not _is_given(path, text, values)]
        if dropped:
            warnings.warn(
                KitWarning(
                    f"W60 {'.'.join(path)} is given as an object, which resets its missing options to "
                    f"their defaults: {', '.join(dropped)}"
                ),
                stacklevel=2,
            )
    return changed


def _is_given(path: tuple[str, ...], dropped: str, values: Mapping[tuple[str, ...], Any]) -> bool:
    """Whether an option that an object leaves out is assigned beside it: `loss.smoothing=0.1`."""
    return (*path, *dropped.partition("=")[0].split(".")) in values


def _parse_assignment(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise ConfigError(
            f"{text!r} is not key=value", code="C05", hint="such as epochs=20 or loss.base=arcface"
        )
    if path[0] not in keys():
        raise ConfigError(
            f"no config key {path[0]!r}{did_you_mean(path[0], keys(), CONFIG_KEYS[''])}",
            code="C01",
            hint="kit config schema lists all keys",
        )
    try:
        parsed = json.loads(value)
    except RecursionError:
        raise ConfigError(f"{key}: nested too deeply", code="C05") from None
    except ValueError:
        parsed = value
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except ValueError:
        raise ConfigError(f"{key}: the value is not UTF-8", code="C05") from None
    return path, parsed


def _assign(raw: dict[str, Any], path: Sequence[str], value: Any) -> list[str]:
    """Sets a value in place. Returns the options that it drops from a plugin whose name stays."""
    at: Any = raw
    for depth in range(len(path) - 1):
        inner = _item(at, path, depth)
        if isinstance(inner, str):
            inner = {"name": inner}
        if inner is None:
            name = _default_name(path[: depth + 1])
            inner = {"name": name} if name else {}
        if not isinstance(inner, dict | list):
            raise ConfigError(
                f"{'.'.join(path)}: {'.'.join(path[: depth + 1])} has no keys to set", code="C05"
            )
        at[_key(at, path, depth)] = inner
        at = inner
    last = len(path) - 1
    current = _item(at, path, last)
    # data has names besides its plugins, such as those of data.label_from.rename
    is_spec = path[0] != "data" or (last > 0 and path[1] in DATA_KINDS)
    assigned, dropped = respecify(value, current) if is_spec else (value, [])
    at[_key(at, path, last)] = assigned
    return dropped


def _item(at: Any, path: Sequence[str], depth: int) -> Any:
    """Returns the value at a part of a path, or None."""
    key = _key(at, path, depth)
    return at[key] if isinstance(at, list) else at.get(key)


def _key(at: Any, path: Sequence[str], depth: int) -> Any:
    """Returns a key of an object, or the position of a list's item.

    Raises ConfigError C05 if the list lacks the item.
    """
    key = path[depth]
    if not isinstance(at, list):
        return key
    if not key.isdecimal() or int(key) >= len(at):
        name = ".".join(path[:depth])
        raise ConfigError(
            f"{'.'.join(path)}: {name} is a list of {len(at)} items, and has no item {key!r}",
            code="C05",
            hint=f"{name}.0 is the first item, or give the whole list: {name}=[...]",
        )
    return int(key)


def _default_name(path: Sequence[str]) -> str:
    """Returns the default plugin of a key without a value: a kind at the top, or in the data section."""
    models = SECTIONS if len(path) == 1 else (Data,) if path[:-1] == ["data"] else ()
    for model in models:
        if path[-1] in (DATA_KINDS if model is Data else KINDS) and path[-1] in model.model_fields:
            default = model.model_fields[path[-1]].get_default(call_default_factory=True)
            return str(default["name"]) if default else ""
    return ""
