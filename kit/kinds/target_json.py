"""Reads targets from the JSON values in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import MULTI_HOT, ONE_CLASS, PLAIN_TARGETS, Target


def target_of(found: Any) -> Target:
    """Returns the target that `to_json` wrote. Raises ValueError for another value."""
    plain = {str(kind): target for kind, target in PLAIN_TARGETS.items()}
    if isinstance(found, str) and found in plain:
        return plain[found]
    if isinstance(found, Mapping) and set(found) == {"several"}:
        parts = tuple((str(part[0]), int(part[1])) for part in found["several"])
        return SeveralTarget(parts, tuple(part[2] for part in found["several"] if len(part) > 2))
    raise ValueError(f"no target {found!r}")


def read_target(found: Mapping[str, Any]) -> Target:
    """Returns the target that a file's metadata names.

    Files of older versions only record if rows have several labels.
    """
    if "target" in found:
        return target_of(found["target"])
    return MULTI_HOT if found.get("multi_label") else ONE_CLASS
