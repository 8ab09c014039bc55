"""make soak: what grows is reported, what does not is not."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.soak import Resident


def problems(monkeypatch: pytest.MonkeyPatch, rounds: int, **grows: float) -> list[str]:
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **named: None)
    one = Resident()
    base: dict[str, Any] = {"rss": 500e6, "handles": 4, "threads": 3, "children": 0}
    one.rounds = [
        {"statuses": [0], **{k: v + grows.get(k, 0) * n for k, v in base.items()}} for n in range(rounds)
    ]
    return one.growth()


def test_what_grows_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, 12) == []
    assert problems(monkeypatch, 12, rss=1e5) == []
    assert problems(monkeypatch, 12, rss=2e7)[0].startswith("rss grew from")
    assert problems(monkeypatch, 12, handles=1)[0].startswith("handles grew from")
    assert problems(monkeypatch, 12, children=1)[0].startswith("children grew from")
