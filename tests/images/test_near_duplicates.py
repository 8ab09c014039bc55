"""Near-duplicates: what people would call the same picture is found, other pictures are not, and chains make groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.config.models import Data
from kit.core.progress import finish
from kit.data.folds import connected_components
from kit.images.cache import Geometry, fill_cache
from kit.images.near_duplicates import (
    Thumbnails,
    compute_thumbnails,
    find_near_duplicates,
    phash,
    write_groups,
)


def scene(seed: int, side: int = 96) -> np.ndarray:
    """A picture of a few coloured shapes on a gradient, uint8 RGB."""
    rng = np.random.default_rng(seed)
    across = np.linspace(0, 200, side)[None, :, None] * rng.random(3) + rng.integers(0, 50, 3)
    image = np.ascontiguousarray(np.broadcast_to(across, (side, side, 3)).astype(np.uint8))
    for _ in range(6):
        centre = tuple(int(value) for value in rng.integers(0, side, 2))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.circle(image, centre, int(rng.integers(8, 24)), colour, -1)
    return image


CHANGES = {
    "jpeg": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
    "smaller": lambda image: cv2.resize(image, (60, 60), interpolation=cv2.INTER_AREA),
    "brighter": lambda image: np.clip(image.astype(int) * 1.15 + 8, 0, 255).astype(np.uint8),
    "noise": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 6, image.shape), 0, 255).astype(
        np.uint8
    ),
    "border": lambda image: image[2:-2, 2:-2],
}


def seen(folder: Path, images: list[np.ndarray]) -> Thumbnails:
    paths = [folder / f"{number:03d}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    return finish(compute_thumbnails(finish(fill_cache(folder / "cache", paths, Geometry(64), Data())).cache))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_copy_is_near_and_other_pictures_are_not(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    originals = [scene(seed) for seed in range(20)]
    pairs = find_near_duplicates(seen(tmp_path, [*originals, *(change(image) for image in originals)]))
    wanted = {(row, row + 20) for row in range(20)}
    near_pairs = {tuple(pair) for pair in pairs.tolist()}
    assert near_pairs <= wanted  # two different scenes are never near
    assert len(near_pairs) >= 18


def test_the_hash_is_the_one_worked_out_by_hand() -> None:
    """Against the cosine transform written as matrix products: D x D^T, its 64 lowest, above their median."""
    grey = cv2.cvtColor(scene(3), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64)
    at = np.arange(32)
    scale = np.full(32, np.sqrt(2 / 32))
    scale[0] = np.sqrt(1 / 32)
    basis = np.cos(np.pi * (2 * at[None] + 1) * at[:, None] / 64) * scale[:, None]
    low = (basis @ small @ basis.T)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    by_hand = sum(int(bit) << (63 - place) for place, bit in enumerate(bits))
    assert int(phash(grey)) == by_hand


def test_every_pair_is_compared_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.images.near_duplicates.CHUNK_ROWS", 3)
    hashes = np.array([0, 2**40, 7, 2**63, 1, 2**40 + 1, 0], np.uint64)
    pictures = np.ones((7, 256), np.float32) / 16
    bad = np.array([0, 0, 0, 0, 0, 0, 1], bool)
    near_pairs = {
        tuple(pair) for pair in find_near_duplicates(Thumbnails(hashes, pictures, bad), most_bits=1).tolist()
    }
    by_hand = {
        (i, j)
        for i in range(6)
        for j in range(i + 1, 6)
        if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= 1
    }
    assert near_pairs == by_hand
    assert by_hand


def test_plain_pictures_of_one_colour_are_not_all_one(tmp_path: Path) -> None:
    plain = [np.full((64, 64, 3), grey, np.uint8) for grey in (0, 90, 255)]
    assert find_near_duplicates(seen(tmp_path, plain)).tolist() == []


def test_chains_are_one_group_named_by_their_first_row(tmp_path: Path) -> None:
    groups = connected_components(6, [(4, 5), (1, 3), (3, 4)])
    assert groups.tolist() == [0, 1, 2, 1, 1, 1]
    write_groups(tmp_path / "groups.csv", list("abcdef"), groups)
    assert (tmp_path / "groups.csv").read_text() == "id,group\na,a\nb,b\nc,c\nd,b\ne,b\nf,b\n"


def test_a_row_without_an_image_is_like_no_other(tmp_path: Path) -> None:
    thumbnails = seen(tmp_path, [scene(1), scene(1)])
    assert find_near_duplicates(thumbnails).tolist() == [[0, 1]]
    assert (
        find_near_duplicates(
            Thumbnails(thumbnails.hashes, thumbnails.pictures, np.array([False, True]))
        ).tolist()
        == []
    )
