"""Unusable images: the settings that their errors name, which may be wrong instead of the files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kit.errors import Case

BY_SETTING = ("D10", "D11", "D12", "D15")  # codes of files that another setting may read
OF_MOST = ("D15",)  # of these only if most images are like this
_BRACKETS = re.compile(r"\(([^()]*)\)")
_SETTING = re.compile(r"(?<![\w.])(data\.[a-z_.]+[a-z_]|channels)(?:=([^\s,;)]*(?:,[^\s,;)\]]+\])?))?")


def suggest_settings(cases: Sequence[Case], rows: int) -> str:
    """Returns the settings that would read images, such as `channels=4`; empty if the files are damaged.

    `rows` is the number of images. A value is named if it is the same for all images.
    """
    codes = {case.code for case in cases}
    if len(codes) != 1 or not codes <= set(BY_SETTING) or (codes <= set(OF_MOST) and 2 * len(cases) <= rows):
        return ""
    values: dict[str, set[str]] = {}
    for case in cases:
        for text in _BRACKETS.findall(case.detail):
            for key, value in _SETTING.findall(text):
                values.setdefault(key, set()).add(value)
    return " ".join(
        f"{key}={next(iter(options))}" if len(options) == 1 and "" not in options else key
        for key, options in values.items()
    )


def repair_hint(cases: Sequence[Case], rows: int, goes_on: str) -> str:
    """Returns what to do about unusable images; `goes_on` is the setting that continues without them."""
    settings = suggest_settings(cases, rows)
    otherwise = f"repair them, or set {goes_on} to continue without them"
    return f"set {settings} if the images are right; otherwise {otherwise}" if settings else otherwise
