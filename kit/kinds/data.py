"""Kinds of data: which rows a fold holds out, which an epoch sees, and how an image varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kit.kinds.plugin import Plugin

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers, Pixels, RowMask, RowNumbers, Targets
    from kit.data.table import Table


class Splitter(Plugin):
    """Says which rows each fold holds out."""

    kind: ClassVar[str] = "splitter"
    needs_groups: ClassVar[bool] = False
    holds_out: ClassVar[bool] = True  # False: every row is -1, and one model trains on all

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        """Fold numbers, int64 of shape (rows, repeats). -1 means never held out. Rows are sorted by id.

        Numbers run from 0 over all repeats, so that each number names one model.
        """
        raise NotImplementedError

    def train_rows(self, folds: FoldNumbers, fold: int) -> RowMask:
        """The training rows of a fold's model, bool of shape (rows,). Default: all rows that it does not hold out."""
        training: RowMask = (folds != fold).all(axis=1)
        return training

    def asks_for_groups(self) -> bool:
        """Whether it cannot do without the competition's groups; a splitter around another one asks that one."""
        return self.needs_groups


class Sampler(Plugin):
    """Says which rows an epoch sees, in which order."""

    kind: ClassVar[str] = "sampler"

    def order(self, labels: Targets, rng: np.random.Generator) -> RowNumbers:
        """Indices into `labels` (N,) or (N, K), int64 of shape (rows of one epoch,), in training order."""
        raise NotImplementedError


class Augmenter(Plugin):
    """Turns a training image into a variant of itself."""

    kind: ClassVar[str] = "augmenter"

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        """uint8 (height, width, channels) to uint8 (size, size, channels); three channels are RGB.

        If `takes_floats` is true also float32, with white at 255, to float32.
        """
        raise NotImplementedError

    def takes_floats(self) -> bool:
        """Whether it takes images of float32, which a `data.pixel_type` of more than 8 bits gives. Default: no."""
        return False

    def mirrors(self) -> bool:
        """Whether it may show an image mirrored left to right: by its option `hflip`, if it has one."""
        return bool(getattr(self, "hflip", False))
