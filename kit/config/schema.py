"""config.json's JSON schema, and the config with every option written out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.config.models import SECTIONS
from kit.config.workspace import Workspace
from kit.kinds import KINDS, registry
from kit.kinds.base_classes import DATA_KINDS

SCHEMA_FILE = "config.schema.json"
RECIPE = "x-recipe"  # key of the schema file with the recipe of kit init, for kit config


def config_schema(
    root: Path | None = None, recipe: str = "", chosen: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns one flat JSON schema of config.json.

    Plugins have the names of the registry, and a workspace's plugins are included. The schema records a
    recipe's name and the values that the recipe chose, if any.
    """
    merged: dict[str, Any] = {"$schema": {"type": "string"}}
    shared: dict[str, Any] = {}
    for model in SECTIONS:
        schema = model.model_json_schema()
        merged |= schema["properties"]
        shared |= schema.get("$defs", {})
    for kind in KINDS:
        of_data = [shared["Data"]["properties"]] if kind in DATA_KINDS else []
        for properties in (merged, shared["Stage"]["properties"], *of_data):
            if kind in properties:
                properties[kind] = _plugin(kind, properties[kind], root)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "config.json",
        "type": "object",
        "additionalProperties": False,
        "properties": merged,
        "$defs": shared,
        **({RECIPE: {"name": recipe, "values": dict(chosen)}} if chosen else {}),
    }


def _plugin(kind: str, schema: dict[str, Any], root: Path | None) -> dict[str, Any]:
    names = {"enum": list(registry.locations(kind, root))}
    forms: list[dict[str, Any]] = [
        names,
        {"type": "object", "properties": {"name": names}, "required": ["name"]},
    ]
    if any(form.get("type") == "array" for form in schema.get("anyOf", ())):
        forms.append({"type": "array", "items": {"anyOf": forms[:2]}})
    if schema.get("default", ...) is None:
        forms.append({"type": "null"})
    described = {key: value for key, value in schema.items() if key in ("description", "default", "title")}
    return {**described, "anyOf": forms}


def complete(workspace: Workspace) -> dict[str, Any]:
    """Returns the workspace's config, checked, with every key, and with every option of its plugins.

    Raises ConfigError and PluginError for unusable values.
    """
    values: dict[str, Any] = {}
    for section in (workspace.competition, workspace.experiment):
        values |= section.model_dump(mode="json")
    for kind in KINDS:
        if values.get(kind) is not None:
            values[kind] = _complete(kind, values[kind], workspace.root, kind)
        if kind in DATA_KINDS and values["data"].get(kind) is not None:
            values["data"][kind] = _complete(kind, values["data"][kind], workspace.root, f"data.{kind}")
        for number, stage in enumerate(values["stages"]):
            if stage.get(kind) is not None:
                stage[kind] = _complete(kind, stage[kind], workspace.root, f"stages.{number}.{kind}")
    return values


def _complete(kind: str, spec: Any, root: Path, where: str) -> Any:
    if isinstance(spec, list):
        return [_complete(kind, inner, root, where) for inner in spec]
    return KINDS[kind].open(spec, root, where).model_dump(mode="json")
