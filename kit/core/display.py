"""Display: a result as a few lines of text, as HTML for a notebook, and as a pandas table.

class TtaResult(Displayed):
    def _lines(self): return [f"{self.member}: accuracy {self.score:.4f}"]
    def to_frame(self): return pd.DataFrame(...)
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from kit.core.legible import escape_control, legible

if TYPE_CHECKING:
    import pandas as pd

MAX_LINES = 6  # of a result's text
MAX_ROWS = 30  # of a result's table in a notebook
OneResult = TypeVar("OneResult", bound="Displayed")


class Displayed:
    """A result that shows itself: `repr` gives a few lines, a notebook a table or a picture."""

    def _lines(self) -> Sequence[str]:
        """Returns the result in lines, one statement each, the most important first."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """Returns the result as a pandas table."""
        raise NotImplementedError

    def _pictures(self) -> Sequence[bytes]:
        """Returns PNG files to show in place of the table."""
        return ()

    def __repr__(self) -> str:
        lines = [escape_control(line) for text in self._lines() for line in text.splitlines()]
        more = [f"… and {len(lines) - MAX_LINES + 1} more lines"] if len(lines) > MAX_LINES else []
        return "\n".join([*lines[: MAX_LINES - len(more)], *more])

    def _repr_html_(self) -> str:
        """Returns the lines, and below them the pictures or the table. All text is escaped."""
        text = "<br>".join(html.escape(line) for line in repr(self).splitlines())
        pictures = self._pictures()
        below = "".join(map(_image, pictures)) if pictures else _table(self.to_frame())
        return f"<div>{text}</div>{below}"


class Results(tuple[OneResult, ...], Displayed):
    """Several results of one call, as a tuple."""

    def __new__(cls, results: Iterable[OneResult]) -> Results[OneResult]:
        return super().__new__(cls, tuple(results))

    __repr__ = Displayed.__repr__

    def _lines(self) -> Sequence[str]:
        return [line for result in self for line in result._lines()]

    def _pictures(self) -> Sequence[bytes]:
        return [png for result in self for png in result._pictures()]

    def to_frame(self) -> pd.DataFrame:
        """Returns the tables of all results, one below the other."""
        import pandas as pd

        frames = [result.to_frame() for result in self]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def frame(rows: Iterable[dict[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Returns a table of rows. It has `columns` even without rows."""
    import pandas as pd

    readable = [
        {key: legible(value) if isinstance(value, str) else value for key, value in row.items()}
        for row in rows
    ]
    return pd.DataFrame(readable, columns=None if columns is None else list(columns))


def _table(table: pd.DataFrame) -> str:
    """Returns an HTML table of the first rows, numbers with four digits."""
    if table.empty:
        return ""
    first_rows = table.head(MAX_ROWS).map(_cell)
    first_rows.columns = [escape_control(str(name)) for name in first_rows.columns]
    more = f"<div>… and {len(table) - MAX_ROWS} more rows</div>" if len(table) > MAX_ROWS else ""
    return str(first_rows.to_html(index=False, border=0, escape=True)) + more


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    return f"{value:.4f}" if isinstance(value, float) else escape_control(str(value))


def _image(png: bytes) -> str:
    return f'<img style="max-width: 100%" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
