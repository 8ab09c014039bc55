"""Recipes of another library's transforms: the arguments of one entry, checked against its class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kit.errors import did_you_mean


def arguments_of(
    entry: Mapping[str, Any], maker: Any, name: str, inner: Callable[[Mapping[str, Any]], Any]
) -> tuple[dict[str, Any], dict[str, inspect.Parameter]]:
    """An entry's arguments, its own `transforms` made by `inner`, and all parameters of the class.

    Raises ValueError for an argument that the class does not take, with the nearest name, and for an empty group.
    """
    known = {key: each for key, each in inspect.signature(maker.__init__).parameters.items() if key != "self"}
    arguments = {key: value for key, value in entry.items() if key != "name"}
    for key in arguments:
        if key not in known:
            raise ValueError(f"{name} has no argument {key!r}{did_you_mean(key, known)}")
    if "transforms" in known:
        parts = arguments.get("transforms")
        if not isinstance(parts, list | tuple) or not parts:
            raise ValueError(f"{name} needs a list of transforms")
        arguments["transforms"] = [inner(part) for part in parts]
    return arguments, known
