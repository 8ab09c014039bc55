"""Light: a random crop, flip, small rotation and change of light, in one interpolation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.kinds import Augmenter
from kit.plugins.augmenter._warp import warp

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


class Light(Augmenter):
    """Random resized crop, horizontal flip, small shift, zoom and rotation, brightness and contrast.

    All geometry is one affine map. So pixels are interpolated once, and a batch costs a third of a chain of
    transforms.

    Source: the crop is Szegedy et al. 2015, section 6 (area and log-uniform aspect ratio, as torchvision's
    RandomResizedCrop); shift, scale, rotate and brightness are as albumentations' ShiftScaleRotate and
    RandomBrightnessContrast define them.
    """

    scale: tuple[float, float] = Field(
        (0.7, 1.0), description="range of a crop's area, as a share of the image"
    )
    ratio: tuple[float, float] = Field(
        (3 / 4, 4 / 3), description="range of a crop's width divided by its height"
    )
    hflip: bool = Field(True, description="mirror half of the images; false for digits, text, left and right")
    translate: float = Field(0.03, ge=0, le=1, description="largest shift, as a share of the crop's side")
    zoom: float = Field(0.05, ge=0, lt=1, description="largest additional zoom in or out, as a share")
    rotate: float = Field(8.0, ge=0, le=180, description="largest rotation in degrees")
    brightness: float = Field(
        0.15, ge=0, le=1, description="largest change of brightness, as a share of white"
    )
    contrast: float = Field(0.15, ge=0, lt=1, description="largest relative change of contrast")

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must rise within 0 to 1, not {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio must rise from above 0, not {self.ratio}")
        return self

    def takes_floats(self) -> bool:
        return True

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        import cv2
        import numpy as np

        image, matrix = _without_aliasing(image, self.matrix(image.shape[0], image.shape[1], size, rng), size)
        warped = warp(image, matrix, size)
        gain, offset = self._light(rng)
        if warped.dtype != np.uint8:
            changed: np.ndarray = np.clip(warped * np.float32(gain) + np.float32(offset), 0, 255)
            return changed
        values = np.clip(np.rint(np.arange(256) * gain + offset), 0, 255).astype(np.uint8)
        changed = cv2.LUT(warped, values)
        return changed if changed.ndim == 3 else changed[:, :, None]

    def matrix(self, height: int, width: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """Returns the affine map, (2, 3), from a pixel (x, y) of the result to the image's pixel that it shows."""
        import numpy as np

        top, left, tall, wide = crop(height, width, self.scale, self.ratio, rng)
        shift_x, shift_y, zoom, turn = rng.uniform(-1, 1, 4).tolist()
        angle, grow = math.radians(turn * self.rotate), 1 + zoom * self.zoom
        mirror = -1 if self.hflip and rng.random() < 0.5 else 1
        # to the image after a rotation after a mirror, in plain numbers: numpy takes three times as long
        across, down = wide / size / grow, tall / size / grow
        cosine, sine = math.cos(angle), math.sin(angle)
        (xx, xy), (yx, yy) = (across * cosine * mirror, across * sine), (-down * sine * mirror, down * cosine)
        # A pixel's centre is at + 0.5, so the middle of the result is at size / 2 - 0.5.
        half = size / 2 - 0.5
        x = left + wide * (0.5 + shift_x * self.translate) - 0.5 - (xx + xy) * half
        y = top + tall * (0.5 + shift_y * self.translate) - 0.5 - (yx + yy) * half
        return np.array([[xx, xy, x], [yx, yy, y]])

    def _light(self, rng: np.random.Generator) -> tuple[float, float]:
        """Returns the factor for contrast (about zero, as in albumentations), and the brightness to add."""
        return 1 + rng.uniform(-1, 1) * self.contrast, rng.uniform(-1, 1) * self.brightness * 255


def crop(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Returns top, left, height and width of a crop, in pixels: uniform area, log-uniform ratio, uniform position.

    A crop that would leave a long image is made smaller and keeps its ratio. torchvision draws again, and
    distorts in the end.
    """
    area = height * width * rng.uniform(*scale)
    shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    tall, wide = math.sqrt(area / shape), math.sqrt(area * shape)
    fit = min(1.0, height / tall, width / wide)
    tall, wide = min(tall * fit, height), min(wide * fit, width)  # a product may round beyond the border
    return rng.uniform(0, height - tall), rng.uniform(0, width - wide), tall, wide


def _without_aliasing(image: Pixels, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Shrinks the image first if the map would skip pixels, and returns it with its map."""
    import numpy as np

    from kit.images.reader import resize

    (xx, xy, _), (yx, yy, _) = matrix.tolist()
    step = min(math.hypot(xx, yx), math.hypot(xy, yy))
    if step < 2:
        return image, matrix
    height, width = (max(1, round(side / step)) for side in image.shape[:2])
    factors = np.array([width / image.shape[1], height / image.shape[0]])
    small = resize(image, height, width)
    linear = matrix[:, :2] * factors[:, None]
    return small, np.column_stack([linear, (matrix[:, 2] + 0.5) * factors - 0.5])
