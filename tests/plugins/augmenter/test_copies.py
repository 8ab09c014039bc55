"""Copies: a row has count + 1 images and no other, the same ones in every epoch, fold and process."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.images.reader import center_crop
from kit.kinds import Augmenter
from kit.plugins.augmenter.copies import Copies

IMAGES = [np.random.default_rng(n).integers(0, 256, (20, 30 - 3 * n, 3), dtype=np.uint8) for n in range(3)]


def seen(augmenter: Augmenter, image: np.ndarray, fold: int = 0, epochs: int = 120) -> Counter[bytes]:
    """What training draws of one row, epoch by epoch."""
    draws = [generator(0, "augment", fold, epoch, 5, 0) for epoch in range(epochs)]
    return Counter(augmenter(image, 16, rng).tobytes() for rng in draws)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_exactly_count_and_one_images_of_a_row_ever_occur_and_the_row_itself_is_one(count: int) -> None:
    for image in IMAGES:
        counts = seen(Copies(variants=count), image)
        assert len(counts) == count + 1
        assert center_crop(image, 16).tobytes() in counts


def test_each_of_them_is_as_likely() -> None:
    counts = seen(Copies(variants=3), IMAGES[0], epochs=800)
    assert sum(counts.values()) == 800
    assert all(150 < times < 250 for times in counts.values())


def test_epochs_draw_among_them() -> None:
    one = Copies(variants=3)
    epochs = [
        tuple(
            one(image, 16, generator(0, "augment", 0, epoch, row, 0)).tobytes()
            for row, image in enumerate(IMAGES)
        )
        for epoch in range(12)
    ]
    assert len(set(epochs)) > 6


def test_every_fold_and_process_has_the_same_copies() -> None:
    one = Copies(variants=4)
    assert set(seen(one, IMAGES[0], fold=0)) == set(seen(one, IMAGES[0], fold=1))
    again = pickle.loads(pickle.dumps(one))
    assert set(seen(again, IMAGES[0])) == set(seen(one, IMAGES[0]))


def test_another_row_another_seed_and_another_number_have_other_copies() -> None:
    one, other = Copies(), Copies(seed=1)
    variants = {
        (plugin.seed, row, number): plugin.variant(image, 16, number).tobytes()
        for plugin in (one, other)
        for row, image in enumerate(IMAGES)
        for number in range(1, 7)
    }
    assert len(set(variants.values())) == len(variants) == 36


def test_any_augmenter_may_make_them() -> None:
    spec = {
        "name": "copies",
        "variants": 7,
        "base": {"name": "flips", "quarter_turns": True, "vertical": True},
    }
    square = np.ascontiguousarray(IMAGES[0][:, :20])
    counts = seen(Augmenter.open(spec), square)
    turned = center_crop(square, 16)
    eight = {np.rot90(base, k).tobytes() for base in (turned, turned[:, ::-1]) for k in range(4)}
    assert set(counts) <= eight
    assert len(counts) > 2


def test_options_of_the_default_base_can_be_set_and_are_checked() -> None:
    flip = [{"name": "CenterCrop"}, {"name": "HorizontalFlip", "p": 1.0}]
    augmenter = Copies.open({"name": "copies", "base": {"transforms": flip}})
    assert augmenter.base.plugin_name() == "albumentations"
    with pytest.raises(ConfigError, match="base.transforms"):
        Copies.open({"name": "copies", "base": {"transforms": [{"name": "Blurr"}]}})
    with pytest.raises(ConfigError, match="greater than or equal to 1"):
        Copies.open({"name": "copies", "variants": 0})
