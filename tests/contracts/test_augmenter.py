"""Every augmenter keeps the laws, and the laws notice one that does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.contracts import augmenter as laws
from kit.kinds import Augmenter
from kit.kinds.registry import locations

LAWS = [law for name, law in vars(laws).items() if name.startswith("law_")]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", locations("augmenter"))
def test_every_augmenter_keeps_the_law(name: str, law: Callable[[Augmenter], None]) -> None:
    law(Augmenter.open(name))


class _Broken(Augmenter):
    """Breaks the law that a test asks for."""

    fault: str

    def __call__(self, image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        square = np.resize(image, (size, size, 3))
        if self.fault == "shape":
            return square[:-1]
        if self.fault == "dtype":
            return square.astype(np.float32)
        if self.fault == "global":
            noise: np.ndarray = np.random.default_rng().integers(0, 256, (size, size, 3), dtype=np.uint8)
            return noise
        if self.fault == "changes":
            image[0, 0, 0] ^= 1
        return image if self.fault == "view" and image.shape == square.shape else square


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("shape", laws.law_gives_a_square_of_the_size),
        ("dtype", laws.law_gives_a_square_of_the_size),
        ("global", laws.law_same_rng_same_image),
        ("changes", laws.law_leaves_the_image_as_it_was),
        ("view", laws.law_leaves_the_image_as_it_was),
    ],
)
def test_the_law_notices(fault: str, law: Callable[[Augmenter], None]) -> None:
    law(_Broken(fault=""))
    with pytest.raises(AssertionError):
        law(_Broken(fault=fault))
