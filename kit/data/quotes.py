"""Quotes of a CSV: where they open, where they close, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

from kit.errors import DataError

LINE_END = re.compile("\r\n|\r|\n")


def line_breaks(text: str) -> int:
    """How many line breaks a text holds, as a CSV's lines are counted."""
    return len(LINE_END.findall(text)) if "\n" in text or "\r" in text else 0


def find_misplaced_quote(path: Path, text: str, sep: str, before: int) -> DataError | None:
    """The error (D27) for the first quote that is never closed, or is closed before the end of its cell.

    `before` is the number of the file's lines before the text.
    """
    hint = 'remove the quote, or close it; a quote inside a quoted cell is written twice: ""'
    line, place = 1 + before, 0
    plain = re.compile(f"[^{re.escape(sep)}\r\n]*")
    while place < len(text):
        if text[place] == '"':
            end = _find_closing(text, place)
            if end < 0:
                return DataError(
                    f"{path}: a quote opens on line {line} and is never closed", code="D27", hint=hint
                )
            opened, line = line, line + line_breaks(text[place:end])
            place = end + 1
            if text[place : place + 1] not in ("", sep, "\r", "\n"):
                where = f" that opens on line {opened}" if opened < line else ""
                return DataError(
                    f"{path} row {line}: text follows the closing quote of a cell{where}",
                    code="D27",
                    hint=hint,
                )
        else:
            found = plain.match(text, place)
            place = found.end() if found else place
        if found := LINE_END.match(text, place):
            line, place = line + 1, found.end()
        else:
            place += 1
    return None


def _find_closing(text: str, opening: int) -> int:
    """Where the quote that opens at a place closes; -1 where it never does."""
    place = text.find('"', opening + 1)
    while place >= 0 and text[place + 1 : place + 2] == '"':
        place = text.find('"', place + 2)
    return place
