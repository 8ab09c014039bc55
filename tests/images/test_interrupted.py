"""Interrupted copies are refused or truly complete, and whole files are never refused.

A copy that stops leaves a file cut off, or one of full length whose tail is zeros.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import PIL
import pytest
from packaging.version import Version
from PIL import Image

from kit.config.models import Data
from kit.errors import DataError
from kit.images import jpeg, jpeg_scans
from kit.images.reader import decode
from tests.drawn_images import DATA, codes, drawn, encoded, png, refused

TAILS = 12  # random lengths of each image
STUFFED = 300  # images of which some end in FF


def photo(seed: int) -> Image.Image:
    """A smooth scene with noise in it, as photos are."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(40, 90, 2))
    smooth = cv2.resize(drawn(5, 6, seed), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, 6, smooth.shape)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def plain(seed: int) -> Image.Image:
    """A disc on one colour: most blocks are alike, so that data may end in zeros by right."""
    pixels = np.full((60, 80, 3), seed * 40 % 256, np.uint8)
    return Image.fromarray(cv2.circle(pixels, (30, 20), 14, (200, 30, 90), -1))


def see_through(image: Image.Image) -> Image.Image:
    mask = Image.fromarray(
        np.linspace(0, 255, image.width * image.height).reshape(image.size[::-1]).astype(np.uint8)
    )
    image.putalpha(mask)
    return image


def accepted(content: bytes) -> tuple[np.ndarray | None, str]:
    """The pixels, or None and the code of the error."""
    try:
        return decode(content, DATA).pixels, ""
    except DataError as error:
        return None, error.code


def saved(form: str, mode: str = "RGB", **options: Any) -> Callable[[Image.Image], bytes]:
    return lambda image: encoded(image.convert(mode), form, **options)


def rgba(form: str, **options: Any) -> Callable[[Image.Image], bytes]:
    return lambda image: encoded(see_through(image.copy()), form, **options)


def by_cv2(ending: str, *flags: int) -> Callable[[Image.Image], bytes]:
    return lambda image: bytes(cv2.imencode(ending, np.asarray(image), flags)[1].tobytes())


def two_pages(form: str) -> Callable[[Image.Image], bytes]:
    return lambda image: encoded(image, form, save_all=True, append_images=[image.rotate(90)])


