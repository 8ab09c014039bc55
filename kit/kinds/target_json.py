"""Reads targets from the JSON values in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import MULTI_HOT, ONE_CLASS, PLAIN_TARGETS, Target


def target_of(record: Any) -> Target:
    """Returns the target that `to_json` wrote. Raises ValueError for another value."""
    plain = {str(kind): target for kind, target in PLAIN_TARGETS.items()}
    if isinstance(record, str) and record in plain:
        return plain[record]
    if isinstance(record, Mapping) and set(record) == {"several"}:
        parts = tuple((str(part[0]), int(part[1])) for part in record["several"])
        return SeveralTarget(parts, tuple(part[2] for part in record["several"] if len(part) > 2))
    raise ValueError(f"no target {record!r}")


def read_target(record: Mapping[str, Any]) -> Target:
    """Returns the target that a file's metadata names.

    Files of older versions only record if rows have several labels.
    """
    if "target" in record:
        return target_of(record["target"])
    return MULTI_HOT if record.get("multi_label") else ONE_CLASS
