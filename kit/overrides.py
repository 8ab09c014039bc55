"""Overrides: `loss=cutmix loss.base=arcface` applied to config.json's object, names before options."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kit.config import SECTIONS, keys
from kit.errors import ConfigError, nearest
from kit.kinds import KINDS


def overridden(raw: Mapping[str, Any], assignments: str | Iterable[str]) -> dict[str, Any]:
    """The config's object with `loss=cutmix loss.base=arcface loss.base.margin=0.3` applied, names before options.

    A new name drops the old one's options. Values are JSON where they parse as such, else text. One assignment may
    stand without a list.
    """
    assignments = (assignments,) if isinstance(assignments, str) else assignments
    pairs = [_parse_assignment(text) for text in assignments]
    changed: dict[str, Any] = json.loads(json.dumps(raw))  # a copy
    for path, value in sorted(pairs, key=lambda pair: len(pair[0])):
        _assign(changed, path, value)
    return changed


def _parse_assignment(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise ConfigError(
            f"{text!r} is not key=value", code="C05", hint="such as epochs=20 or loss.base=arcface"
        )
    if path[0] not in keys():
        raise ConfigError(f"no config key {path[0]!r}{nearest(path[0], keys())}", code="C01",
                          hint="kit config schema lists them all")  # fmt: skip
    try:
        made = json.loads(value)
    except RecursionError:
        raise ConfigError(f"{key}: nested too deeply", code="C05") from None
    except ValueError:
        made = value
    try:
        json.dumps(made, ensure_ascii=False).encode()
    except ValueError:
        raise ConfigError(f"{key}: the value is not UTF-8", code="C05") from None
    return path, made


def _assign(raw: dict[str, Any], path: list[str], value: Any) -> None:
    at = raw
    for depth, key in enumerate(path[:-1]):
        inner = at.get(key)
        if isinstance(inner, str):
            inner = {"name": inner}
        if inner is None:
            inner = {"name": _default_name(key)} if depth == 0 and _default_name(key) else {}
        if not isinstance(inner, dict):
            raise ConfigError(
                f"{'.'.join(path)}: {'.'.join(path[: depth + 1])} has no parts to set", code="C05"
            )
        at[key] = at = inner
    at[path[-1]] = value


def _default_name(key: str) -> str:
    """The plugin that a key without a value stands for."""
    for model in SECTIONS:
        if key in KINDS and key in model.model_fields:
            default = model.model_fields[key].get_default(call_default_factory=True)
            return str(default["name"]) if default else ""
    return ""
