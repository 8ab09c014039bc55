"""codes: the meaning and the fix of each message code, from docs/codes.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kit.errors import ConfigError, did_you_mean

CODES_FILE = Path(__file__).with_name("codes.md")
_ENTRY = re.compile(r"^- \*\*([A-Z]\d\d) (.+?)\.\*\*(?: (.+?))? \*Do:\* (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Code:
    """One code: a few words, its meaning (empty if the words are enough), and the fix."""

    code: str
    title: str
    meaning: str
    remedy: str


@lru_cache
def codes() -> dict[str, Code]:
    """Returns every code, in the page's order."""
    entries = (Code(code, title, meaning, remedy) for code, title, meaning, remedy in _ENTRY.findall(_page()))
    return {entry.code: entry for entry in entries}


def _page() -> str:
    """Returns the page with each entry on one line.

    On the page an entry is wrapped, and its further lines are indented.
    """
    return re.sub(r"\n  (?=\S)", " ", CODES_FILE.read_text(encoding="utf-8"))


def explain(text: str) -> Code:
    """Returns the entry of a code, written in any case. Raises ConfigError C05 if the code does not exist."""
    known = codes()
    if text.upper() not in known:
        raise ConfigError(
            f"no code {text!r}{did_you_mean(text.upper(), known)}",
            code="C05",
            hint="kit explain lists all codes",
        )
    return known[text.upper()]
