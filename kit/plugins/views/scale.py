"""The image at several sizes."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from kit.kinds import Views


class Scale(Views):
    """One view per factor: the image resized by it. For networks that take any size.

    A network that was trained on random crops sees larger objects there than in whole images, so a factor
    above 1 may improve the prediction.

    Source: Simonyan and Zisserman 2015, section 4.2 (multi-scale evaluation); Touvron et al. 2019, "Fixing the
    train-test resolution discrepancy".
    """

    factors: tuple[float, ...] = Field(
        (1.0, 1.25), min_length=1, description="factors of the image side; the first is 1"
    )

    @field_validator("factors")
    @classmethod
    def _first_is_the_image(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        if factors[0] != 1 or any(not 0.25 <= factor <= 4 for factor in factors):
            raise ValueError(f"factors begin with 1 and lie in .25 to 4, not {factors}")
        return factors

    def views(self) -> list[Any]:
        from kit.plugins.views._resized import Resized

        return [Resized(self.factors)]

    def sizes(self, size: int) -> list[int]:
        return [max(1, round(size * factor)) for factor in self.factors]
