"""Each operation of RandAugment against torchvision's; the crop, the flip and the order of operations."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from kit.core.randomness import generator
from kit.device.torch_internals import prepare_torchvision
from kit.plugins.augmenter import _randaugment_operations as operations
from kit.plugins.augmenter import randaugment
from kit.plugins.augmenter._randaugment_operations import COLOURS, OPERATIONS, PLANE, plane_map
from kit.plugins.augmenter._warp import warp
from kit.plugins.augmenter.heavy import Heavy
from kit.plugins.augmenter.light import Light
from kit.plugins.augmenter.randaugment import Randaugment, _move, _square
from kit.plugins.augmenter.retail import Retail

prepare_torchvision()
from torchvision.transforms import v2  # noqa: E402 it needs the line before

THEIRS = {
    "shear_x": "ShearX", "shear_y": "ShearY", "shift_x": "TranslateX", "shift_y": "TranslateY", "rotate": "Rotate",
    "brightness": "Brightness", "colour": "Color", "contrast": "Contrast", "sharpness": "Sharpness",
    "posterize": "Posterize", "solarize": "Solarize", "autocontrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip


def drawn(height: int, width: int, blur: float = 2.0) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), blur)
    image_values: np.ndarray = cv2.normalize(blurred, None, 10, 240, cv2.NORM_MINMAX)
    return image_values


def theirs(name: str, magnitude: int, sign: int, image: np.ndarray) -> np.ndarray:
    """torchvision's operation on the image; a sign of -1 is the other direction."""
    policy = v2.RandAugment(1, magnitude, interpolation=v2.InterpolationMode.BILINEAR, fill=[128] * 3)
    values, is_signed = policy._AUGMENTATION_SPACE[THEIRS[name]]
    ranges = values(31, *image.shape[:2])
    value = 0.0 if ranges is None else float(ranges[magnitude]) * (sign if is_signed else 1)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    output = policy._apply_image_or_video_transform(
        tensor, THEIRS[name], value, interpolation=v2.InterpolationMode.BILINEAR, fill=policy._fill
    )
    image_after: np.ndarray = output.permute(1, 2, 0).numpy()
    return image_after


def gap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    gaps: np.ndarray = np.abs(one.astype(int) - other.astype(int))
    return gaps


def test_the_operations_are_torchvision_s() -> None:
    assert {THEIRS[name] for name in OPERATIONS if name != "identity"} | {"Identity"} == set(
        v2.RandAugment._AUGMENTATION_SPACE
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("magnitude", [0, 9, 17, 30])
@pytest.mark.parametrize("name", COLOURS)
def test_a_change_of_colour_is_torchvision_s(name: str, magnitude: int, sign: int) -> None:
    for image in (drawn(40, 40), drawn(40, 40, 0.1), np.full((40, 40, 3), 77, np.uint8)):
        before = image.copy()
        difference = gap(COLOURS[name](image, sign * magnitude / 30), theirs(name, magnitude, sign, image))
        by_table = name in ("brightness", "posterize", "solarize", "autocontrast", "equalize")
        assert difference.max() <= (0 if by_table else 1), name
        assert np.array_equal(image, before)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("magnitude", [0, 9, 30])
@pytest.mark.parametrize("name", PLANE)
def test_a_move_in_the_plane_is_torchvision_s(name: str, magnitude: int, sign: int) -> None:
    image = drawn(48, 48, 3.0)
    moves = [(name, sign * magnitude / 30)]
    # at the image's edge torchvision counts what is beyond twice
    share = _move(np.full_like(image, 255), 48, moves, 0)
    whole = (share == 0) | (share == 255)
    difference = gap(_move(image, 48, moves, 128), theirs(name, magnitude, sign, image))[whole]
    assert whole.mean() > 0.9
    # OpenCV places a point to a 32nd of a pixel
    assert difference.max() <= 6
    assert difference.mean() < 0.5


def test_moves_that_follow_each_other_are_one_map() -> None:
    image = drawn(64, 64, 4.0)
    moves = [("rotate", 0.3), ("shear_x", -0.2), ("shift_y", 0.1)]
    one_by_one = image
    for move in moves:
        one_by_one = _move(one_by_one, 64, [move], 128)
    together = _move(image, 64, moves, 128)
    inside = (slice(16, 48), slice(16, 48))
    assert gap(together, one_by_one)[inside].mean() < 1
    by_hand = plane_map("rotate", 0.3, 64) @ plane_map("shear_x", -0.2, 64) @ plane_map("shift_y", 0.1, 64)
    shifted = plane_map("shear_x", -0.2, 64) @ [10.5, 20.5 - int(0.1 * 64 * 150 / 331), 1]
    assert np.allclose(by_hand @ [10.5, 20.5, 1], plane_map("rotate", 0.3, 64) @ shifted)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [(50, 70), (130, 128)])
