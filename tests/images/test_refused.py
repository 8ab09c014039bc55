"""What no image can be made of is refused, with a code and the reason; what is whole is not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from kit.config.models import Data
from kit.images.reader import decode
from tests.drawn_images import DATA, codes, drawn, encoded, png, refused


@pytest.mark.parametrize("cut", [0.999, 0.9, 0.5, 0.3])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_cut_jpeg_is_truncated(cut: float, options: dict[str, Any]) -> None:
    content = encoded(drawn(), "JPEG", **options)
    error = refused(content[: int(len(content) * cut)])
    assert (error.code, "truncated JPEG" in error.summary) == ("D03", True)


def test_a_cut_jpeg_with_an_end_mark_put_on_is_truncated() -> None:
    content = encoded(drawn(), "JPEG")
    assert refused(content[: len(content) // 2] + b"\xff\xd9").code == "D03"


def test_a_cut_cmyk_jpeg_is_truncated() -> None:
    content = encoded(Image.fromarray(drawn()).convert("CMYK"), "JPEG")
    assert refused(content[: len(content) // 2]).code == "D03"


@pytest.mark.parametrize("lacking", [1, 2])
def test_a_jpeg_lacking_only_its_end_mark_is_accepted_with_a_note(lacking: int) -> None:
    content = encoded(drawn(), "JPEG")
    result = decode(content[:-lacking], DATA)
    assert np.array_equal(result.pixels, decode(content, DATA).pixels)
    assert [note.code for note in result.repairs] == ["D04"]


def test_what_follows_the_end_mark_does_not_matter() -> None:
    assert codes(encoded(drawn(), "JPEG") + b"\0" * 500) == []


def test_a_whole_jpeg_that_ends_in_plain_grey_is_accepted() -> None:
    assert codes(encoded(np.full((32, 32, 3), 128, np.uint8), "JPEG")) == []


def test_a_damaged_png_is_corrupt() -> None:
    content = encoded(drawn(), "PNG")
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (content[: len(content) // 2], content[:30], content[:8], bytes(flipped)):
        error = refused(damaged)
        assert (error.code, "corrupt PNG" in error.summary) == ("D05", True)


@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_with_too_few_rows_is_corrupt(interlaced: int) -> None:
    rows = (b"\0" + b"\x05" * 30) * 5
    assert refused(png(10, 10, rows, interlaced)).code == "D05"


def test_black_and_interlaced_pngs_are_whole() -> None:
    assert (decode(png(10, 10, bytes(31 * 10)), DATA).pixels == 0).all()
    raw = b"".join((b"\0" + b"\x07" * 3 * wide) * tall for tall, wide in _adam7(10, 10))
    assert (decode(png(10, 10, raw, 1), DATA).pixels == 7).all()


def _adam7(height: int, width: int) -> list[tuple[int, int]]:
    grid = np.array(
        [
            [1, 6, 4, 6, 2, 6, 4, 6], [7] * 8, [5, 6, 5, 6, 5, 6, 5, 6], [7] * 8,
            [3, 6, 4, 6, 3, 6, 4, 6], [7] * 8, [5, 6, 5, 6, 5, 6, 5, 6], [7] * 8,
        ]
    )  # fmt: skip
    which = np.tile(grid, (height // 8 + 1, width // 8 + 1))[:height, :width]
    passes = [np.argwhere(which == number) for number in range(1, 8)]
    return [(len(set(at[:, 0])), len(set(at[:, 1]))) for at in passes if len(at)]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"\n<!DOCTYPE html><p>404", "D06", "looks like HTML"),
        (b"<html><body>", "D06", "looks like HTML"),
        (b"hello, world", "D06", "not an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "D07", "git lfs pull"),
        (b'<?xml version="1.0"?>\n<svg width="1">', "D13", "SVG"),
        (b"%PDF-1.7", "D13", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "D13", "HEIC"),
        (b"BM", "D05", "corrupt BMP"),
        (b"II*\0", "D05", "corrupt TIFF"),
        (b"GIF89a" + b"x" * 20, "D05", "corrupt GIF"),
        (b"\xff\xd8\xff\xe0", "D03", "truncated JPEG"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, code: str, words: str) -> None:
    error = refused(content)
    assert error.code == code
    assert words in error.summary


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_pixels_are_counted_before_they_are_decoded(side: int) -> None:
    error = refused(png(side, side, b""))
    assert error.code == "D10"
    assert (
        error.summary
        == {
            12_000: "claims 144 Mpx, more than the limit 100 Mpx (data.max_pixels)",
            60_000: "claims 3.6 Gpx, more than the limit 100 Mpx (data.max_pixels)",
        }[side]
    )


def test_the_pixel_limit_is_the_config_s() -> None:
    content = encoded(drawn(96, 128), "JPEG")
    assert decode(content, Data(max_pixels=96 * 128)).pixels.shape == (96, 128, 3)
    assert refused(content, Data(max_pixels=96 * 128 - 1)).code == "D10"


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_sixteen_bits_are_refused_with_the_largest_value(ending: str, shape: tuple[int, ...]) -> None:
    deep = np.full(shape, 4095, np.uint16)
    error = refused(cv2.imencode(ending, deep)[1].tobytes())
    assert error.code == "D11"
    assert "values up to 4095" in error.summary


def test_float_and_multi_page_tiffs_are_refused() -> None:
    floats = encoded(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF")
    pages = encoded(drawn(), "TIFF", save_all=True, append_images=[Image.fromarray(drawn())])
    assert [refused(content).code for content in (floats, pages)] == ["D12", "D12"]
