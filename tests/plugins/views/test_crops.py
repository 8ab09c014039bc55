"""Crops as torchvision cuts them, and grids that cover the image."""

from __future__ import annotations

import pytest
import torch

from kit.device import torch_internals
from kit.kinds import Views
from kit.model.predict import open_views
from kit.plugins.views._crops import grid_crops

torch_internals.prepare_torchvision()
from torchvision.transforms.functional import (  # noqa: E402 - it must be prepared first
    InterpolationMode,
    five_crop,
    hflip,
    resize,
    ten_crop,
)

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def resized(crop: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = resize(crop, [32, 32], InterpolationMode.BILINEAR, antialias=True)
    return output


def test_five_crops_are_torchvisions() -> None:
    shown = [view(IMAGES) for view in open_views(Views.open({"name": "five_crop", "share": 0.75}), 32)]
    wanted = [IMAGES, *map(resized, five_crop(IMAGES, [24, 24]))]
    assert len(shown) == 6
    for crop, expected in zip(shown, wanted, strict=True):
        torch.testing.assert_close(crop, expected)


def test_ten_crops_are_torchvisions_and_the_image_mirrored() -> None:
    shown = [view(IMAGES) for view in open_views(Views.open({"name": "ten_crop", "share": 0.75}), 32)]
    wanted = [IMAGES, hflip(IMAGES), *map(resized, ten_crop(IMAGES, [24, 24]))]
    assert len(shown) == 12
    for expected in wanted:
        assert any(torch.allclose(crop, expected, atol=1e-6) for crop in shown)


@pytest.mark.parametrize(("count", "overlap"), [(2, 0.0), (2, 0.25), (4, 0.5)])
def test_tiles_cover_the_image_and_overlap_as_asked(count: int, overlap: float) -> None:
    _, *tiles = grid_crops(count, overlap)
    assert len(tiles) == count**2
    last = tiles[-1]
    assert last[0] + last[2] == pytest.approx(1)
    first, second = tiles[0], tiles[1]
    assert (first[1] + first[2] - second[1]) / first[2] == pytest.approx(overlap)
    covered = torch.zeros(64, 64, dtype=torch.bool)
    for down, right, share in tiles:
        top, left, side = round(64 * down), round(64 * right), round(64 * share)
        covered[top : top + side, left : left + side] = True
    assert covered.all()


def test_tiles_without_overlap_are_quarters() -> None:
    spec = {"name": "tiles", "count": 2, "overlap": 0.0}
    shown = [view(IMAGES) for view in open_views(Views.open(spec), 32)]
    torch.testing.assert_close(shown[2], resized(IMAGES[:, :, :16, 16:]))
