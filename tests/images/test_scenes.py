"""scenes: photos of one place are recognised by their details, other photos of the class are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.config.models import Data
from kit.core.progress import finish
from kit.images.reader import ImageSource
from kit.images.scenes import (
    COMPARE_ALL_UP_TO,
    Keypoints,
    count_matches,
    group_scenes,
    nearest_thumbnails,
    read_keypoints,
)

SOURCE = ImageSource.open(Data(train="train.csv"))


def place(seed: int, side: int = 300) -> np.ndarray:
    """A picture full of details: noise, coarse to fine."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(0, 1, (n, n, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
        for n in (8, 20, 50)
    ]
    image: np.ndarray = np.clip(128 + 45 * sum(layers), 0, 255)
    return image.astype(np.uint8)


def seen_from(image: np.ndarray, turn: float, zoom: float, light: int = 0) -> np.ndarray:
    """The same place turned, nearer, from the side, in another light."""
    side = len(image)
    turned = cv2.getRotationMatrix2D((side / 2, side / 2), turn, zoom)
    view = np.vstack([turned, [0.0002, 0.0001, 1]])
    moved: np.ndarray = cv2.warpPerspective(image, view, (side, side))
    seen: np.ndarray = np.clip(moved.astype(int) + light, 0, 255).astype(np.uint8)
    return seen


@pytest.fixture
def photos(tmp_path: Path) -> tuple[list[Path], np.ndarray]:
    """Two classes: of each, two scenes from three sides and two photos alone."""
    paths, labels = [], []
    for label in (0, 1):
        for scene in range(4):
            image = place(10 * label + scene)
            views = [(0, 1.0, 0), (12, 1.15, 15), (-20, 0.9, -20)] if scene < 2 else [(0, 1.0, 0)]
            for number, view in enumerate(views):
                paths.append(tmp_path / f"{label}-{scene}-{number}.png")
                cv2.imwrite(str(paths[-1]), seen_from(image, *view))
                labels.append(label)
    return paths, np.array(labels)


def pictures(count: int) -> np.ndarray:
    directions = np.random.default_rng(0).standard_normal((count, 256)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions


def test_photos_of_one_place_from_other_sides_are_one_group(photos: tuple[list[Path], np.ndarray]) -> None:
    paths, labels = photos
    groups = finish(group_scenes(paths, labels, pictures(len(paths)), SOURCE))
    assert groups.tolist() == [0, 0, 0, 3, 3, 3, 6, 7, 8, 8, 8, 11, 11, 11, 14, 15]


def test_what_most_of_a_class_shows_is_no_scene(tmp_path: Path) -> None:
    """A print that all photos of a product show matches wherever the product stands."""
    print_of_all, paths = cv2.resize(place(0), (120, 120)), []
    for number in range(8):
        image = place(50 + number // 2)  # four places, two photos each
        image[90:210, 90:210] = print_of_all
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), seen_from(image, 5.0 * (number % 2), 1.0))
    groups = finish(group_scenes(paths, np.zeros(8, int), pictures(8), SOURCE))
    assert groups.tolist() == [0, 0, 2, 2, 4, 4, 6, 6]


def test_a_large_class_is_compared_with_the_most_similar_pictures_alone() -> None:
    vectors = pictures(COMPARE_ALL_UP_TO + 20)
    vectors[7] = vectors[90]
    near = nearest_thumbnails(np.arange(len(vectors)), vectors, np.arange(len(vectors)), 3)
    assert near.shape == (COMPARE_ALL_UP_TO + 20, 3)
    assert near[7, 0] == 90
    assert (near != np.arange(len(vectors))[:, None]).all()


def test_an_image_without_details_matches_nothing(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((200, 200, 3), 90, np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "place.png"), place(1))
    full = read_keypoints(tmp_path / "place.png", SOURCE)
    assert count_matches(full, full) > 100
    for name in ("blank", "broken"):
        none = read_keypoints(tmp_path / f"{name}.png", SOURCE)
        assert isinstance(none, Keypoints)
        assert count_matches(full, none) == count_matches(none, full) == 0
