"""Retail is the published pipeline, and its options reach the transforms."""

from __future__ import annotations

import random
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.plugins.augmenter.retail import Retail

STILL: dict[str, Any] = {"hflip": 0, "compression_prob": 0, "affine_prob": 0, "cutout_prob": 0}


def drawn(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def test_it_gives_what_albumentations_gives_for_the_published_pipeline() -> None:
    """On a square image, where squashing it and cutting the random square out of it are the same."""
    image = drawn(48, 48)
    theirs = albumentations.Compose(
        [
            albumentations.SmallestMaxSize(32, area_for_downscale="image"),
            albumentations.RandomCrop(32, 32),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.ImageCompression(quality_range=(99, 100), p=0.5),
            albumentations.Affine(
                scale=(0.8, 1.2), translate_percent=(-0.2, 0.2), rotate=(-10, 10), keep_ratio=True, p=0.7
            ),
            albumentations.CoarseDropout((1, 1), (0.4, 0.4), (0.4, 0.4), p=0.5),
        ]
    )
    for number in range(8):
        rng = generator(number)
        theirs.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        assert np.array_equal(Retail()(image, 32, generator(number)), theirs(image=image)["image"])


def test_without_any_strength_a_square_is_cut_out_of_the_image() -> None:
    image = drawn(32, 50)
    made = Retail.from_options(STILL)(image, 32, generator(0))
    cuts = [image[:, left : left + 32] for left in range(19)]
    assert any(np.array_equal(made, cut) for cut in cuts)


def test_flip_alone_mirrors() -> None:
    image = drawn(32, 32)
    made = Retail.from_options({**STILL, "hflip": 1})(image, 32, generator(0))
    assert np.array_equal(made, image[:, ::-1])


def test_compression_is_what_cv2_does_at_that_quality() -> None:
    image = drawn(32, 32)
    made = Retail.from_options({**STILL, "compression_prob": 1, "quality": (20, 20)})(image, 32, generator(0))
    _, coded = cv2.imencode(
        ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 20]
    )  # red for blue, as the library does
    assert np.array_equal(made, cv2.imdecode(coded, cv2.IMREAD_UNCHANGED))
    assert not np.array_equal(made, image)


def test_the_hole_is_black_and_has_the_side_that_was_asked_for() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    for number in range(10):
        made = Retail.from_options({**STILL, "cutout_prob": 1, "cutout_size": 0.25})(
            image, 40, generator(number)
        )
        assert sorted(np.unique(made)) == [0, 200]
        assert (made == 0).all(axis=2).sum() == 100


def test_shift_scale_and_rotate_stay_within_their_limits() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(image, (50, 50), 4, (255, 255, 255), -1)
    moved = Retail.from_options({**STILL, "affine_prob": 1, "translate": 0.1, "zoom": 0, "rotate": 0})
    places = [np.argwhere(moved(image, 101, generator(n))[..., 0] > 127).mean(axis=0) - 50 for n in range(60)]
    assert np.abs(places).max() <= 10.5
    assert np.abs(places).max() > 8


def test_quality_that_falls_is_refused() -> None:
    with pytest.raises(ConfigError, match="quality must rise"):
        Retail.open({"name": "retail", "quality": [90, 60]})
