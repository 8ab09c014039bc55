"""Reads a column of the training table, for splitters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from kit.data.table import Table


def cells(table: Table, column: str, splitter: str) -> list[str]:
    """Returns a column's cells, stripped. Raises ConfigError C07 if the column does not exist."""
    columns = [str(name) for name in table.frame.columns]
    if column not in columns:
        raise ConfigError(
            f"splitter {splitter!r}: the training table has no column {column!r}{did_you_mean(column, columns)}",
            code="C07",
            hint=f"splitter.column=<one of {', '.join(columns)}>" if columns else "another splitter",
        )
    return [str(cell).strip() for cell in table.frame[column]]
