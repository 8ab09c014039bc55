"""Every image is read the same way, and nothing is invented, clipped or dropped in silence."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from kit.config.models import Data
from kit.core.image_files import read_image_bytes
from kit.errors import ConfigError, DataError, KitWarning
from kit.images.reader import center_crop, decode, pad_to_square, read_image, resize
from tests.drawn_images import DATA, codes, drawn, encoded

# ------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_pixels_that_were_written(form: str) -> None:
    assert np.array_equal(decode(encoded(drawn(), form), DATA).pixels, drawn())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 40}])
def test_a_jpeg_has_the_pixels_that_pillow_gives(options: dict[str, Any]) -> None:
    content = encoded(drawn(), "JPEG", **options)
    expected = np.asarray(Image.open(BytesIO(content)))
    assert np.abs(decode(content, DATA).pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("form", ["WEBP", "GIF", "AVIF"])
def test_other_formats_come_near_what_was_written(form: str) -> None:
    smooth = cv2.resize(drawn(6, 8), (128, 96))
    pixels = decode(encoded(smooth, form), DATA).pixels
    assert np.abs(pixels.astype(int) - smooth).mean() < 12


def test_a_cmyk_jpeg_is_seen_in_rgb() -> None:
    content = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    red, green, blue = decode(content, DATA).pixels[8, 8]
    assert red > 240
    assert max(green, blue) < 15


def test_grey_is_the_same_in_three_channels() -> None:
    grey = drawn()[:, :, 0]
    for form in ("PNG", "JPEG"):
        pixels = decode(encoded(grey, form), DATA).pixels
        assert pixels.shape == (96, 128, 3)
        assert (pixels == pixels[:, :, :1]).all()


def test_one_bit_images_are_black_and_white() -> None:
    bits = np.random.default_rng(0).random((20, 30)) < 0.5
    pixels = decode(encoded(Image.fromarray(bits), "PNG"), DATA).pixels
    assert np.array_equal(pixels[:, :, 1], bits * np.uint8(255))


def test_the_content_decides_not_the_ending(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(), "PNG"))
    assert np.array_equal(read_image(tmp_path / "a.jpg", DATA), drawn())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_is_turned_upright(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(drawn(24, 40), form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(content))))
    assert np.array_equal(decode(content, DATA).pixels, expected)


def test_a_big_endian_orientation_is_read_too() -> None:
    block = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    pixels = decode(encoded(drawn(24, 40), "JPEG", exif=block), DATA).pixels
    assert pixels.shape == (40, 24, 3)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "letter"), [(3, "H"), (4, "I"), (8, "h"), (9, "i")])
def test_an_orientation_of_any_whole_number_type_is_read(order: str, kind: int, letter: str) -> None:
    value = struct.pack(order + letter, 6).ljust(4, b"\0")
    start = b"II*\0" if order == "<" else b"MM\0*"
    block = b"Exif\0\0" + start + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)
    content = encoded(drawn(24, 40), "JPEG", exif=block)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(content))))
    assert expected.shape == (40, 24, 3)
    assert np.array_equal(decode(content, DATA).pixels, expected)
    assert codes(content) == []


@pytest.mark.parametrize(
    "stray", [b"\0", b"\0\0", b"\x12\x34\x56", b"\xff", b"\xff\xff\xff", b"\xff\0", b"x" * 300]
)
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_stray_bytes_between_a_jpegs_segments_are_skipped(stray: bytes, options: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(drawn(24, 40), "JPEG", exif=exif, **options)
    expected = decode(content, DATA).pixels
    starts, at = [], 2
    while content[at + 1] != 0xDA:
        starts.append(at)
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    assert len(starts) > 4
    for start in starts[1:]:  # decoders want FF after the first marker
        result = decode(content[:start] + stray + content[start:], DATA)
        assert np.array_equal(result.pixels, expected)
        assert result.repairs == ()


@pytest.mark.parametrize(
    "block",
    [b"II*\0\xff\xff\xff\xff", b"nonsense", b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, 99)],
)
def test_a_broken_exif_block_is_noted_and_taken_as_upright(block: bytes) -> None:
    content = encoded(drawn(24, 40), "JPEG", exif=b"Exif\0\0" + block)
    assert codes(content) == ["W07"]
    assert decode(content, DATA).pixels.shape == (24, 40, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_show_the_fill_colour(mode: str) -> None:
    image = Image.new(mode, (20, 20), (0,) * len(mode))  # black, and one pixel of it is to be seen
    image.putpixel((3, 2), (*(0,) * (len(mode) - 1), 255))
    seen = np.zeros((20, 20), bool)
    seen[2, 3] = True
    white = decode(encoded(image, "PNG"), DATA).pixels
    assert ((white == 255).all(axis=2) == ~seen).all()
    grey = decode(encoded(image, "PNG"), Data(alpha_fill="#808080"))
    assert ((grey.pixels == 128).all(axis=2) == ~seen).all()
    assert [note.code for note in grey.repairs] == ["W08"]


def test_half_transparent_pixels_are_mixed() -> None:
    image = Image.new("RGBA", (9, 9), (200, 0, 0, 51))  # 51 of 255 is a fifth
    assert decode(encoded(image, "PNG"), DATA).pixels[4, 4].tolist() == [244, 204, 204]


def test_palettes_may_be_transparent() -> None:
    image = Image.new("P", (10, 10), 1)
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.putpixel((0, 0), 0)
    pixels = decode(encoded(image, "PNG", transparency=0), DATA).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[5, 5].tolist() == [200, 100, 50]


def test_an_opaque_alpha_channel_is_no_matter() -> None:
    assert codes(encoded(Image.fromarray(drawn()).convert("RGBA"), "PNG")) == []


def test_a_colour_that_does_not_exist_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"data\.alpha_fill"):
        decode(encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 9)), "PNG"), Data(alpha_fill="whitish"))


@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("WEBP", "RGBA"), ("TIFF", "RGBA")]
)
def test_an_image_that_is_transparent_everywhere_is_refused(form: str, mode: str) -> None:
    """It would be all white, and so would each such image: an export that lost its fourth band looks like this."""
    image = Image.fromarray(drawn()).convert(mode)
    image.putalpha(0)
    content = encoded(image, form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    with pytest.raises(DataError, match=r"data\.alpha_fill=none") as caught:
        decode(content, DATA)
    assert caught.value.code == "D14"
    result = decode(content, Data(alpha_fill="none"))
    assert np.array_equal(result.pixels, np.asarray(image.convert("RGB")))
    assert result.repairs == ()


def test_transparency_of_16_bits_that_is_0_everywhere_is_refused_too() -> None:
    pixels = np.full((9, 9, 4), 65535, np.uint16)
    pixels[:, :, 3] = 0
    content = cv2.imencode(".png", pixels)[1].tobytes()
    with pytest.raises(DataError) as caught:
        decode(content, Data(bit_depth=16))
    assert caught.value.code == "D14"
    assert (decode(content, Data(bit_depth=16, alpha_fill="none")).pixels == 255).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1)])
def test_thin_images_are_read_and_noted(height: int, width: int) -> None:
    result = decode(encoded(drawn(height, width), "PNG"), DATA)
    assert result.pixels.shape == (height, width, 3)
    assert [note.code for note in result.repairs] == ["W09"]


def test_a_large_jpeg_may_come_smaller_but_never_below_what_is_needed() -> None:
    content = encoded(cv2.resize(drawn(), (640, 480)), "JPEG", quality=95)
    assert [decode(content, DATA, least).pixels.shape[0] for least in (0, 60, 61, 240, 241)] == [
        480,
        60,
        120,
        240,
        480,
    ]
    small = decode(content, DATA, 120).pixels
    expected = cv2.resize(decode(content, DATA).pixels, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 2


# ------------------------------------------------------------------------------------------- files


def test_files_that_cannot_be_read_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    for name, code, words in (
        ("empty.jpg", "D01", "empty file"),
        ("none.jpg", "D02", "no image"),
        ("folder.jpg", "D08", "is a directory"),
    ):
        with pytest.raises(DataError, match=f"{name}: {words}") as caught:
            read_image(tmp_path / name, DATA)
        assert caught.value.code == code

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(DataError, match="permission denied") as caught:
        read_image_bytes(tmp_path / "empty.jpg")
    assert caught.value.code == "D09"


def test_reading_one_file_warns_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(), "JPEG")[:-2])
    with pytest.warns(KitWarning, match=r"D04 .*a\.jpg"):
        read_image(tmp_path / "a.jpg", DATA)
    (tmp_path / "b.jpg").write_bytes(encoded(drawn(), "JPEG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(tmp_path / "b.jpg", DATA)


# ---------------------------------------------------------------------------------------- geometry


def test_the_centre_is_the_middle_square() -> None:
    image = drawn(40, 60)
    assert np.array_equal(center_crop(image, 40), image[:, 10:50])
    assert np.array_equal(center_crop(image.swapaxes(0, 1), 40), image[:, 10:50].swapaxes(0, 1))
    assert np.array_equal(center_crop(image, 20, crop_share=0.5), image[10:30, 20:40])


def test_shrinking_by_a_whole_number_is_the_mean_of_the_pixels() -> None:
    image = drawn(40, 40)
    mean = image.reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(center_crop(image, 10) - mean).max() <= 0.5


def test_the_centre_is_never_a_view() -> None:
    image = drawn(32, 32)
    assert not np.shares_memory(center_crop(image, 32), image)


def test_growing_keeps_a_plain_image_plain() -> None:
    assert (center_crop(np.full((1, 9, 3), 77, np.uint8), 24) == 77).all()
    assert resize(drawn(5, 7), 50, 70).shape == (50, 70, 3)


def test_padding_is_black_and_even() -> None:
    pixels = pad_to_square(np.full((2, 4, 3), 9, np.uint8), 4)
    assert pixels[:, 0, 0].tolist() == [0, 9, 9, 0]
