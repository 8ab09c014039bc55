"""Rows of a source, before labels become numbers, and what is wrong with their ids and files."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.legible import is_legible, legible
from kit.data.image_paths import ImageFolder, raise_missing
from kit.data.normal_form import nfc
from kit.errors import MAX_CASES, Case, DataError, KitWarning

if TYPE_CHECKING:
    from kit.config.models import Data


@dataclass(frozen=True)
class SourceRows:
    """Rows as their source has them: ids, image paths, and columns of text, all in the source's order."""

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    columns: Mapping[str, Sequence[str]]
    sources: tuple[str, ...] = ()  # of each row, blank for the competition's own; none where all are


def refuse_unusable(
    found: ImageFolder, data: Data, names: Sequence[str], ids: Sequence[str], codes: Sequence[str], split: str
) -> None:
    """Raises for what cannot be used; rows that the config lets go on are left to whoever reads the images."""
    goes_on = data.bad_train == "drop" if split == "train" else data.bad_test == "prior"
    serious = [code if code == "D20" or not goes_on else "" for code in codes]
    raise_missing(found, names, ids, serious, split)


def warn_of_names(paths: Iterable[Path | str], split: str) -> None:
    """Warns (W50) of files whose names are not UTF-8, as they become parts of ids and labels."""
    odd = [path for path in map(str, paths) if not is_legible(path)]
    if odd:
        text = f"W50 the names of {len(odd)} {split} files are not UTF-8, so their ids show the bytes: "
        more = ", …" if len(odd) > MAX_CASES else ""
        shown = ", ".join(legible(path) for path in odd[:MAX_CASES])
        warnings.warn(KitWarning(f"{text}{shown}{more}"), stacklevel=2)


def check_ids(ids: Sequence[str], lines: Sequence[int], file: Path, split: str) -> None:
    """Raises DataError for blank (D23) and double (D24) ids; warns of ids that differ only by case (W03)."""
    blank = [
        Case(f"row {line} has no id", str(file), split=split, code="D23")
        for row, line in zip(ids, lines, strict=True)
        if not row.strip()
    ]
    if blank:
        raise DataError(f"{len(blank)} {split} rows have no id", code="D23", cases=blank)
    if len(set(ids)) < len(ids):
        rows: dict[str, list[str]] = defaultdict(list)
        for row, line in zip(ids, lines, strict=True):
            rows[row].append(str(line))
        cases = [
            Case(f"id {row!r} occurs in rows {', '.join(where)}", "", row, split, "D24")
            for row, where in rows.items()
            if len(where) > 1
        ]
        raise DataError(
            f"{file}: {len(cases)} duplicate ids",
            code="D24",
            cases=cases,
            hint="data.id must identify each row; photos in one folder need different names",
        )
    forms = ids if all(map(str.isascii, ids)) else [nfc(row) for row in ids]
    folded = Counter(map(str.casefold, forms))
    if len(folded) < len(ids):
        alike = [row for row, form in zip(ids, forms, strict=True) if folded[form.casefold()] > 1]
        ways = ["case"] if len(folded) < len(set(forms)) else []
        ways += ["Unicode form"] if len(set(forms)) < len(ids) else []
        text = f"W03 {len(alike)} {split} ids differ only by {' or '.join(ways)}: {', '.join(alike[:6])}"
        warnings.warn(KitWarning(text), stacklevel=2)
