"""Heavy's colour and hole, against other libraries and by hand; its geometry is light's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.plugins.augmenter.heavy import Heavy, chroma_matrix, square
from kit.plugins.augmenter.light import Light

PLAIN = {"saturation": 0, "hue": 0, "cutout_prob": 0}


def drawn(height: int = 48, width: int = 48) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred: np.ndarray = cv2.GaussianBlur(noise, (0, 0), 2)
    return blurred


def test_without_colour_and_hole_it_is_light_with_the_same_options() -> None:
    heavy = Heavy.from_options(PLAIN)
    light = Light(**{name: getattr(heavy, name) for name in Light.option_fields()})
    for number in range(5):
        assert np.array_equal(heavy(drawn(), 32, generator(number)), light(drawn(), 32, generator(number)))
    assert heavy.scale == (0.35, 1.0)


def test_no_change_of_colour_is_the_identity_and_grey_and_luma_stay() -> None:
    assert chroma_matrix(1, 0) == pytest.approx(np.eye(3), abs=1e-12)
    for saturation, hue in ((0.5, 0), (1.3, 20), (1, -170)):
        matrix = chroma_matrix(saturation, hue)
        assert matrix @ np.full(3, 77.0) == pytest.approx(np.full(3, 77.0))
        assert np.array([0.299, 0.587, 0.114]) @ matrix == pytest.approx([0.299, 0.587, 0.114])


@pytest.mark.parametrize("saturation", [0, 0.6, 1.4])
def test_saturation_is_a_mixture_with_grey(saturation: float) -> None:
    """ITU-R 601-2, as Pillow's ImageEnhance.Color and torchvision's adjust_saturation have it."""
    pixel = np.array([200.0, 80.0, 30.0])
    grey = 0.299 * 200 + 0.587 * 80 + 0.114 * 30
    assert chroma_matrix(saturation, 0) @ pixel == pytest.approx(grey + saturation * (pixel - grey))


def test_turns_of_the_hue_add_up_and_come_round() -> None:
    assert chroma_matrix(1, 25) @ chroma_matrix(1, 35) == pytest.approx(chroma_matrix(1, 60))
    assert np.linalg.matrix_power(chroma_matrix(1, 120), 3) == pytest.approx(np.eye(3))
    red_chroma = chroma_matrix(1, 180) @ np.array([255.0, 0, 0]) - 0.299 * 255
    assert red_chroma == pytest.approx(-(np.array([255.0, 0, 0]) - 0.299 * 255))  # the opposite colour


def test_the_hole_has_the_mean_colour_and_the_side_that_was_asked_for() -> None:
    still = {
        "scale": (1, 1),
        "ratio": (1, 1),
        "hflip": False,
        "translate": 0,
        "zoom": 0,
        "rotate": 0,
        "brightness": 0,
        "contrast": 0,
        "saturation": 0,
        "hue": 0,
    }
    heavy = Heavy.from_options({**still, "cutout_prob": 1, "cutout_size": (0.25, 0.25)})
    image = drawn()
    for number in range(10):
        output = heavy(image, 48, generator(number))
        changed = np.argwhere((output != image).any(axis=2))
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        assert bottom - top < 12
        assert right - left < 12
        assert np.abs(output[top : bottom + 1, left : right + 1] - image.mean(axis=(0, 1))).max() <= 1


def test_the_holes_centre_is_uniform_and_it_is_clipped_at_the_border() -> None:
    corners = np.array([square(40, 0.5, generator(n)) for n in range(500)])
    top, bottom, left, right = corners.T
    assert corners.min() == 0
    assert corners.max() == 40
    assert (bottom - top).max() == (right - left).max() == 20
    assert (bottom - top).min() == 10  # a centre on the border leaves half of it
    assert (bottom - top).mean() == pytest.approx(17.5, abs=0.5)  # 20 less 5 at either end of a quarter each


def test_half_of_the_images_have_a_hole() -> None:
    with_hole, without = (Heavy.from_options({"cutout_prob": share}) for share in (0.5, 0))
    image = drawn(16, 16)
    differ = sum(
        not np.array_equal(with_hole(image, 16, generator(n)), without(image, 16, generator(n)))
        for n in range(300)
    )
    assert 110 < differ < 190


def test_ranges_that_fall_are_refused() -> None:
    with pytest.raises(ConfigError, match="cutout_size must rise"):
        Heavy.open({"name": "heavy", "cutout_size": [0.5, 0.1]})
    with pytest.raises(ConfigError, match="scale must rise"):
        Heavy.open({"name": "heavy", "scale": [1.0, 0.5]})
