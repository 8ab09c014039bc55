"""Which bands of a TIFF are colour, transparency or neither, as TIFF 6.0's ExtraSamples says."""

from __future__ import annotations

import struct

import numpy as np
import PIL
import pytest
from packaging.version import Version
from PIL import Image

from kit.config.models import Data
from kit.images.reader import decode
from tests.drawn_images import DATA, drawn, refused

RGB = drawn(6, 5)
FOURTH = np.full((6, 5, 1), 51, np.uint8)  # a fifth of 255


def tiff(bands: np.ndarray, extra: list[int] | None, photometric: int = 2) -> bytes:
    """An uncompressed TIFF of these bands, uint8 or uint16, with ExtraSamples where it is not None."""
    height, width, count = bands.shape
    bits = 8 * bands.dtype.itemsize
    tags: list[tuple[int, int, list[int]]] = [
        (256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * count), (259, 3, [1]), (262, 3, [photometric]),
        (273, 4, [0]), (277, 3, [count]), (278, 3, [height]), (279, 4, [bands.nbytes]), (284, 3, [1]),
    ]  # fmt: skip
    if extra is not None:
        tags.append((338, 3, extra))
    start = 8 + 2 + 12 * len(tags) + 4
    more, entries = b"", b""
    for name, kind, values in tags:
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            entries += struct.pack("<HHII", name, kind, len(values), start + len(more))
            more += packed
        else:
            entries += struct.pack("<HHI", name, kind, len(values)) + packed.ljust(4, b"\0")
    data_at = start + len(more)
    entries = entries.replace(struct.pack("<HHII", 273, 4, 1, 0), struct.pack("<HHII", 273, 4, 1, data_at))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + more
    return head + bands.tobytes()


def test_a_fourth_band_is_transparency_only_if_the_file_says_so() -> None:
    four = np.dstack([RGB, FOURTH])
    for extra in (None, [0], [999]):
        result = decode(tiff(four, extra), DATA)
        assert np.array_equal(result.pixels, RGB)
        assert [note.code for note in result.repairs if note.code != "W09"] == ["W29"]
    result = decode(tiff(four, [2]), DATA)
    expected = Image.alpha_composite(Image.new("RGBA", (5, 6), "white"), Image.fromarray(four))
    assert np.array_equal(result.pixels, np.asarray(expected.convert("RGB")))
    assert [note.code for note in result.repairs if note.code != "W09"] == ["W08"]


def test_premultiplied_colours_are_not_multiplied_again() -> None:
    colours = np.minimum(RGB, 51)  # no more than their transparency
    for bands in (np.dstack([colours, FOURTH]), np.dstack([colours, FOURTH]).astype(np.uint16) * 257):
        pixels = decode(tiff(bands, [1]), Data(bit_depth=16)).pixels
        expected = colours.astype(int) + 204  # and four fifths of white
        assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("extra", [None, [0]])
def test_near_infrared_of_16_bits_is_left_out(extra: list[int] | None) -> None:
    four = np.dstack([RGB, np.zeros((6, 5, 1), np.uint8)]).astype(np.uint16) * 257
    result = decode(tiff(four, extra), Data(bit_depth=16))
    assert np.array_equal(result.pixels, RGB)
    assert "W29" in [note.code for note in result.repairs]


def test_transparency_of_16_bits_is_kept() -> None:
    four = np.dstack([RGB, FOURTH]).astype(np.uint16) * 257
    pixels = decode(tiff(four, [2]), Data(bit_depth=16)).pixels
    assert np.abs(pixels.astype(float) - (RGB * 0.2 + 204)).max() <= 1


def test_more_bands_than_pillow_opens_are_named_with_the_way_out() -> None:
    for count, kind, photometric in (
        (13, np.uint16, 1),
        (4, np.uint8, 1),
        (4, np.uint16, 1),
        (7, np.uint8, 2),
    ):
        bands = np.ones((4, 4, count), kind)
        error = refused(tiff(bands, None, photometric))
        assert error.code == "D13"
        assert f"{count} bands of {bands.itemsize * 8} bits (save three" in error.summary


@pytest.mark.skipif(Version(PIL.__version__) < Version("12"), reason="older Pillow does not read it: D13")
def test_two_bands_of_grey_and_something_are_grey() -> None:
    two = np.dstack([RGB[:, :, 0], FOURTH])
    result = decode(tiff(two, [0], photometric=1), DATA)
    assert np.array_equal(result.pixels[:, :, 1], RGB[:, :, 0])
    assert "W29" in [note.code for note in result.repairs]
