"""Album: thumbnails as data addresses, within a byte budget for the whole page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from kit.images.reader import resize
from kit.stages.reporting.row_facts import Picture

BUDGET = 3_200_000  # characters of all pictures, which leaves 1.8 MB of 5 for the rest
SIDE_PX = 132  # pixels of a thumbnail's long side
QUALITY = 78


@dataclass
class Album:
    """Makes pictures until the budget is used up. `left_out` counts the pictures without room, by their subject."""

    budget: int = BUDGET
    spent: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def picture(self, image: np.ndarray, text: str, of: str, side: int = SIDE_PX) -> Picture | None:
        """Returns a picture of an image (height, width, 3) uint8, with a long side of at most `side`.

        It is None if there is no room.
        """
        small = shrink_to_fit(image, side)
        uri = "data:image/jpeg;base64," + base64.b64encode(_jpeg(small)).decode("ascii")
        if self.spent + len(uri) > self.budget:
            self.left_out[of] += 1
            return None
        self.spent += len(uri)
        return Picture(uri, text, small.shape[1], small.shape[0])


def shrink_to_fit(image: np.ndarray, side: int) -> np.ndarray:
    """Returns the image, its long side at most `side`."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    return resize(image, max(1, round(height * scale)), max(1, round(width * scale)))


def _jpeg(image: np.ndarray) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=QUALITY, optimize=True)
    return content.getvalue()
