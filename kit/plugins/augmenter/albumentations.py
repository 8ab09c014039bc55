"""Albumentations: any pipeline of the library, written in the config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from kit.kinds import Augmenter
from kit.plugins.augmenter import _albumentations
from kit.plugins.augmenter._image_pipeline import mirrors, try_all

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels

DEFAULT: tuple[dict[str, Any], ...] = (
    {"name": "RandomResizedCrop", "scale": [0.7, 1.0]},
    {"name": "HorizontalFlip", "p": 0.5},
)


class Albumentations(Augmenter):
    """Any albumentations pipeline. If the config gives no size for a transform, it is the network's.

    `transforms` is a list of `{"name": "HorizontalFlip", "p": 0.5}`; groups (OneOf, SomeOf, Sequential) have
    their own list `transforms`. Unknown names and arguments are errors; the library only warns of them.

    Source: Buslaev et al. 2020, "Albumentations: Fast and Flexible Image Augmentations"; albumentations 2.0.8.
    """

    transforms: tuple[dict[str, Any], ...] = Field(
        DEFAULT, min_length=1, description="transforms in order, each {name, arguments}"
    )

    @field_validator("transforms")
    @classmethod
    def _check_transforms(cls, transforms: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        _albumentations.build(transforms, size=64)
        try_all(transforms, _albumentations.try_once)
        return transforms

    def mirrors(self) -> bool:
        return mirrors(self.transforms)

    def takes_floats(self) -> bool:
        return True

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        return _albumentations.augment(self, lambda: self.transforms, image, size, rng)
