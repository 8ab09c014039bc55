"""Unicode normal forms: `é` is one character or two (macOS writes two in file names), and the same text in both."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence


def nfc(text: str) -> str:
    """A text in normal form C, so that equal texts are equal strings."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_same_text(one: str, other: str) -> bool:
    """Whether two strings are one text in two normal forms."""
    return one != other and nfc(one) == nfc(other)


def describe_difference(one: str, other: str) -> str:
    """How two strings of one text differ, as words for a message."""
    return f"the same text in another Unicode form ({_form(one)}, not {_form(other)})"


def _form(text: str) -> str:
    return next((form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, text)), "a mixed form")


def by_nfc(names: Iterable[str]) -> dict[str, str]:
    """The name of each text in normal form C; a text that several names have is left out."""
    names = list(names)
    times = Counter(map(nfc, names))
    return {nfc(name): name for name in names if times[nfc(name)] == 1}


def respell(names: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """The names, those that are a wanted name in another normal form spelled as it is."""
    known = set(wanted)
    if all(name.isascii() or name in known for name in names):
        return list(names)
    spelling = by_nfc(known)
    return [name if name in known else spelling.get(nfc(name), name) for name in names]
