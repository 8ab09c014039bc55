"""Prints members' diversity: two heat maps and the gain of each member."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from kit.stages.blending.diversity import Diversity


def table(diversity: Diversity) -> Table:
    """Returns one row per member: its score, its gain, its correlation and error overlap with each other one."""
    from rich.table import Table
    from rich.text import Text

    members_table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in (
        "",
        "member",
        diversity.metric,
        "gain over the blend without it (95 %)",
        "correlation, %",
        "error overlap, %",
    ):
        members_table.add_column(
            heading, justify="right" if heading == diversity.metric else "left", no_wrap=True
        )
    numbers = Text(" ".join(f"{number:>3}" for number in range(1, len(diversity.names) + 1)), style="dim")
    members_table.add_row("", "", "", "", numbers, numbers)
    for index, name in enumerate(diversity.names):
        members_table.add_row(
            str(index + 1),
            name,
            f"{diversity.scores[index]:.4f}",
            _gain(diversity, index),
            _cells(diversity.correlation, index),
            _cells(diversity.overlap, index),
        )
    return members_table


def _gain(diversity: Diversity, index: int) -> str:
    if not diversity.gains:
        return "-"
    gain = diversity.gains[index]
    interval = "" if gain.low is None else f" ({gain.low:+.4f} to {gain.high:+.4f})"
    return f"{gain.value:+.4f}{interval}"


def _cells(matrix: np.ndarray, row: int) -> Text:
    """Returns a row of a matrix in per cent, each cell on the picture's colour."""
    from rich.text import Text

    from kit.stages.blending.heat_map import floor_of, heat_colour

    low, line = floor_of(matrix), Text()
    for column, value in enumerate(matrix[row].tolist()):
        fill = heat_colour(value, low)
        ink = "black" if sum(fill) > 450 else "white"
        line.append(f"{100 * value:3.0f}", f"{ink} on rgb({fill[0]},{fill[1]},{fill[2]})")
        line.append(" " if column + 1 < matrix.shape[1] else "")
    return line
