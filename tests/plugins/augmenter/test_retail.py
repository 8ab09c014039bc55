"""Retail is the published pipeline, and its options reach the transforms."""

from __future__ import annotations

import io
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest
from PIL import Image

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.images.recompress import compress
from kit.plugins.augmenter._warp import warp
from kit.plugins.augmenter.retail import Retail, affine

STILL: dict[str, Any] = {"hflip": 0, "compression_prob": 0, "affine_prob": 0, "cutout_prob": 0}


def drawn(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)
    blurred: np.ndarray = cv2.GaussianBlur(noise, (0, 0), 2)
    return blurred


def only(transform: Any, image: np.ndarray) -> np.ndarray:
    output: np.ndarray = albumentations.Compose([transform])(image=image)["image"]
    return output


@pytest.mark.parametrize("turn", [-10.0, 0.0, 7.0])
@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.2])
@pytest.mark.parametrize(("across", "down"), [(0.0, 0.0), (0.2, -0.1)])
def test_the_affine_map_is_albumentations(turn: float, zoom: float, across: float, down: float) -> None:
    image = drawn(60, 60)
    transform = albumentations.Affine(
        scale=(zoom, zoom),
        rotate=(turn, turn),
        translate_percent={"x": (across, across), "y": (down, down)},
        keep_ratio=True,
        p=1,
    )
    ours = warp(image, affine(60, turn, zoom, 60 * across, 60 * down), 60, 0)
    assert np.abs(ours.astype(int) - only(transform, image)).max() <= 1


@pytest.mark.parametrize("quality", [20, 60, 99])
def test_compression_is_pillow_s_or_nearly(quality: int) -> None:
    image, stream = drawn(64, 64), io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    assert np.abs(compress(image, quality).astype(int) - np.asarray(Image.open(stream))).mean() < 1


def test_the_steps_are_those_of_the_published_pipeline_as_often() -> None:
    """A square that is as large as the network's: what is left of each step shows which were drawn."""
    image = np.full((50, 50, 3), 200, np.uint8)
    image[:, :20] = 90
    mirrored = held = moved = 0
    for number in range(400):
        output = Retail(cutout_prob=0)(image, 50, generator(number))
        moved += bool((output == 0).any())
        mirrored += bool(output[25, 8:12].mean() > output[25, -12:-8].mean())
        held += bool((Retail(affine_prob=0)(image, 50, generator(number)) == 0).sum() == 3 * 20 * 20)
    assert 170 <= mirrored <= 230
    assert 170 <= held <= 230
    assert 240 <= moved <= 300  # 0.7 of them, of which a few show no corner


def test_without_any_strength_a_square_is_cut_out_of_the_image() -> None:
    image = drawn(32, 50)
    output = Retail.from_options(STILL)(image, 32, generator(0))
    cuts = [image[:, left : left + 32] for left in range(19)]
    assert any(np.array_equal(output, cut) for cut in cuts)


def test_flip_alone_mirrors() -> None:
    image = drawn(32, 32)
    output = Retail.from_options({**STILL, "hflip": 1})(image, 32, generator(0))
    assert np.array_equal(output, image[:, ::-1])


def test_the_hole_is_black_and_has_the_side_that_was_asked_for() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    for number in range(10):
        output = Retail.from_options({**STILL, "cutout_prob": 1, "cutout_size": 0.25})(
            image, 40, generator(number)
        )
        assert sorted(np.unique(output)) == [0, 200]
        assert (output == 0).all(axis=2).sum() == 100


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
