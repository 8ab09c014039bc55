"""The short config.json that kit init writes: values that differ from a default, one key per line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.config.models import SECTIONS, Data
from kit.core.legible import legible_json
from kit.kinds.base_classes import DATA_KINDS

# keys that every competition has, written even if they equal a default
ALWAYS = ("metric", "splitter", "backbone", "epochs", "image_size")
ALWAYS_IN_DATA = ("train", "sample", "id", "label", "images")


def without_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of a config that differ from their defaults, and those that every competition has.

    A plugin without options becomes its name.
    """
    short = {key: _short(value) for key, value in config.items()}
    defaults = {name: _default(field) for model in SECTIONS for name, field in model.model_fields.items()}
    chosen = {
        key: value for key, value in short.items() if key in ALWAYS or value != _short(defaults.get(key))
    }
    if "data" in config:
        fields = Data.model_fields
        data = {
            key: _short(value) if key in DATA_KINDS else value
            for key, value in config["data"].items()
            if key in ALWAYS_IN_DATA or value != _default(fields.get(key))
        }
        order = {key: number for number, key in enumerate(fields)}
        chosen["data"] = dict(sorted(data.items(), key=lambda item: order.get(item[0], len(order))))
    return chosen


def config_text(config: Mapping[str, Any]) -> str:
    """Returns the text of config.json: each key, and each key of `data`, on its own line."""
    lines = []
    for key, value in config.items():
        if key == "data" and value:
            inner = ",\n".join(
                f"    {legible_json(name)}: {legible_json(entry)}" for name, entry in value.items()
            )
            lines.append(f'  "data": {{\n{inner}\n  }}')
        else:
            lines.append(f"  {legible_json(key)}: {legible_json(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _default(field: Any) -> Any:
    if field is None:
        return None
    value = field.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> Any:
    return value["name"] if isinstance(value, Mapping) and set(value) == {"name"} else value
