"""Kinds of data: splitter (rows of each fold), sampler (rows of an epoch) and augmenter (variants of an image)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kit.kinds.plugin import Plugin

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers, Pixels, RowMask, RowNumbers, Targets
    from kit.data.table import Table


class Splitter(Plugin):
    """Assigns the rows that each fold holds out."""

    kind: ClassVar[str] = "splitter"
    needs_groups: ClassVar[bool] = False
    holds_out: ClassVar[bool] = True  # False: every row is -1, and one model trains on all

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        """Returns fold numbers, int64 of shape (rows, repeats). -1 means never held out. Rows are sorted by id.

        Numbers run from 0 over all repeats, so that each number identifies one model.
        """
        raise NotImplementedError

    def train_rows(self, folds: FoldNumbers, fold: int) -> RowMask:
        """Returns the training rows of a fold's model, bool of shape (rows,).

        Default: all rows that it does not hold out.
        """
        training: RowMask = (folds != fold).all(axis=1)
        return training

    def asks_for_groups(self) -> bool:
        """Whether it needs the competition's groups. A splitter around another one returns the inner one's value."""
        return self.needs_groups


class Sampler(Plugin):
    """Chooses the rows of an epoch and their order."""

    kind: ClassVar[str] = "sampler"

    def order(self, labels: Targets, rng: np.random.Generator) -> RowNumbers:
        """Returns indices into `labels` (N,) or (N, K), int64 of shape (rows of one epoch,), in training order."""
        raise NotImplementedError


class Augmenter(Plugin):
    """Turns a training image into a variant of itself."""

    kind: ClassVar[str] = "augmenter"

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        """Turns uint8 (height, width, channels) into uint8 (size, size, channels). Three channels are RGB.

        If `takes_floats` is true, it also turns float32, with white at 255, into float32.
        """
        raise NotImplementedError

    def takes_floats(self) -> bool:
        """Whether it takes float32 images, which a `data.pixel_type` of more than 8 bits gives. Default: no."""
        return False

    def mirrors(self) -> bool:
        """Whether it may mirror an image left to right: the value of its option `hflip`, if it has one."""
        return bool(getattr(self, "hflip", False))
