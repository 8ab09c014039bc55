"""Finding: one thing that the data say before any training, what it does to a score, and what answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kit.errors import Case

Level = Literal["problem", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """A problem makes scores wrong or stops training, a warning may, a note is worth knowing."""

    code: str
    level: Level
    summary: str  # what, and how many
    effect: str  # what it does to the score
    answer: str  # a config line or a command
    cases: tuple[Case, ...] = ()
