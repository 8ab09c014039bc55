"""Bags of images in batches: the images of a bag are concatenated along the channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kit.core.files import fingerprint
from kit.core.randomness import generator
from kit.engine.batches import ImageDataset


@dataclass(frozen=True, eq=False)
class ImageBags:
    """The bags of a table's images. A batch names a bag by its first row, in the order of the table.

    `rows` has the rows of each bag in their order, `number` (table rows,) the bag of each row, -1 for rows without an
    image, and `first` (table rows,) the first row of its bag. A network sees at most `instances` images of a bag.
    """

    rows: Sequence[np.ndarray]
    number: np.ndarray
    first: np.ndarray
    instances: int

    def first_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns the first row of each bag of some rows, ascending."""
        return np.unique(self.first[rows])

    def spread(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns a value for each of `rows` from the values of `first_rows(rows)`."""
        return np.asarray(values[np.searchsorted(self.first_rows(rows), self.first[rows])])

    def digest(self) -> str:
        """Returns 64 hex digits that are equal for bags of the same rows in the same order."""
        return fingerprint([rows.tolist() for rows in self.rows])

    def over(self, images: ImageDataset) -> ImageDataset:
        """Returns a data set of bags of these images."""
        parts = images.cache, images.size, images.crop_share, images.augmenter, images.seed, images.fold
        return BagDataset(*parts, bags=self)


@dataclass(frozen=True, eq=False)
class BagDataset(ImageDataset):
    """Makes the pixels of bags, (size, size, instances * channels): each image is augmented by itself.

    A smaller bag is filled up with zeros. Of a larger one each epoch draws some images again, in their order,
    and prediction sees images at even distances.
    """

    bags: ImageBags | None = None

    @cached_property
    def _images(self) -> ImageDataset:
        return ImageDataset(self.cache, self.size, self.crop_share, self.augmenter, self.seed, self.fold)

    @property
    def shape(self) -> tuple[int, int, int]:
        assert self.bags is not None
        return self.size, self.size, self.bags.instances * self.cache.channels

    def image(self, epoch: int, row: int, occurrence: int) -> np.ndarray:
        pixels, channels = np.zeros(self.shape, self.dtype), self.cache.channels
        for index, image_row in enumerate(self._choose(epoch, row, occurrence).tolist()):
            at = slice(index * channels, (index + 1) * channels)
            pixels[:, :, at] = self._images.image(epoch, image_row, occurrence)
        return pixels

    def _choose(self, epoch: int, row: int, occurrence: int) -> np.ndarray:
        """Returns the rows of a row's bag that the network sees."""
        assert self.bags is not None
        rows, most = self.bags.rows[int(self.bags.number[row])], self.bags.instances
        if len(rows) <= most:
            return rows
        if self.augmenter is None:
            return np.asarray(rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)])
        rng = generator(self.seed, "instances", self.fold, epoch, row, occurrence)
        return np.asarray(rows[np.sort(rng.choice(len(rows), most, replace=False))])