def test_a_crop_that_is_moved_shows_what_one_that_is_not_does(mirror: bool, shape: tuple[int, int]) -> None:
    """A turn by nothing goes the other way, by a map; only the border, which blends with the fill, may differ."""
    cut = drawn(*shape, 5.0)
    plain = _square(cut, 40, mirror, [], 128)
    moved = _square(cut, 40, mirror, [("rotate", 0.0)], 128)
    assert gap(plain, moved)[1:-1, 1:-1].max() <= 3
    reference = v2.functional.resize(torch.from_numpy(cut).permute(2, 0, 1), [40, 40], antialias=True)
    expected = reference.permute(1, 2, 0).numpy()
    assert gap(plain, expected[:, ::-1] if mirror else expected).mean() < 1.5


def test_each_operation_is_drawn_as_often_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_names: Counter[tuple[str, int]] = Counter()
    image = drawn(16, 16)

    def noted(name: str) -> Any:
        def change(image: np.ndarray, share: float) -> np.ndarray:
            assert abs(share) == pytest.approx(0.3)
            drawn_names[name, int(np.sign(share))] += 1
            return image

        return change

    monkeypatch.setattr(operations, "COLOURS", {name: noted(name) for name in COLOURS})
    for number in range(700):
        Randaugment()(image, 16, generator(number))
    assert set(drawn_names) == {(name, sign) for name in COLOURS for sign in (1, -1)}
    # 1,400 draws of 14 operations in two directions: 50 each
    assert all(28 <= count <= 75 for count in drawn_names.values())


def test_without_operations_it_is_a_crop_and_a_flip_and_more_of_them_change_more() -> None:
    image = drawn(40, 40)
    none, few, many = (Randaugment(operations=n, scale=(1, 1), hflip=0) for n in (0, 1, 6))
    mirrored = Randaugment(operations=0, scale=(1, 1), hflip=1)
    changed = []
    for plugin in (few, many):
        changed.append(np.mean([gap(plugin(image, 40, generator(n)), image).mean() for n in range(12)]))
    # a square of the whole area is the image, whatever the ratio: it is made to fit
    squares = [number for number in range(60) if none(image, 40, generator(number)).shape == (40, 40, 3)]
    assert len(squares) == 60
    for number in range(5):
        plain = none(image, 40, generator(number))
        assert np.array_equal(mirrored(image, 40, generator(number)), plain[:, ::-1])
    assert 0 < changed[0] < changed[1]


def test_the_image_that_is_given_stays_as_it_was() -> None:
    image = drawn(32, 32)
    before = image.copy()
    for number in range(60):
        output = Randaugment(operations=3)(image, 32, generator(number))
        output[:] = 0
        assert np.array_equal(image, before)


@pytest.mark.parametrize("fill", [None, 128])
def test_four_channels_are_warped_to_the_bits_of_three(fill: int | None) -> None:
    rng = np.random.default_rng(0)
    border = cv2.BORDER_REFLECT_101 if fill is None else cv2.BORDER_CONSTANT
    for number in range(200):
        height, width, size = (int(side) for side in rng.integers(8, 90, 3))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        matrix = np.column_stack([rng.normal(0, 1.2, (2, 2)), rng.uniform(-9, 60, 2)])
        expected = cv2.warpAffine(
            image if number % 2 else image[::-1, 2:],
            matrix,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=(fill or 0,) * 3,
        )
        assert np.array_equal(warp(image if number % 2 else image[::-1, 2:], matrix, size, fill), expected)


def test_the_options_have_limits() -> None:
    with pytest.raises(ValueError, match="scale must rise within 0 to 1"):
        Randaugment(scale=(0.9, 0.3))
    assert randaugment.RATIO == (3 / 4, 4 / 3)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_images_of_other_channels_are_augmented_channel_by_channel(channels: int) -> None:
    image = np.concatenate([drawn(40, 52), drawn(40, 52)[::-1]], axis=2)[:, :, :channels]
    before = image.copy()
    for number in range(40):
        for plugin in (Randaugment(operations=3), Retail(quality=(50, 50)), Light(), Heavy()):
            output = plugin(image, 32, generator(number))
            assert output.shape == (32, 32, channels)
            assert output.dtype == np.uint8
    assert np.array_equal(image, before)
    for name in ("autocontrast", "equalize", "posterize", "solarize", "brightness", "sharpness"):
        whole = COLOURS[name](image, 0.3)
        for channel in range(channels):
            alone = COLOURS[name](np.ascontiguousarray(image[:, :, channel : channel + 1]), 0.3)
            assert np.array_equal(whole[:, :, channel], alone[:, :, 0])
