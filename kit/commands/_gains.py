"""How a gain is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.evaluation.bootstrap import Gain


def format_gain(gain: Gain) -> str:
    """A gain, its interval, and whether it is one."""
    if gain.low is None or gain.high is None:
        return f"{gain.value:+.4f}; no interval, because too few bootstrap draws have a score"
    found = (
        "a significant gain"
        if gain.is_significant
        else "a significant loss"
        if gain.high < 0
        else "not significant"
    )
    return f"{gain.value:+.4f} (95 % {gain.low:+.4f} to {gain.high:+.4f}), {found}"
