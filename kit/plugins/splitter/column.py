"""Column: folds from a column of the table."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import ConfigError, DataError, did_you_mean
from kit.kinds import Splitter
from kit.plugins.splitter._columns import cells

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table

NEVER = ("", "-1")  # never held out; folds.csv writes -1


class Column(Splitter):
    """Holds out together the rows with the same value in a column. Rows with a blank or -1 are never held out.

    Folds are numbered in the order of the numbers, or else of the names. With `held_out` only those values
    are held out: for a column with `train` and `val`, `held_out=["val"]` makes one fold, which is validated
    on `val`. Byte-identical images share a fold, that of the first id. Groups that the column would split are
    refused.

    Source: sklearn.model_selection.PredefinedSplit.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    column: str = Field(
        "fold", min_length=1, description="column of the training table with numbers or names"
    )

    held_out: tuple[str, ...] = Field(
        (), description="values that are held out, one fold per value; by default all except blank ones"
    )

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np

        cells_of_rows = cells(table, self.column, "column")
        names = sorted(set(self.held_out) or set(cells_of_rows) - set(NEVER), key=_place)
        lacking = [name for name in names if name not in cells_of_rows]
        if lacking:
            known = sorted(set(cells_of_rows) - set(NEVER), key=_place)
            raise ConfigError(
                f"splitter 'column': no row has {lacking[0]!r} in column {self.column!r}"
                f"{did_you_mean(lacking[0], known)}",
                code="C07",
                hint=f"{_holdout_override(known[:1])}, of {', '.join(known[:10])}",
            )
        if not names or (len(names) == 1 and set(cells_of_rows) == set(names)):
            what = f"holds all rows in {names[0]!r}" if names else "is blank in every row"
            raise DataError(
                f"column {self.column!r} {what}: no fold has rows both to train on and to hold out",
                code="D35",
                hint="two names or more, or blank cells for rows that are only trained on",
            )
        numbers = {name: number for number, name in enumerate(names)}
        return np.array([[numbers.get(name, -1)] for name in cells_of_rows], dtype=np.int64)


def _holdout_override(names: list[str]) -> str:
    """Returns the override that holds rows of these names out, quoted for a shell."""
    return shlex.quote(f"splitter.held_out={json.dumps(names, ensure_ascii=False)}")


def _place(name: str) -> tuple[bool, int, str]:
    """Returns the sort key of a name: whole numbers first, by size, then names as text."""
    whole = name.isascii() and name.isdigit()
    return not whole, int(name) if whole else 0, name
