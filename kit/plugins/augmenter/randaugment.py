"""RandAugment: a random crop and flip, then a few random operations of one strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.kinds import Augmenter
from kit.plugins.augmenter._warp import SHRINKS, mirror, resize_square, warp
from kit.plugins.augmenter.light import crop

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels

RATIO = (3 / 4, 4 / 3)  # width to height of a crop, as torchvision's RandomResizedCrop has it


class Randaugment(Augmenter):
    """Random resized crop and flip, then `operations` random ones of the paper's fourteen, at one `magnitude`.

    They are: identity, autocontrast, equalize, rotate, posterize, solarize, colour, contrast, brightness,
    sharpness, shear and shift along both axes. The magnitude is 0 to 30, as torchvision scales it. Only two
    numbers have to be searched. Pixels from outside of the image are grey. Leading operations of the plane
    share one interpolation with the crop.

    Source: Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced search space",
    section 3; torchvision.transforms.v2.RandAugment.
    """

    operations: int = Field(2, ge=0, le=14, description="operations per image, the paper's N")
    magnitude: int = Field(9, ge=0, le=30, description="strength of each operation, the paper's M")
    scale: tuple[float, float] = Field(
        (0.35, 1.0), description="range of a crop's area, as a share of the image"
    )
    hflip: float = Field(0.5, ge=0, le=1, description="probability of mirroring")
    fill: int = Field(128, ge=0, le=255, description="value of pixels outside of the image")

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must rise within 0 to 1, not {self.scale}")
        return self

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        from kit.plugins.augmenter._randaugment_operations import COLOURS, MAGNITUDES, OPERATIONS, PLANE

        top, left, tall, wide = map(round, crop(image.shape[0], image.shape[1], self.scale, RATIO, rng))
        cut = image[top : top + max(1, tall), left : left + max(1, wide)]
        is_mirrored = rng.random() < self.hflip
        names = [OPERATIONS[number] for number in rng.integers(len(OPERATIONS), size=self.operations)]
        shares = self.magnitude / MAGNITUDES * rng.choice((-1.0, 1.0), self.operations)
        first = next((at for at, name in enumerate(names) if name not in PLANE), len(names))
        augmented = _square(
            cut, size, is_mirrored, list(zip(names[:first], shares[:first], strict=True)), self.fill
        )
        for name, share in zip(names[first:], shares[first:], strict=True):
            if name in PLANE:
                augmented = _move(augmented, size, [(name, share)], self.fill)
            elif name in COLOURS:
                augmented = COLOURS[name](augmented, float(share))
        return augmented


def _square(
    cut: Pixels, size: int, is_mirrored: bool, moves: list[tuple[str, float]], fill: int
) -> np.ndarray:
    """Returns a crop as a square of side `size`, mirrored if so drawn, then moved in the plane."""
    import numpy as np

    across, down = cut.shape[1] / size, cut.shape[0] / size
    if not moves:
        resized = resize_square(cut, size)
        return mirror(resized) if is_mirrored else resized
    if min(across, down) >= SHRINKS:
        cut, across, down = resize_square(cut, size), 1.0, 1.0
    start = np.diag([-across if is_mirrored else across, down, 1.0])
    start[0, 2] = across * size if is_mirrored else 0.0
    return _move(cut, size, moves, fill, start)


def _move(
    image: np.ndarray,
    size: int,
    moves: list[tuple[str, float]],
    fill: int,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Returns an image after moves in the plane, by one map. `start` leads from the square of `size` to the image."""
    import numpy as np

    from kit.plugins.augmenter._randaugment_operations import plane_map

    whole = np.eye(3) if start is None else start
    for name, share in moves:
        whole = whole @ plane_map(name, float(share), size)
    # from corners, which the map is defined for, to the middles of pixels
    whole[:2, 2] += whole[:2, :2].sum(axis=1) / 2 - 0.5
    return warp(image, whole[:2], size, fill)
