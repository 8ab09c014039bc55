"""Bags of images in batches: side by side along the channels, filled up with zeros, some of large bags."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kit.config.models import Data
from kit.core.progress import finish
from kit.engine.bag_batches import ImageBags
from kit.engine.batches import PlainBatches, TrainBatches
from kit.images.cache import Cache, Geometry, fill_cache
from kit.plugins.augmenter.resize import Resize
from kit.plugins.sampler.shuffled import Shuffled

# rows 0 and 3 and 4 are one bag in the order 4, 0, 3; rows 1 and 5 another; row 2 has no image
ROWS = (np.array([4, 0, 3]), np.array([1, 5]))
NUMBER, FIRST = np.array([0, 1, -1, 0, 0, 1]), np.array([0, 1, 2, 0, 0, 1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Image n has the grey 10 + n."""
    root = tmp_path_factory.mktemp("bags")
    for row in range(6):
        cv2.imwrite(str(root / f"{row}.png"), np.full((8, 8, 3), 10 + row, np.uint8))
    return finish(
        fill_cache(root / "cache", [root / f"{row}.png" for row in range(6)], Geometry(8), Data())
    ).cache


def greys(images: object) -> list[list[int]]:
    """The grey of each image of each bag."""
    pixels = np.asarray(images)
    return [bag.reshape(-1, 3, 4, 4)[:, 0, 0, 0].tolist() for bag in pixels]


def test_a_bag_has_its_images_in_their_order_and_zeros_behind_them(cache: Cache) -> None:
    bags = ImageBags(ROWS, NUMBER, FIRST, 3)
    (batch,) = PlainBatches(cache, bags.first_rows(np.array([0, 1, 3, 5])), 4, bags=bags)
    assert batch.rows.tolist() == [0, 1]
    assert batch.images.shape == (2, 9, 4, 4)
    assert greys(batch.images) == [[14, 10, 13], [11, 15, 0]]
    assert bags.spread(np.array([0, 1, 3, 5]), np.array([7.0, 8.0])).tolist() == [7, 8, 7, 8]


def test_prediction_sees_images_of_a_large_bag_at_even_distances(cache: Cache) -> None:
    (batch,) = PlainBatches(cache, np.array([0, 1]), 4, bags=ImageBags(ROWS, NUMBER, FIRST, 2))
    assert greys(batch.images) == [[14, 13], [11, 15]]
    (batch,) = PlainBatches(cache, np.array([0]), 4, bags=ImageBags(ROWS, NUMBER, FIRST, 1))
    assert greys(batch.images) == [[14]]


def test_an_epoch_draws_some_images_of_a_large_bag_again_and_in_their_order(cache: Cache) -> None:
    bags = ImageBags(ROWS, NUMBER, FIRST, 2)
    batches = TrainBatches(
        cache,
        np.array([1, 0, 0, 1, 1, 0]),
        np.array([0, 1, 3, 4, 5]),
        Shuffled(),
        Resize(),
        4,
        2,
        bags=bags,
        workers=0,
    )
    seen = set()
    for number in range(12):
        for _ in range(2):
            (batch,) = batches.epoch(number)
            at = batch.rows.tolist().index(0)
            assert batch.labels[at] == 1
            drawn = tuple(greys(batch.images)[at])
            assert drawn in {(14, 10), (14, 13), (10, 13)}
        seen.add(drawn)
    assert len(seen) == 3
    again = [greys(next(iter(batches.epoch(3))).images) for _ in range(2)]
    assert again[0] == again[1]
