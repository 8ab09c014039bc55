"""Every image is read the same way, and nothing is invented, clipped or dropped in silence."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from kit.config import Data
from kit.errors import ConfigError, DataError, KitWarning
from kit.images import centre, decode, padded, read_bytes, read_image, resized

DATA = Data()


def drawn(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def encoded(image: np.ndarray | Image.Image, form: str, **options: Any) -> bytes:
    buffer = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, form, **options)
    return buffer.getvalue()


def png(width: int, height: int, raw: bytes, interlaced: int = 0) -> bytes:
    """An RGB PNG whose data is `raw`, whatever its header claims."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def refused(content: bytes, data: Data = DATA) -> DataError:
    with pytest.raises(DataError) as caught:
        decode(content, data)
    return caught.value


def codes(content: bytes) -> list[str]:
    return [note.code for note in decode(content, DATA).notes]


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
    made = decode(encoded(smooth, form), DATA).pixels
    assert np.abs(made.astype(int) - smooth).mean() < 12


def test_a_cmyk_jpeg_is_seen_in_rgb() -> None:
    content = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    red, green, blue = decode(content, DATA).pixels[8, 8]
    assert red > 240
    assert max(green, blue) < 15


def test_grey_is_the_same_in_three_channels() -> None:
    grey = drawn()[:, :, 0]
    for form in ("PNG", "JPEG"):
        made = decode(encoded(grey, form), DATA).pixels
        assert made.shape == (96, 128, 3)
        assert (made == made[:, :, :1]).all()


def test_one_bit_images_are_black_and_white() -> None:
    bits = np.random.default_rng(0).random((20, 30)) < 0.5
    made = decode(encoded(Image.fromarray(bits), "PNG"), DATA).pixels
    assert np.array_equal(made[:, :, 1], bits * np.uint8(255))


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
    made = decode(encoded(drawn(24, 40), "JPEG", exif=block), DATA).pixels
    assert made.shape == (40, 24, 3)


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
    image = Image.new(mode, (20, 20), (0,) * len(mode))  # black, and nothing of it is to be seen
    assert (decode(encoded(image, "PNG"), DATA).pixels == 255).all()
    grey = decode(encoded(image, "PNG"), Data(alpha_fill="#808080"))
    assert (grey.pixels == 128).all()
    assert [note.code for note in grey.notes] == ["W08"]


def test_half_transparent_pixels_are_mixed() -> None:
    image = Image.new("RGBA", (9, 9), (200, 0, 0, 51))  # 51 of 255 is a fifth
    assert decode(encoded(image, "PNG"), DATA).pixels[4, 4].tolist() == [244, 204, 204]


def test_palettes_may_be_transparent() -> None:
    image = Image.new("P", (10, 10), 1)
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.putpixel((0, 0), 0)
    made = decode(encoded(image, "PNG", transparency=0), DATA).pixels
    assert made[0, 0].tolist() == [255, 255, 255]
    assert made[5, 5].tolist() == [200, 100, 50]


def test_an_opaque_alpha_channel_is_no_matter() -> None:
    assert codes(encoded(Image.fromarray(drawn()).convert("RGBA"), "PNG")) == []


def test_a_colour_that_does_not_exist_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"data\.alpha_fill"):
        decode(encoded(Image.new("RGBA", (9, 9)), "PNG"), Data(alpha_fill="whitish"))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1)])
def test_thin_images_are_read_and_noted(height: int, width: int) -> None:
    made = decode(encoded(drawn(height, width), "PNG"), DATA)
    assert made.pixels.shape == (height, width, 3)
    assert [note.code for note in made.notes] == ["W09"]


def test_a_large_jpeg_may_come_smaller_but_never_below_what_is_needed() -> None:
    content = encoded(cv2.resize(drawn(), (640, 480)), "JPEG", quality=95)
    assert [decode(content, DATA, least).pixels.shape[0] for least in (0, 60, 61, 240, 241)] == [
        480, 60, 120, 240, 480,
    ]  # fmt: skip
    small = decode(content, DATA, 120).pixels
    expected = cv2.resize(decode(content, DATA).pixels, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 2


# --------------------------------------------------------------------------------- what is refused


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
    made = decode(content[:-lacking], DATA)
    assert np.array_equal(made.pixels, decode(content, DATA).pixels)
    assert [note.code for note in made.notes] == ["D04"]


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
    found = [np.argwhere(which == number) for number in range(1, 8)]
    return [(len(set(at[:, 0])), len(set(at[:, 1]))) for at in found if len(at)]


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
            12_000: "claims 144 Mpx, limit 100 Mpx (data.max_pixels)",
            60_000: "claims 3.6 Gpx, limit 100 Mpx (data.max_pixels)",
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


# ------------------------------------------------------------------------------------------- files


def test_files_that_cannot_be_read_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    for name, code, words in (
        ("empty.jpg", "D01", "empty file"), ("none.jpg", "D02", "no image"),
        ("folder.jpg", "D08", "is a directory"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=f"{name}: {words}") as caught:
            read_image(tmp_path / name, DATA)
        assert caught.value.code == code

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(DataError, match="permission denied") as caught:
        read_bytes(tmp_path / "empty.jpg")
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
    assert np.array_equal(centre(image, 40), image[:, 10:50])
    assert np.array_equal(centre(image.swapaxes(0, 1), 40), image[:, 10:50].swapaxes(0, 1))
    assert np.array_equal(centre(image, 20, crop_share=0.5), image[10:30, 20:40])


def test_shrinking_by_a_whole_number_is_the_mean_of_the_pixels() -> None:
    image = drawn(40, 40)
    mean = image.reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(centre(image, 10) - mean).max() <= 0.5


def test_the_centre_is_never_a_view() -> None:
    image = drawn(32, 32)
    assert not np.shares_memory(centre(image, 32), image)


def test_growing_keeps_a_plain_image_plain() -> None:
    assert (centre(np.full((1, 9, 3), 77, np.uint8), 24) == 77).all()
    assert resized(drawn(5, 7), 50, 70).shape == (50, 70, 3)


def test_padding_is_black_and_even() -> None:
    made = padded(np.full((2, 4, 3), 9, np.uint8), 4)
    assert made[:, 0, 0].tolist() == [0, 9, 9, 0]