KINDS = {
    "JPEG": saved("JPEG"),
    "JPEG, optimised": saved("JPEG", optimize=True),
    "JPEG, finest": saved("JPEG", quality=100, subsampling=0),
    "JPEG, 4:2:0 and restart markers": saved("JPEG", subsampling=2, restart_marker_blocks=3),
    "JPEG, a restart marker a row": saved("JPEG", restart_marker_rows=1),
    "JPEG, progressive": saved("JPEG", progressive=True),
    "JPEG, progressive with restart markers": saved("JPEG", progressive=True, restart_marker_rows=1),
    "JPEG, grey": saved("JPEG", "L"),
    "JPEG, CMYK": saved("JPEG", "CMYK"),
    "JPEG, CMYK, progressive": saved("JPEG", "CMYK", progressive=True),
    "JPEG of cv2": by_cv2(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
    "JPEG with a second picture": two_pages("MPO"),
    "PNG": saved("PNG"),
    "PNG, stored": saved("PNG", compress_level=0),
    "PNG, palette": saved("PNG", "P", optimize=True),
    "PNG, one bit": saved("PNG", "1"),
    "PNG, transparent": rgba("PNG"),
    "PNG, animated": two_pages("PNG"),
    "PNG of cv2": by_cv2(".png"),
    "WebP": saved("WEBP"),
    "WebP, finest": saved("WEBP", quality=100),
    "WebP, lossless": saved("WEBP", lossless=True),
    "WebP, transparent": rgba("WEBP"),
    "WebP, animated": two_pages("WEBP"),
    "GIF": saved("GIF", "P"),
    "GIF, animated": two_pages("GIF"),
    "AVIF": saved("AVIF", speed=9),
    "AVIF, transparent": rgba("AVIF", speed=9),
    "TIFF, LZW": saved("TIFF", compression="tiff_lzw"),
    "TIFF, deflate": saved("TIFF", compression="tiff_adobe_deflate"),
    "TIFF, PackBits": saved("TIFF", compression="packbits"),
    "TIFF, JPEG": saved("TIFF", compression="jpeg"),
}
if Version(PIL.__version__) >= Version("12"):  # older wheels have no encoder
    KINDS["TIFF, Zstandard"] = saved("TIFF", compression="zstd")
# WebP's and LZW's data have no end mark and no checksum, so that the last few bytes alone tell nothing.
TOLD_FROM = {"WebP": 48, "TIFF, LZW": 8, "AVIF": 2}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("capfd")  # libtiff talks
def test_an_interrupted_copy_is_refused_or_has_all_its_pixels(kind: str) -> None:
    least = max((length for name, length in TOLD_FROM.items() if kind.startswith(name)), default=1)
    refusals: Counter[str] = Counter()
    for seed, draw in enumerate((photo, photo, plain)):
        whole = KINDS[kind](draw(seed))
        expected, rng = decode(whole, DATA).pixels, random.Random(f"{kind} {seed}")
        lengths = {1, 2, 3, 4, 8, *(rng.randrange(1, len(whole)) for _ in range(TAILS))}
        for length in sorted(lengths):
            for tail in (b"", b"\0" * length, b"\xff" * length):
                if tail and length < least:
                    continue
                copy = whole[:-length] + tail
                pixels, code = accepted(copy)
                refusals[code] += pixels is None and copy != whole
                assert pixels is None or np.array_equal(pixels, expected), (
                    f"{length} bytes became {tail[:1]!r}"
                )
    # a few bytes that are left may look like another format (D06), or a TIFF may lose its list of pages (D13)
    promised = "D03" if kind.startswith("JPEG") else "D05"
    others = {"D06", "D13"} if kind.startswith("TIFF") else {"D06"}
    assert {code for code, count in refusals.items() if count} <= {promised, *others}
    assert refusals[promised] > TAILS


@pytest.mark.parametrize("kind", ["JPEG", "JPEG, grey"])
@pytest.mark.usefixtures("capfd")
def test_a_photo_that_lacks_200_bytes_of_its_middle_is_refused(kind: str) -> None:
    for seed in range(20):
        whole = KINDS[kind](photo(seed))
        middle = len(whole) // 2
        assert accepted(whole[:middle] + whole[middle + 200 :])[1] == "D03", seed


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_accepted_without_a_note_about_its_end(kind: str) -> None:
    for seed in range(6):
        for image in (photo(seed), plain(seed), Image.new("RGB", (37, 29), (seed * 50, 0, 0))):
            assert {note.code for note in decode(KINDS[kind](image), DATA).repairs} <= {"W08"}


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_may_end_in_zeros_by_right(quality: int, lossless: bool) -> None:
    for side in (16, 90, 400):
        content = encoded(Image.new("RGB", (side, side)), "WEBP", quality=quality, lossless=lossless)
        assert codes(content) == []
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[:40] = drawn(40, 300)
    assert codes(encoded(pixels, "WEBP", quality=quality, lossless=lossless)) == []


@pytest.mark.parametrize("kind", [name for name in KINDS if name.startswith(("JPEG", "PNG", "WebP"))])
def test_what_is_appended_to_an_image_does_not_matter(kind: str) -> None:
    content = KINDS[kind](photo(3))
    for more in (b"\0" * 4096, random.Random(0).randbytes(5000), b"SEFH", encoded(drawn(30, 30), "JPEG")):
        image = decode(content + more, DATA)
        assert np.array_equal(image.pixels, decode(content, DATA).pixels)
        assert {note.code for note in image.repairs} <= {"W08"}


def test_the_tail_of_zeros_is_named() -> None:
    content = encoded(drawn(), "JPEG", quality=95)
    assert refused(content[:-2000] + bytes(2000)).summary == (
        "truncated JPEG: its last 2,000 bytes are zero, as after an interrupted copy"
    )
    content = encoded(drawn(), "PNG")
    assert "'IDAT' is wrong; its last 2,000 bytes are zero" in refused(content[:-2000] + bytes(2000)).summary
    assert "all its bytes are zero" in refused(bytes(5000)).summary


def test_scans_that_are_missing_altogether_are_noticed() -> None:
    content = encoded(drawn(), "JPEG", progressive=True)
    scan = jpeg.header(content).scan
    starts = [at for at in range(scan + 1, len(content)) if content[at : at + 2] == b"\xff\xda"]
    tables = [content.rfind(b"\xff\xc4", 0, at) for at in starts]
    assert len(starts) > 5
    for end in tables:
        assert not jpeg_scans.is_whole(content[:end], scan)
        assert refused(content[:end]).code == "D03"


@pytest.mark.parametrize("last", [b"", b"\xff", b"\0", b"\0\0", b"\0" * 500])
def test_data_that_end_in_a_stuffed_byte_lose_nothing(last: bytes) -> None:
    """A last data byte of FF is followed by 00, which is no tail of zeros."""
    noise = np.random.default_rng(7).integers(0, 256, (STUFFED, 8, 8), dtype=np.uint8)
    has_stuffed_end = 0
    for pixels in noise:
        content = encoded(pixels, "JPEG", quality=100)
        if content[-4:-2] == b"\xff\x00":
            has_stuffed_end += 1
            image = decode(content[:-2] + last, DATA)
            assert "D04" in [note.code for note in image.repairs]
            assert np.array_equal(image.pixels, decode(content, DATA).pixels)
    assert has_stuffed_end


def test_a_phones_trailer_does_not_hide_that_the_photo_is_cut() -> None:
    photo_bytes = encoded(drawn(), "JPEG")
    trailer = random.Random(1).randbytes(4000)
    assert codes(photo_bytes + trailer) == []
    cut = photo_bytes[: len(photo_bytes) // 2]
    assert refused(cut + bytes(len(photo_bytes) - len(cut)) + bytes(4000)).code == "D03"


def test_a_thumbnail_in_the_header_is_not_the_image() -> None:
    thumbnail = encoded(drawn(30, 40), "JPEG")
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 1, 0, 0) + thumbnail
    content = encoded(drawn(), "JPEG", exif=block)
    assert codes(content) == []
    behind = content.index(thumbnail) + len(thumbnail)
    assert refused(content[:behind]).code == "D03"
    assert refused(content[:behind] + bytes(len(content) - behind)).code == "D03"


def test_a_wrong_checksum_is_noticed_though_the_data_inflate() -> None:
    content = png(10, 10, bytes(31 * 10))
    at = content.index(b"IDAT") + 4
    size = int.from_bytes(content[at - 8 : at - 4], "big")
    other = zlib.compress(b"\0" + b"\x07" * 30 + bytes(31 * 9), 0)
    assert len(other) != size  # stored, with the old chunk's checksum behind it
    changed = content[: at - 8] + struct.pack(">I", len(other)) + b"IDAT" + other + content[at + size :]
    error = refused(changed)
    assert error.code == "D05"
    assert "checksum" in error.summary
    with Image.open(BytesIO(changed)) as image:
        image.load()  # Pillow takes it


def test_a_png_needs_its_last_chunk() -> None:
    assert "IEND" in refused(png(10, 10, bytes(31 * 10))[:-12]).summary


def test_zeros_that_may_be_black_are_a_note() -> None:
    """Pixels that are not compressed hold nothing that tells black from what was never written."""
    photo_pixels = np.maximum(drawn(96, 128), 1)
    for form in ("BMP", "PPM", "TIFF"):
        content = encoded(photo_pixels, form)
        assert codes(content) == []
        assert codes(content[:20480] + bytes(len(content) - 20480)) == ["W28"]
        assert codes(content[:4096] + bytes(len(content) - 4096)) == ["W28"]
        assert codes(content[:-1000] + bytes(1000)) == []
    assert refused(encoded(photo_pixels, "BMP")[:-1000]).code == "D05"


def test_a_tiff_of_one_deflated_part_is_looked_at_to_its_end() -> None:
    """Here the tags come first, so that a tail of zeros lies in the data alone."""
    pixels = np.asarray(photo(0))
    height, width = pixels.shape[:2]
    data = zlib.compress(pixels.tobytes())

    def tiff(body: bytes) -> bytes:
        tags = [
            (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 134), (259, 3, 1, 8), (262, 3, 1, 2),
            (273, 4, 1, 140), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(body)), (284, 3, 1, 1),
        ]  # fmt: skip
        entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
        return head.ljust(134, b"\0") + struct.pack("<HHH", 8, 8, 8) + body

    assert np.array_equal(decode(tiff(data), Data()).pixels, pixels)
    for length in (4, 50, 2000):
        assert refused(tiff(data[:-length] + bytes(length))).code == "D05"
