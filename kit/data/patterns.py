"""Patterns such as `images/{id}.jpg`: columns in braces, filled for all rows at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kit.errors import ConfigError, did_you_mean

_COLUMN = re.compile(r"\{([^{}]*)\}")


def columns_of(pattern: str) -> tuple[str, ...]:
    """The columns that a pattern names, in their order."""
    return tuple(_COLUMN.findall(pattern))


def fill(pattern: str, columns: Mapping[str, Sequence[str]], key: str) -> list[str]:
    """The pattern for every row; `key` is the config key that errors name.

    A pattern without braces is the name of a column. Raises ConfigError for a column that does not exist.
    """
    parts = _COLUMN.split(pattern if "{" in pattern else "{" + pattern + "}")
    for name in parts[1::2]:
        if name not in columns:
            raise ConfigError(
                f"{key}: no column {name!r}{did_you_mean(name, columns)}",
                code="C07",
                hint=f"the columns are {', '.join(columns)}",
            )
    pieces: list[Sequence[str]] = [columns[name] for name in parts[1::2]]
    template = "%s".join(text.replace("%", "%%") for text in parts[::2])
    return [template % values for values in zip(*pieces, strict=True)]
