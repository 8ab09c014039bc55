"""Reads a plugin on the command line: its name, or JSON with its options."""

from __future__ import annotations

from typing import Any

import click


def read_spec(text: str, option: str) -> Any:
    """Returns a plugin's name, or the JSON object of its name and options."""
    import json

    try:
        return json.loads(text) if text.lstrip().startswith("{") else text
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"{text!r} is not valid JSON: {error}", param_hint=option) from None
