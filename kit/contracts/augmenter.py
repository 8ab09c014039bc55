"""Contract tests of augmenters, on images of awkward shapes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.core.randomness import generator
from kit.kinds import Augmenter

SIZE = 32
SHAPES = ((40, 40), (48, 64), (200, 37), (1, 60), (60, 1), (9, 9), (SIZE, SIZE), (1, 1))
DRAWS = 4


def _images() -> Iterator[np.ndarray]:
    """Yields read-only images, as the cache does: a gradient with noise, so that neighbouring pixels differ."""
    for height, width in SHAPES:
        rng = generator(0, "laws of augmenters", height, width)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image.flags.writeable = False
        yield image


def law_gives_a_square_of_the_size(plugin: Augmenter) -> None:
    """Every image becomes uint8 of shape (size, size, 3), even a very narrow or tiny one."""
    for image in _images():
        for draw in range(DRAWS):
            augmented = plugin(image, SIZE, generator(draw, "law"))
            assert augmented.shape == (SIZE, SIZE, 3), (
                f"{image.shape} became {augmented.shape}, not {(SIZE, SIZE, 3)}"
            )
            assert augmented.dtype == np.uint8, f"{image.shape} became {augmented.dtype}, not uint8"


def law_floats_stay_floats(plugin: Augmenter) -> None:
    """If it takes floats, a float32 image with white at 255 becomes float32 of the same shape, within 0 to 255."""
    if not plugin.takes_floats():
        return
    for image in _images():
        augmented = plugin(image.astype(np.float32), SIZE, generator(0, "law"))
        assert augmented.shape == (SIZE, SIZE, 3), (
            f"{image.shape} became {augmented.shape}, not {(SIZE, SIZE, 3)}"
        )
        assert augmented.dtype == np.float32, f"float32 became {augmented.dtype}"
        low, high = float(augmented.min()), float(augmented.max())
        assert max(-low, high - 255) <= 1, f"values from {low:g} to {high:g}, not 0 to 255"


def law_same_rng_same_image(plugin: Augmenter) -> None:
    """Equal generators give equal images, independently of other draws."""
    for image in _images():
        first = plugin(image, SIZE, generator(1, "law")).copy()
        plugin(image, SIZE, generator(2, "law"))
        np.random.default_rng().random()
        again = plugin(image, SIZE, generator(1, "law"))
        differ = int((first.astype(int) != again.astype(int)).sum())
        assert differ == 0, f"{image.shape}: {differ} of {first.size} values differ"


def law_leaves_the_image_as_it_was(plugin: Augmenter) -> None:
    """The given image is not changed, and the result does not share its memory."""
    for image in _images():
        own = image.copy()
        augmented = plugin(own, SIZE, generator(3, "law"))
        differ = int((own != image).sum())
        assert differ == 0, f"{image.shape}: {differ} values of the image were changed"
        assert not np.shares_memory(augmented, own), f"{image.shape}: the result is a view of the image"
