"""Specs: a plugin in config.json, as a name or `{"name": ..., options}`, and the merge of a second spec with
a present one.

Naming the present plugin keeps its options: `loss=label_smoothing` changes nothing if the loss is
label_smoothing. Another name has its own options. An object is the whole spec, so options that it leaves out
are reset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def respecify(value: Any, current: Any) -> tuple[Any, list[str]]:
    """Merges a new value with the present spec.

    A bare name of the present plugin keeps its options. Returns the spec and the dropped options.

    Nested specs and items of lists are treated alike. An item belongs to the present item of its name. An
    item without a name, such as a stage, belongs to the one at its position. Dropped options are paths:
    `smoothing=0.2`.
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
    fields, dropped = {}, []
    for key, inner in value.items():
        fields[key], dropped_inside = respecify(inner, same.get(key)) if key != "name" else (inner, [])
        dropped += [f"{key}.{text}" for text in dropped_inside]
    if "name" in value:
        dropped += [f"{key}={_text(same[key])}" for key in same if key not in value]
    return fields, dropped


def _each(values: list[Any], current: list[Any]) -> tuple[list[Any], list[str]]:
    specs, dropped = [], []
    for index, value in enumerate(values):
        is_named = isinstance(value, str) or (isinstance(value, Mapping) and "name" in value)
        beside = current if is_named else (current[index] if index < len(current) else None)
        changed, dropped_inside = respecify(value, beside)
        specs.append(changed)
        dropped += [f"{index}.{text}" for text in dropped_inside]
    return specs, dropped


def _of_name(name: str, current: Any) -> Mapping[str, Any] | None:
    """Returns the spec of this name: the current one, or the first of a list."""
    for candidate in current if isinstance(current, list) else [current]:
        if isinstance(candidate, Mapping) and candidate.get("name") == name:
            return candidate
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
