"""Spelling: one Unicode form for a text, and labels that are one class written in several ways."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache


def nfc(text: str) -> str:
    """Returns a text in normal form C, so that equal texts are equal strings."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_same_text(one: str, other: str) -> bool:
    """Whether two strings are one text in two normal forms."""
    return one != other and nfc(one) == nfc(other)


def describe_difference(one: str, other: str) -> str:
    """Returns how two strings of one text differ, as words for a message."""
    return f"the same text in another Unicode form ({_form(one)}, not {_form(other)})"


def _form(text: str) -> str:
    return next((form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, text)), "a mixed form")


def by_nfc(names: Iterable[str]) -> dict[str, str]:
    """Returns the name of each text in normal form C. Texts with several names are left out."""
    names = list(names)
    times = Counter(map(nfc, names))
    return {nfc(name): name for name in names if times[nfc(name)] == 1}


def respell(names: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Returns the names; a name that is a wanted one in another normal form gets its spelling."""
    known = set(wanted)
    if all(name.isascii() or name in known for name in names):
        return list(names)
    spelling = by_nfc(known)
    return [name if name in known else spelling.get(nfc(name), name) for name in names]


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
# how a whole number is written, also by a library that made it a float: without leading zeros, nothing after
# the point
_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.0*)?")
MOJIBAKE_ROUNDS = 3  # maximum number of wrong decodings that are undone


@dataclass(frozen=True)
class Spelled:
    """A label as in the training table, its class, and the number of its rows."""

    label: str
    name: str
    rows: int


@lru_cache(maxsize=2**17)
def number_of(text: str) -> Fraction | None:
    """Returns the value of a decimal number such as `0`, `1.` or `-0.50`, exactly; None for any other text."""
    if _NUMBER.fullmatch(text) is None:
        return None
    return Fraction(text.rstrip(".") if text.endswith(".") else text)


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number written as a float or an integer: `1`, `1.0`, `1.`, not `01`."""
    return _WHOLE.fullmatch(text) is not None


@lru_cache(maxsize=2**17)
def fold_spelling(text: str) -> str:
    """Returns a key that all spellings of one class share: equal after NFKC, case folding, trimming, or equal
    as numbers.

    UTF-8 text that was read as cp1252 or latin-1 is corrected first. Format characters such as a zero-width
    space are ignored.
    """
    plain = unicodedata.normalize("NFKC", put_right(text)).casefold()
    plain = "".join(
        char for char in plain if unicodedata.category(char) not in ("Cf", "Cc") or char.isspace()
    )
    plain = unicodedata.normalize("NFKC", " ".join(plain.split()))
    value = number_of(plain)
    return plain if value is None else str(value)


def put_right(text: str) -> str:
    """Returns the original text if UTF-8 was read as cp1252 or latin-1; any other text is unchanged."""
    for _ in range(MOJIBAKE_ROUNDS):
        try:
            repaired = b"".join(map(_byte_of, text)).decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            return text
        if repaired == text:
            return text
        text = repaired
    return text


def _byte_of(char: str) -> bytes:
    """Returns the byte that cp1252 shows as this character; its five missing bytes are latin-1's."""
    try:
        return char.encode("cp1252")
    except UnicodeEncodeError:
        return char.encode("latin-1")


def is_tidy(text: str) -> bool:
    """Whether a name has no blank around it, no invisible character, and is neither mojibake nor decomposed."""
    odd = any(unicodedata.category(char) in ("Cf", "Cc") or (char.isspace() and char != " ") for char in text)
    return not odd and text == text.strip() and put_right(text) == text == unicodedata.normalize("NFC", text)


def quote(text: str) -> str:
    """Returns a name in quotes, with invisible characters escaped."""
    return repr(text) if is_tidy(text) or put_right(text) != text else ascii(text)


def rename_line(known: Mapping[str, str], more: Mapping[str, str]) -> str:
    """Returns `data.label_from.rename={...}` with the config's renames and new ones that merge spellings,
    quoted for a shell.
    """
    names = {**known, **more}
    text = json.dumps(names, ensure_ascii=not all(map(is_tidy, [*names, *names.values()])))
    return shlex.quote(f"data.label_from.rename={text}")


def rename_labels(labels: Iterable[str], rename: Mapping[str, str]) -> list[str]:
    """Renames labels by `data.label_from.rename`, whose keys may be spelled as other numbers: `0` renames `0.0` too."""
    values = {number_of(key): name for key, name in rename.items() if is_whole_number(key)} if rename else {}

    def name_of(label: str) -> str:
        if label in rename:
            return rename[label]
        return values.get(number_of(label), label) if values and is_whole_number(label) else label

    known: dict[str, str] = {}
    return [known[label] if label in known else known.setdefault(label, name_of(label)) for label in labels]


def as_numbers(labels: Iterable[str], reference: Sequence[str] = ()) -> dict[str, str]:
    """Returns the spelling of the class for labels that are written in another way: equal numbers are one class.

    `reference` shows how classes are written. Labels that it lacks are written in its style. Labels with
    leading zeros are joined with others only if that is safe: each side has a single spelling of the number.
    """
    by_value, reference_by_value = _by_value(labels), _by_value(reference)
    style = _style(
        {value: reference_by_value[value] for value in by_value.keys() & reference_by_value.keys()}
    )
    renamed: dict[str, str] = {}
    for value, texts in by_value.items():
        whole = [text for text in texts if is_whole_number(text)]
        groups = (
            [whole, *([text] for text in texts if not is_whole_number(text))]
            if whole
            else [[text] for text in texts]
        )
        right = reference_by_value.get(value, [])
        if len(right) > 1:
            continue  # the reference has several classes of this number
        if right:
            equal_texts = groups[0] if len(groups) == 1 else (whole if is_whole_number(right[0]) else [])
            renamed |= dict.fromkeys(equal_texts, right[0])
        elif len(groups) == 1 and style is not None and (written := style(value)) is not None:
            renamed |= dict.fromkeys(texts, written)
        if len(whole) > 1 and whole[0] not in renamed:
            renamed |= dict.fromkeys(whole, min(whole, key=lambda text: (len(text), text)))
    return {label: name for label, name in renamed.items() if label != name}


def _by_value(labels: Iterable[str]) -> dict[Fraction, list[str]]:
    labels_by_value: dict[Fraction, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        value = number_of(label)
        if value is not None:
            labels_by_value[value].append(label)
    return labels_by_value


def _style(by_value: Mapping[Fraction, Sequence[str]]) -> Callable[[Fraction], str | None] | None:
    """Returns a function that writes whole numbers in the shown style: `7`, `7.0` or `07`; None if no style fits."""
    known = [(value, texts[0]) for value, texts in by_value.items() if len(texts) == 1]
    if not known:
        return None
    width = max(len(text) for _, text in known)
    ways: list[Callable[[int], str]] = [
        str,
        lambda whole: f"{whole}.0",
        lambda whole: str(whole).zfill(width),
    ]
    for way in ways:
        if all(value.denominator == 1 and way(value.numerator) == text for value, text in known):
            return lambda value, way=way: way(value.numerator) if value.denominator == 1 else None  # type: ignore[misc]
    return None
