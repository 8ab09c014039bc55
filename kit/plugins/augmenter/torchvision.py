"""Torchvision: any pipeline of torchvision's transforms v2, written in the config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from kit.kinds import Augmenter
from kit.plugins.augmenter import _torchvision
from kit.plugins.augmenter._image_pipeline import mirrors, try_all

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels

DEFAULT: tuple[dict[str, Any], ...] = (
    {"name": "RandomResizedCrop", "scale": [0.7, 1.0]},
    {"name": "RandomHorizontalFlip", "p": 0.5},
)


class Torchvision(Augmenter):
    """Any pipeline of torchvision's transforms v2. If the config gives no `size`, it is the network's.

    `transforms` is a list of `{"name": "RandomHorizontalFlip", "p": 0.5}`; groups (RandomApply, RandomChoice,
    RandomOrder, Compose) have their own list `transforms`. Unknown names and arguments are errors. If
    torchvision's compiled operators do not load, JPEG is refused; every other transform is plain torch.

    Source: torchvision 0.28.0, torchvision.transforms.v2.
    """

    transforms: tuple[dict[str, Any], ...] = Field(
        DEFAULT, min_length=1, description="transforms in order, each {name, arguments}"
    )

    @field_validator("transforms")
    @classmethod
    def _check_transforms(cls, transforms: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        _torchvision.build(transforms, size=64)
        try_all(transforms, _torchvision.try_once)
        return transforms

    def mirrors(self) -> bool:
        return mirrors(self.transforms)

    def takes_floats(self) -> bool:
        return True

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        return _torchvision.augment(self.transforms, image, size, rng)
