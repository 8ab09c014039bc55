"""Light's map and light, against other libraries and by hand."""

from __future__ import annotations

from typing import Any

import albumentations
import cv2
import numpy as np
import pytest

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.images.reader import center_crop
from kit.plugins.augmenter.flips import Flips
from kit.plugins.augmenter.light import Light, crop
from kit.plugins.augmenter.resize import Resize

STILL: dict[str, Any] = {
    "scale": (1, 1), "ratio": (1, 1), "hflip": False, "translate": 0, "zoom": 0, "rotate": 0, "brightness": 0,
    "contrast": 0,
}  # fmt: skip


def drawn(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred: np.ndarray = cv2.GaussianBlur(noise, (0, 0), 2)
    return blurred


class Extreme:
    """Stands for a generator whose every draw is the upper (or lower) end of its range."""

    def __init__(self, upper: bool) -> None:
        self.upper = upper

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | None = None) -> Any:
        value = high if self.upper else low
        return value if size is None else np.full(size, value, float)

    def random(self) -> float:
        return 0.999 if self.upper else 0.0


def test_without_any_strength_a_square_image_stays_as_it_is() -> None:
    image = drawn(48, 48)
    assert np.array_equal(Light(**STILL)(image, 48, generator(0)), image)


def test_flip_alone_mirrors() -> None:
    image = drawn(48, 48)
    output = Light(**{**STILL, "hflip": True})(image, 48, Extreme(upper=False))  # type: ignore[arg-type]
    assert np.array_equal(output, image[:, ::-1])


def test_half_of_the_images_are_mirrored() -> None:
    image = drawn(8, 8)
    light = Light(**{**STILL, "hflip": True})
    mirrored = sum(np.array_equal(light(image, 8, generator(n)), image[:, ::-1]) for n in range(400))
    assert 160 < mirrored < 240


@pytest.mark.parametrize("size", [24, 60])
def test_resizing_alone_is_what_cv2_does(size: int) -> None:
    image = drawn(48, 48)
    expected = cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA if size < 48 else cv2.INTER_LINEAR
    )
    output = Light(**STILL)(image, size, generator(0)).astype(int)
    inner = slice(2, -2)  # at the border the map reflects, and cv2.resize repeats
    assert np.abs(output - expected)[inner, inner].max() <= 3


def test_a_long_way_down_is_taken_by_area_so_nothing_aliases() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    output = Light(**STILL)(stripes, 40, generator(0))
    assert np.abs(output.astype(int) - 128).max() <= 2


def test_the_map_turns_about_the_middle_of_the_crop() -> None:
    light = Light(**{**STILL, "rotate": 90})
    matrix = light.matrix(40, 40, 40, Extreme(upper=True))  # type: ignore[arg-type]
    assert matrix @ [19.5, 19.5, 1] == pytest.approx([19.5, 19.5])
    corners = [(matrix @ [x, y, 1]).round(6).tolist() for x, y in ((0, 0), (39, 0))]
    assert corners == [[0, 39], [0, 0]]  # a quarter turn: the left column becomes the top row


def test_shift_and_zoom_are_shares_of_the_crop() -> None:
    light = Light(**{**STILL, "translate": 0.25, "zoom": 0.5})
    matrix = light.matrix(40, 40, 20, Extreme(upper=True))  # type: ignore[arg-type]
    assert matrix @ [9.5, 9.5, 1] == pytest.approx([29.5, 29.5])  # the middle, a quarter of 40 further
    assert matrix[0, 0] == pytest.approx(40 / 20 / 1.5)


@pytest.mark.parametrize("upper", [True, False])
def test_brightness_and_contrast_are_as_in_albumentations(upper: bool) -> None:
    sign = 1 if upper else -1
    light = Light(**{**STILL, "brightness": 0.2, "contrast": 0.3})
    image = drawn(32, 32)
    output = light(image, 32, Extreme(upper))  # type: ignore[arg-type]
    reference = albumentations.RandomBrightnessContrast(
        brightness_limit=(sign * 0.2, sign * 0.2), contrast_limit=(sign * 0.3, sign * 0.3), p=1
    )(image=image)["image"]
    assert np.abs(output.astype(int) - reference).max() <= 1


def test_crops_have_the_area_and_the_ratio_that_were_asked_for() -> None:
    boxes = [crop(200, 200, (0.3, 0.5), (0.8, 1.25), generator(n)) for n in range(500)]
    top, left, tall, wide = np.array(boxes).T
    area, ratio = tall * wide / 40_000, wide / tall
    assert 0.3 <= area.min() < 0.31
    assert 0.49 < area.max() <= 0.5
    assert area.mean() == pytest.approx(0.4, abs=0.01)
    assert 0.8 <= ratio.min() < 0.81
    assert 1.24 < ratio.max() <= 1.25
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.02)
    assert top.min() >= 0
    assert (top + tall).max() <= 200
    assert (left + wide).max() <= 200


def test_crops_of_long_images_keep_their_ratio_within_the_image() -> None:
    for n in range(200):
        top, left, tall, wide = crop(50, 400, (0.7, 1.0), (3 / 4, 4 / 3), generator(n))
        assert 3 / 4 - 1e-9 <= wide / tall <= 4 / 3 + 1e-9
        assert 0 <= top <= top + tall <= 50 + 1e-9
        assert 0 <= left <= left + wide <= 400


def test_ranges_that_fall_are_refused() -> None:
    with pytest.raises(ConfigError, match="scale must rise"):
        Light.open({"name": "light", "scale": [1.0, 0.5]})
    with pytest.raises(ConfigError, match="ratio must rise"):
        Light.open({"name": "light", "ratio": [0, 1]})


def test_resize_is_the_geometry_of_prediction() -> None:
    image = drawn(40, 60)
    assert np.array_equal(Resize(center_crop=0.8)(image, 32, generator(0)), center_crop(image, 32, 0.8))


def test_flips_gives_the_eight_forms_of_a_square_and_only_those() -> None:
    image = drawn(16, 16)
    eight = {np.rot90(base, k).tobytes() for base in (image, image[:, ::-1]) for k in range(4)}
    every = Flips(vertical=True, quarter_turns=True)
    assert {every(image, 16, generator(n)).tobytes() for n in range(200)} == eight
    plain = {Flips()(image, 16, generator(n)).tobytes() for n in range(50)}
    assert plain == {image.tobytes(), np.ascontiguousarray(image[:, ::-1]).tobytes()}
