"""Images of more than 8 bits a channel, where the config declares them: values scaled as worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from kit.config.models import Data
from kit.images.cache import Geometry
from kit.images.reader import decode
from tests.drawn_images import encoded, refused

DEEP = Data(bit_depth=16)
TWELVE = Data(bit_depth=16, max_value=4095)


def coded(values: np.ndarray, ending: str) -> bytes:
    return bytes(cv2.imencode(ending, values)[1].tobytes())


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_a_value_becomes_its_share_of_white(ending: str) -> None:
    grey = np.array([[0, 257, 32768, 65535]], np.uint16)
    pixels = decode(coded(grey, ending), DEEP).pixels
    assert pixels.shape == (1, 4, 3)
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]  # 255 * v / 65535, rounded
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_colours_keep_their_order(ending: str) -> None:
    blue_green_red = np.zeros((2, 2, 3), np.uint16)
    blue_green_red[:, :, 2] = 65535
    assert decode(coded(blue_green_red, ending), DEEP).pixels[0, 0].tolist() == [255, 0, 0]


def test_twelve_bits_kept_in_sixteen_are_recognised_and_scaled_by_the_declared_white() -> None:
    content = coded(np.array([[0, 2048, 4095]], np.uint16), ".png")
    error = refused(content)
    assert error.code == "D11"
    assert "values up to 4095" in error.summary
    assert "data.bit_depth=16 data.max_value=4095" in error.summary
    assert decode(content, TWELVE).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_full_sixteen_bits_are_recognised_without_another_white() -> None:
    error = refused(coded(np.array([[0, 60000]], np.uint16), ".png"))
    assert error.summary == "16-bit PNG (values up to 60000: data.bit_depth=16)"


def test_what_is_beyond_white_is_white() -> None:
    assert decode(coded(np.array([[5000]], np.uint16), ".png"), TWELVE).pixels.max() == 255


def test_transparency_is_laid_on_the_declared_colour() -> None:
    pixels = np.zeros((1, 2, 4), np.uint16)
    pixels[0, :, :3], pixels[0, 0, 3], pixels[0, 1, 3] = 65535, 65535, 0
    image = decode(coded(pixels, ".png"), Data(bit_depth=16, alpha_fill="#204060"))
    assert image.pixels[0].tolist() == [[255, 255, 255], [32, 64, 96]]
    assert [note.code for note in image.repairs if note.code == "W08"] == ["W08"]


def test_floats_are_of_white_1_unless_another_is_declared() -> None:
    content = encoded(Image.fromarray(np.array([[0.0, 0.5, 1.0, 2.0]], np.float32)), "TIFF")
    assert decode(content, Data(bit_depth=32)).pixels[0, :, 0].tolist() == [0, 128, 255, 255]
    assert decode(content, Data(bit_depth=32, max_value=2.0)).pixels[0, :, 0].tolist() == [0, 64, 128, 255]
    assert refused(content, DEEP).code == "D12"
    spoilt = encoded(Image.fromarray(np.array([[0.0, np.nan]], np.float32)), "TIFF")
    assert "not finite" in refused(spoilt, Data(bit_depth=32)).summary


def test_a_declared_page_is_taken() -> None:
    first, second = (Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (10, 200))
    content = encoded(first, "TIFF", save_all=True, append_images=[second])
    assert "data.page=0 uses the first" in refused(content).summary
    assert decode(content, Data(page=0)).pixels.max() == 10
    assert decode(content, Data(page=1)).pixels.min() == 200
    assert refused(content, Data(page=2)).code == "D12"


def test_a_deep_page_is_taken_too() -> None:
    pages = [np.full((4, 4), value, np.uint16) for value in (257, 514)]
    content = bytes(cv2.imencodemulti(".tiff", pages)[1].tobytes())
    assert decode(content, Data(bit_depth=16, page=1)).pixels.max() == 2


def test_images_of_8_bits_stay_as_they_are() -> None:
    content = coded(np.full((3, 3, 3), 77, np.uint8), ".png")
    assert np.array_equal(decode(content, DEEP).pixels, decode(content, Data()).pixels)


@pytest.mark.parametrize("cut", [0.5, 0.9])
def test_a_cut_file_is_corrupt(cut: float) -> None:
    content = coded(np.random.default_rng(0).integers(0, 65536, (40, 40)).astype(np.uint16), ".png")
    assert refused(content[: int(len(content) * cut)], DEEP).code == "D05"


def test_the_cache_keeps_what_was_declared_apart() -> None:
    kinds = [Data(), DEEP, TWELVE, Data(page=0)]
    assert len({Geometry(64).folder(data) for data in kinds}) == 4
