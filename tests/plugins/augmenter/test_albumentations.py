"""The adapter: pipelines of the config are albumentations' own, and what it only warns of is an error."""

from __future__ import annotations

import pickle
import random
from typing import Any

import albumentations
import numpy as np
import pytest

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.kinds import Augmenter
from kit.plugins.augmenter import _albumentations

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def opened(*transforms: dict[str, Any]) -> Augmenter:
    return Augmenter.open({"name": "albumentations", "transforms": list(transforms)}, where="augmenter")


def test_a_pipeline_gives_what_albumentations_gives_for_the_same_seed() -> None:
    ours = opened({"name": "RandomResizedCrop", "scale": [0.3, 0.8]}, {"name": "HorizontalFlip", "p": 0.5})
    theirs = albumentations.Compose(
        [
            albumentations.RandomResizedCrop(size=(32, 32), scale=(0.3, 0.8)),
            albumentations.HorizontalFlip(p=0.5),
        ]
    )
    for number in range(5):
        rng = generator(number)
        theirs.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        assert np.array_equal(ours(IMAGE, 32, generator(number)), theirs(image=IMAGE)["image"])


def test_transforms_of_a_pipeline_act_independently_of_each_other() -> None:
    corners = np.zeros((8, 8, 3), np.uint8)
    corners[:4, :4], corners[4:, :4] = 1, 2  # bright on the left, brighter below
    flips = opened({"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5})
    counts = np.zeros((2, 2), int)
    for number in range(400):
        flipped_pixels = flips(corners, 8, generator(number))
        counts[int(flipped_pixels[0, 7, 0] > 0), int(flipped_pixels[:4].max() == 2)] += 1
    assert counts.min() > 60  # 100 of each, give or take 9


def test_other_draws_give_other_images() -> None:
    outputs = {opened({"name": "RandomResizedCrop"})(IMAGE, 32, generator(n)).tobytes() for n in range(8)}
    assert len(outputs) == 8


def test_groups_are_nested_and_sizes_are_filled_in() -> None:
    pipeline = _albumentations.build(
        [
            {"name": "SmallestMaxSize"},
            {
                "name": "OneOf",
                "transforms": [
                    {"name": "RandomCrop"},
                    {"name": "Sequential", "transforms": [{"name": "Resize", "height": 48, "width": 48}]},
                ],
            },
            {"name": "SomeOf", "n": 1, "transforms": [{"name": "VerticalFlip"}, {"name": "Transpose"}]},
        ],
        size=32,
    )
    smallest, one, some = pipeline.transforms
    crop, sequence = one.transforms
    assert smallest.max_size == 32
    assert (crop.height, crop.width) == (32, 32)
    assert sequence.transforms[0].height == 48
    assert (type(some).__name__, some.n) == ("SomeOf", 1)


def test_groups_within_groups_draw_from_rng_alone() -> None:
    """SomeOf, OneOf and Sequential three deep, against the library seeded alike, whatever was drawn before."""
    turn = {
        "name": "Sequential",
        "p": 1.0,
        "transforms": [{"name": "Rotate", "p": 1.0}, {"name": "Transpose"}],
    }
    either = {"name": "OneOf", "p": 0.7, "transforms": [{"name": "Blur"}, {"name": "GaussNoise"}]}
    some = {
        "name": "SomeOf",
        "n": 2,
        "p": 1.0,
        "transforms": [turn, either, {"name": "RandomGamma", "p": 1.0}],
    }
    ours = opened({"name": "RandomResizedCrop"}, some)
    theirs = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((32, 32)),
            albumentations.SomeOf(
                [
                    albumentations.Sequential([albumentations.Rotate(p=1), albumentations.Transpose()], p=1),
                    albumentations.OneOf([albumentations.Blur(), albumentations.GaussNoise()], p=0.7),
                    albumentations.RandomGamma(p=1),
                ],
                n=2,
                p=1,
            ),
        ]
    )
    for number in (3, 1, 2, 0):
        rng = generator(number)
        theirs.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        assert np.array_equal(ours(IMAGE, 32, generator(number)), theirs(image=IMAGE)["image"])


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ({"name": "HorizontalFlp"}, "no transform 'HorizontalFlp'; did you mean 'HorizontalFlip'"),
        ({"name": "RandomResizedCrop", "scal": [0, 1]}, "no argument 'scal'; did you mean 'scale'"),
        ({"name": "RandomResizedCrop", "scale": [2, 3]}, "RandomResizedCrop: scale: "),
        ({"name": "OneOf", "transforms": [{"name": "Blurr"}]}, "'Blurr'; did you mean 'Blur'"),
        ({"name": "OneOf"}, "OneOf needs a list of transforms"),
        ({"name": "OneOf", "p": 7, "transforms": [{"name": "Blur"}]}, "OneOf: p: must be from 0 to 1, not 7"),
        ({"name": "SomeOf", "n": 2, "transforms": [{"name": "Blur"}]}, "SomeOf: n: must be from 1 to 1"),
        ({"transform": "Blur"}, "a transform is {'name'"),
        ({"name": "BasicTransform"}, "BasicTransform is a base class"),
    ],
)
def test_what_the_library_does_not_know_is_an_error_at_the_door(
    transform: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(transform)
    assert words in str(caught.value)
    assert "augmenter.transforms" in str(caught.value)


def test_a_pipeline_must_end_in_a_square() -> None:
    with pytest.raises(ConfigError, match="the transforms give"):
        opened({"name": "HorizontalFlip"})(IMAGE, 32, generator(0))


@pytest.mark.parametrize(
    ("transforms", "words"),
    [
        ([{"name": "RandomResizedCrop"}, {"name": "Normalize", "p": 0.01}], "return float32"),
        (
            [{"name": "OneOf", "p": 0.1, "transforms": [{"name": "Blur"}, {"name": "ToFloat"}]}],
            "return float",
        ),
        ([{"name": "MaskDropout", "p": 0.01}], "one try with every p = 1 failed: .*mask"),
    ],
    ids=["normalize", "within a group", "masks"],
)
def test_rare_transforms_that_do_not_fit_are_refused_by_one_try(
    transforms: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(*transforms)


def test_large_crops_and_transforms_that_never_act_pass_the_try() -> None:
    opened({"name": "RandomCrop", "height": 1000, "width": 1000}, {"name": "Normalize", "p": 0})


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"name": "HorizontalFlip"}, True),
        ({"name": "HorizontalFlip", "p": 0}, False),
        ({"name": "SomeOf", "n": 1, "transforms": [{"name": "D4"}, {"name": "Blur"}]}, True),
        ({"name": "Blur"}, False),
    ],
)
def test_flips_are_known(transform: dict[str, Any], expected: bool) -> None:
    assert opened(transform).mirrors() is expected


def test_it_pickles_and_the_pipeline_is_built_once_a_process() -> None:
    ours = opened({"name": "RandomResizedCrop"})
    again = pickle.loads(pickle.dumps(ours))
    assert again == ours
    assert np.array_equal(again(IMAGE, 32, generator(1)), ours(IMAGE, 32, generator(1)))
    before = _albumentations._pipeline.cache_info().misses
    again(IMAGE, 32, generator(2))
    assert _albumentations._pipeline.cache_info().misses == before
