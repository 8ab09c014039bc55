"""Legible: makes any text valid for files and terminals, even if a file's name has invalid bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kit.errors import ConfigError

# Python represents each byte of a file's name that is not UTF-8 as half of a surrogate pair (PEP 383)
HALVES = re.compile(r"[\ud800-\udfff]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # except tab and line end


def legible(text: str) -> str:
    r"""Returns the text with each byte that is not UTF-8 escaped: the bytes `caf\xe9` in Latin-1 become `caf\\xe9`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return HALVES.sub(lambda match: _spell_out(match[0]), text)
    return text


def escape_control(text: str) -> str:
    """Returns the text with control characters and invalid UTF-8 escaped, because an id must not move a
    terminal's cursor.
    """
    return CONTROL.sub(lambda match: repr(match[0])[1:-1], legible(text))


def is_legible(text: str) -> bool:
    """Whether a text is valid Unicode, so that it can be written as UTF-8."""
    return HALVES.search(text) is None


def check_writable(names: Iterable[str | Path]) -> None:
    """Raises ConfigError C50 for a folder or pattern that config.json and other libraries cannot name."""
    for name in map(str, names):
        if not is_legible(name):
            raise ConfigError(
                f"the name {legible(name)} is not UTF-8",
                code="C50",
                hint="rename that folder or file; image files and class folders may keep such names",
            )


def legible_json(value: Any, **options: Any) -> str:
    """Returns JSON of a value whose texts are made legible; `options` are json.dumps's."""
    text = json.dumps(value, ensure_ascii=False, **options)
    # within JSON a backslash is written twice
    return HALVES.sub(lambda match: json.dumps(_spell_out(match[0]))[1:-1], text)


def _spell_out(half: str) -> str:
    code = ord(half)
    return rf"\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else rf"\u{code:04x}"
