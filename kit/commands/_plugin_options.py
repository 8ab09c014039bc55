"""How a plugin is named on the command line: by its name, or by JSON with its options."""

from __future__ import annotations

from typing import Any

import click


def read_spec(text: str, option: str) -> Any:
    """A plugin's name, or the JSON object of its name and options."""
    import json

    try:
        return json.loads(text) if text.lstrip().startswith("{") else text
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"{text!r} is not valid JSON: {error}", param_hint=option) from None
