"""Specs: a plugin as config.json writes it, a name or `{"name": ..., options}`, and a second word on one that is set.

Naming the plugin that is set already keeps its options: `loss=label_smoothing` changes nothing where label_smoothing is
the loss. Another name has options of its own. An object is the whole spec, so what it leaves out is reset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def respecify(value: Any, current: Any) -> tuple[Any, list[str]]:
    """A value given for a spec that has one, with the options that a bare name keeps; and options that are dropped.

    Nested specs and items of lists are treated alike: an item belongs to the current item of its name, and an item
    without a name, such as a stage, to the one at its place. Dropped options are paths: `smoothing=0.2`.
    """
    if isinstance(value, list):
        return _each(value, current if isinstance(current, list) else [current])
    if isinstance(value, str):
        same = _of_name(value, current)
        return (value if same is None else same), []
    if not isinstance(value, Mapping):
        return value, []
    same = _of_name(value["name"], current) if isinstance(value.get("name"), str) else current
    if not isinstance(same, Mapping):
        return value, []
    made, dropped = {}, []
    for key, inner in value.items():
        made[key], lost = respecify(inner, same.get(key)) if key != "name" else (inner, [])
        dropped += [f"{key}.{text}" for text in lost]
    if "name" in value:
        dropped += [f"{key}={_text(same[key])}" for key in same if key not in value]
    return made, dropped


def _each(values: list[Any], current: list[Any]) -> tuple[list[Any], list[str]]:
    made, dropped = [], []
    for place, value in enumerate(values):
        named = isinstance(value, str) or (isinstance(value, Mapping) and "name" in value)
        beside = current if named else (current[place] if place < len(current) else None)
        one, lost = respecify(value, beside)
        made.append(one)
        dropped += [f"{place}.{text}" for text in lost]
    return made, dropped


def _of_name(name: str, current: Any) -> Mapping[str, Any] | None:
    """The spec of this name: the current one, or the first of a list."""
    for one in current if isinstance(current, list) else [current]:
        if isinstance(one, Mapping) and one.get("name") == name:
            return one
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
