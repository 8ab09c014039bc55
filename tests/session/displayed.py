"""A check of how a result shows itself, for the tests of a session."""

from __future__ import annotations

from kit.core.display import Displayed


def check_display(result: Displayed, *columns: str) -> None:
    """Few lines, a page, and the columns of a table."""
    assert 1 <= len(repr(result).splitlines()) <= 6
    assert "<div>" in result._repr_html_()
    assert set(columns) <= set(result.to_frame().columns)
