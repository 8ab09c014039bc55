"""Durations: a time as a user writes it, such as 20m or 1h30m."""

from __future__ import annotations

import re

from kit.errors import ConfigError

UNITS = {"h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> int:
    """Returns the seconds of `20m`, `1h30m` or `90s`. Raises ConfigError C05 for other text."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), UNITS.values(), strict=True))
        if match
        else 0
    )
    if not seconds:
        raise ConfigError(f"{text!r} is not a time", code="C05", hint="20m, 1h30m or 90s")
    return seconds


def write_duration(seconds: float) -> str:
    """Returns a time as `parse_duration` reads it: 1h30m, 20m, 45s."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))}s"
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m"
