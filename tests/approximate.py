"""Approximate numbers for typed fields: `Gain("mean", approx(0.1), ...)` equals a gain whose number is close."""

from __future__ import annotations

from typing import cast

import pytest


def approx(value: float) -> float:
    """pytest.approx, as the number that it stands for in a comparison."""
    return cast(float, pytest.approx(value))
