"""The tiles with most tissue: equal to a grid by hand, whole or part by part, and white where there are few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError

from kit.config.models import Data, TileChoice
from kit.core.progress import finish
from kit.errors import DataError
from kit.images.cache import Geometry, fill_cache
from kit.images.reader import ImageSource
from kit.images.tiles import join_streamed, join_tiles

RNG = np.random.default_rng(0)


def slide(height: int, width: int, channels: int = 3) -> np.ndarray:
    """A white ground with darker tissue of noise."""
    image = np.full((height, width, channels), 255, np.uint8)
    for _ in range(4):
        top, left = RNG.integers(0, height - 5), RNG.integers(0, width - 5)
        part = image[top : top + height // 3, left : left + width // 3]
        part[:] = RNG.integers(0, 200, part.shape, dtype=np.uint8)
    return image


def by_hand(image: np.ndarray, count: int, size: int, rank: str = "dark") -> np.ndarray:
    """The winner's way: pad with white, cut, sort by the sum, join."""
    down, right = (-image.shape[0]) % size, (-image.shape[1]) % size
    pads = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
    padded = np.pad(image, pads, constant_values=255)
    rows, columns = padded.shape[0] // size, padded.shape[1] // size
    tiles = [
        padded[row * size : (row + 1) * size, column * size : (column + 1) * size]
        for row in range(rows)
        for column in range(columns)
    ]
    if rank == "dark":
        tiles.sort(key=lambda tile: int(tile.sum()))
    else:
        tiles.sort(key=lambda tile: -int(np.ptp(tile, axis=2).astype(int).sum()))
    white = np.full((size, size, image.shape[2]), 255, np.uint8)
    tiles = [*tiles[:count], *[white] * (count - len(tiles))]
    side = round(count**0.5)
    return np.concatenate(
        [np.concatenate(tiles[row * side : (row + 1) * side], axis=1) for row in range(side)]
    )


@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 37), (7, 90), (5, 5)])
@pytest.mark.parametrize(("count", "size"), [(1, 8), (4, 16), (36, 8), (9, 100)])
@pytest.mark.parametrize("rank", ["dark", "colourful"])
def test_tiles_equal_a_grid_by_hand(height: int, width: int, count: int, size: int, rank: Any) -> None:
    image = slide(height, width) if min(height, width) > 5 else RNG.integers(0, 9, (5, 5, 3), dtype=np.uint8)
    tiles = join_tiles(image, TileChoice(count=count, size=size, rank=rank))
    assert np.array_equal(tiles, by_hand(image, count, size, rank))


def test_bands_of_any_height_give_the_same_picture() -> None:
    image, tiles = slide(70, 50), TileChoice(count=9, size=12)
    for step in (1, 5, 12, 33):
        bands = [image[top : top + step] for top in range(0, 70, step)]
        assert np.array_equal(join_streamed(bands, 70, 50, tiles), by_hand(image, 9, 12))
    with pytest.raises(DataError, match="has 35 rows of pixels, not 70") as caught:
        join_streamed([image[:35]], 70, 50, tiles)
    assert caught.value.code == "D15"


def test_tissue_on_a_black_ground_is_ranked_by_colour() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[20:30, 10:20] = (180, 60, 120)
    tiles = join_tiles(image, TileChoice(count=1, size=10, rank="colourful"))
    assert np.array_equal(tiles, image[20:30, 10:20])
    with pytest.raises(DataError, match="no colours") as caught:
        join_tiles(image[:, :, :1], TileChoice(count=1, size=10, rank="colourful"))
    assert caught.value.code == "D15"


def test_the_count_is_a_square_number() -> None:
    with pytest.raises(ValidationError, match="count must be a square number, such as 36, not 40"):
        TileChoice(count=40)


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tiles": {"tile": (16, 32)},
    "deflate": {"tile": (32, 16), "compression": "zlib"},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "planes": {"planarconfig": "separate"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 1])
def test_a_level_of_a_pyramid_is_cut_part_by_part(tmp_path: Path, kind: str, level: int) -> None:
    levels = [slide(150, 130), slide(75, 65)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for each in levels:
            stored = each.transpose(2, 0, 1) if kind == "planes" else each
            file.write(stored, photometric="rgb", metadata=None, **KINDS[kind])
    data = Data.model_validate(
        {"reader": {"name": "tiff", "level": level}, "tiles": {"count": 16, "size": 20}}
    )
    source = ImageSource.open(data)
    loaded = source.load(tmp_path / "a.tif")
    assert loaded.is_tiled == (kind != "planes")
    assert np.array_equal(source.decode(loaded).pixels, by_hand(levels[level], 16, 20))


def test_a_slide_of_another_depth_is_scaled_before_it_is_cut(tmp_path: Path) -> None:
    image = slide(60, 50).astype(np.uint16) * 16
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    reader = {"name": "tiff", "range": [0, 4080]}
    source = ImageSource.open(Data.model_validate({"reader": reader, "tiles": {"count": 4, "size": 20}}))
    assert np.array_equal(
        source.read(tmp_path / "a.tif").pixels, by_hand((image // 16).astype(np.uint8), 4, 20)
    )


def test_the_limit_of_pixels_holds_for_slides(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", slide(60, 50), photometric="rgb", tile=(16, 16))
    data = {"reader": "tiff", "max_pixels": 2000, "tiles": {"count": 4, "size": 20}}
    with pytest.raises(DataError, match="has 3,000 pixels, more than the limit 2,000") as caught:
        ImageSource.open(Data.model_validate(data)).read(tmp_path / "a.tif")
    assert caught.value.code == "D10"


def test_the_cache_holds_pictures_of_tiles_apart_from_whole_images(tmp_path: Path) -> None:
    image = slide(60, 50)
    Image.fromarray(image).save(tmp_path / "a.png")
    tiles, geometry = {"count": 4, "size": 10}, Geometry(20)
    whole, cut = Data(), Data.model_validate({"tiles": tiles})
    pictures = {}
    for name, data in (("whole", whole), ("cut", cut)):
        filled = finish(fill_cache(tmp_path / "cache", [tmp_path / "a.png"], geometry, data))
        pictures[name] = filled.cache[0]
    assert np.array_equal(pictures["cut"], by_hand(image, 4, 10))
    assert pictures["whole"].shape == (24, 20, 3)
    assert len(list((tmp_path / "cache").glob("*/index.npz"))) == 2
