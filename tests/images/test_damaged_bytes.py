"""Whatever becomes of a file's bytes, an image or an error in kit's words comes out of them."""

from __future__ import annotations

import random
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kit.config.models import Data
from kit.errors import DataError
from kit.images.containers import measure
from kit.images.reader import decode
from kit.stages.discovery.recipes import image_sizes

SMALL = Data(max_pixels=100_000)
ROUNDS = 300
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def encoded(form: str, mode: str = "RGB", **options: Any) -> bytes:
    content = BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(content, form, **options)
    return content.getvalue()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, lost or added, most of them where the header is."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 2, 5, 20])):
        at = rng.randrange(min(len(data), rng.choice([60, 200, len(data)])))
        change = rng.random()
        if change < 0.7:
            data[at] = rng.randrange(256)
        elif change < 0.85:
            del data[at + 1 : at + rng.randrange(2, 9)]
        else:
            data[at:at] = rng.randbytes(4)
    return bytes(data)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "1"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("WEBP", "RGB"),
        ("PPM", "RGB"),
        ("AVIF", "RGB"),
        ("AVIF", "RGBA"),
        ("WEBP", "RGBA"),
        ("TIFF", "P"),
        ("TIFF", "F"),
    ],
)
@pytest.mark.usefixtures("capfd")
def test_damage_gives_an_image_or_an_error_of_its_own(form: str, mode: str) -> None:
    whole, rng = encoded(form, mode), random.Random(f"{form} {mode}")
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about tags
        for _ in range(ROUNDS):
            try:
                pixels = decode(damaged(whole, rng), SMALL).pixels
            except DataError:
                refused += 1
            else:
                assert pixels.dtype == np.uint8
                assert pixels.shape[2:] == (3,)
    assert refused > ROUNDS / 20, "hardly anything was damaged"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
@pytest.mark.filterwarnings("ignore")  # of Pillow, about tags
def test_a_damaged_header_is_measured_or_is_an_error_of_its_own(form: str, tmp_path: Path) -> None:
    whole, rng = encoded(form), random.Random(form)
    path = tmp_path / "x"
    path.write_bytes(whole)
    assert measure(path) == (30, 40, form)
    errors = 0
    for number in range(60):
        at = number * len(whole) // 60
        path.write_bytes(damaged(whole, rng) if number % 2 else whole[:at] + bytes(len(whole) - at))
        try:
            measure(path)
        except DataError:
            errors += 1
    assert errors
    assert [min(each) for each in image_sizes([path, tmp_path / "none", tmp_path])] in ([], [30])


def test_a_tiff_whose_next_page_is_damaged_is_corrupt() -> None:
    whole = encoded("TIFF")
    first = int.from_bytes(whole[4:8], "little")
    entries = int.from_bytes(whole[first : first + 2], "little")
    link = first + 2 + 12 * entries  # where the next page's place stands; an empty page follows
    content = whole[:link] + len(whole).to_bytes(4, "little") + whole[link + 4 :] + bytes(6)
    with pytest.raises(DataError, match="corrupt TIFF") as caught:
        decode(content, SMALL)
    assert caught.value.code == "D05"
