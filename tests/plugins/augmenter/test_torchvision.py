"""The second adapter: pipelines of the config are torchvision's own, drawn from rng alone."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from kit.core.randomness import generator
from kit.device.torch_internals import prepare_torchvision
from kit.errors import ConfigError
from kit.kinds import Augmenter
from kit.plugins.augmenter import _torchvision

prepare_torchvision()
from torchvision.transforms import v2  # noqa: E402

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
CROP: dict[str, Any] = {"name": "RandomResizedCrop"}


def opened(*transforms: dict[str, Any]) -> Augmenter:
    return Augmenter.open({"name": "torchvision", "transforms": list(transforms)}, where="augmenter")


def theirs(pipeline: Any, number: int) -> np.ndarray:
    """What torchvision itself gives with torch seeded by the generator's first number."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(number).integers(2**63)))
        output: np.ndarray = pipeline(torch.from_numpy(IMAGE).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    return output


def test_a_pipeline_gives_what_torchvision_gives_for_the_same_seed() -> None:
    ours = opened(
        {**CROP, "scale": [0.3, 0.8]},
        {"name": "RandomAffine", "degrees": 20, "interpolation": "bilinear"},
        {"name": "ColorJitter", "brightness": 0.4, "hue": 0.1},
        {"name": "RandomErasing", "p": 0.5},
    )
    reference = v2.Compose(
        [
            v2.RandomResizedCrop((32, 32), scale=(0.3, 0.8)),
            v2.RandomAffine(20, interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(brightness=0.4, hue=0.1),
            v2.RandomErasing(p=0.5),
        ]
    )
    for number in range(5):
        assert np.array_equal(ours(IMAGE, 32, generator(number)), theirs(reference, number))


def test_the_global_generator_continues_as_if_nothing_had_been() -> None:
    augment = opened(CROP, {"name": "RandomErasing", "value": "random"})
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    first = augment(IMAGE, 32, generator(0))
    assert torch.equal(torch.rand(4), expected)
    assert np.array_equal(augment(IMAGE, 32, generator(0)), first), "the global generator was drawn from"


def test_the_global_generator_is_put_back_after_an_error() -> None:
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    with pytest.raises(ConfigError, match="bounding boxes"):
        opened({"name": "RandomIoUCrop"})
    assert torch.equal(torch.rand(4), expected)


def test_other_draws_give_other_images() -> None:
    assert len({opened(CROP)(IMAGE, 32, generator(n)).tobytes() for n in range(8)}) == 8


def test_groups_are_nested_and_sizes_are_filled_in() -> None:
    pipeline = _torchvision.build(
        [
            {"name": "Resize", "size": 48},
            {
                "name": "RandomChoice",
                "p": [0.3, 0.7],
                "transforms": [
                    {"name": "RandomCrop"},
                    {"name": "Compose", "transforms": [{"name": "ScaleJitter"}, {"name": "CenterCrop"}]},
                ],
            },
            {"name": "RandomApply", "p": 0.2, "transforms": [{"name": "RandomGrayscale", "p": 1.0}]},
            {"name": "RandomOrder", "transforms": [{"name": "RandomInvert"}, {"name": "RandomVerticalFlip"}]},
        ],
        size=32,
    )
    resize, choice, some, order = pipeline.transforms
    crop, inner = choice.transforms
    assert resize.size == [48]
    assert tuple(crop.size) == (32, 32)
    assert tuple(inner.transforms[0].target_size) == (32, 32)
    assert choice.p == [0.3, 0.7]
    assert some.p == 0.2
    assert [type(part).__name__ for part in order.transforms] == ["RandomInvert", "RandomVerticalFlip"]


def test_a_nested_pipeline_draws_its_branches() -> None:
    branches = [{"name": "RandomGrayscale", "p": 1.0}, {"name": "RandomInvert", "p": 1.0}]
    augment = opened({"name": "Resize"}, {"name": "RandomChoice", "transforms": branches})
    outputs = {augment(IMAGE, 32, generator(n)).tobytes() for n in range(12)}
    assert len(outputs) == 2


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (
            {"name": "RandomHorizontalFlp"},
            "no transform 'RandomHorizontalFlp'; did you mean 'RandomHorizontalFlip'",
        ),
        ({"name": "RandomRotation", "degree": 3}, "no argument 'degree'; did you mean 'degrees'"),
        ({"name": "RandomRotation"}, "missing 1 required positional argument: 'degrees'"),
        ({"name": "RandomRotation", "degrees": -4}, "RandomRotation: If degrees is a single number"),
        (
            {"name": "RandomApply", "transforms": [{"name": "Invert"}]},
            "'Invert'; did you mean 'RandomInvert'",
        ),
        ({"name": "RandomChoice"}, "RandomChoice needs a list of transforms"),
        ({"name": "CutMix"}, "loss=cutmix does that"),
        ({"transform": "Resize"}, "a transform is {'name'"),
        ({"name": "Transform"}, "no transform 'Transform'"),
    ],
)
def test_what_the_library_does_not_know_is_an_error_at_the_door(
    transform: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(transform)
    assert words in str(caught.value)
    assert "augmenter.transforms" in str(caught.value)


def test_a_transform_without_its_compiled_operators_is_refused_and_says_what_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_torchvision, "has_compiled_operators", lambda: False)
    with pytest.raises(ConfigError, match="compiled image operators.*ImageCompression"):
        opened({"name": "RandomApply", "transforms": [{"name": "JPEG", "quality": 50}]})


def test_whether_the_compiled_operators_are_there_is_found_out() -> None:
    jpeg = v2.JPEG(50)
    try:
        jpeg(torch.zeros(3, 8, 8, dtype=torch.uint8))
    except RuntimeError:
        assert not _torchvision.has_compiled_operators()
    else:
        assert _torchvision.has_compiled_operators()


@pytest.mark.parametrize(
    ("transforms", "words"),
    [
        ([{"name": "RandomHorizontalFlip"}], r"torch.uint8 \(3, 40, 60\), not torch.uint8 \(3, 32, 32\)"),
        ([CROP, {"name": "ConvertImageDtype"}], r"return float32 \(64, 64, 3\), not uint8"),
        (
            [CROP, {"name": "RandomApply", "p": 0.001, "transforms": [{"name": "ConvertImageDtype"}]}],
            "return float32",
        ),
        ([{"name": "FiveCrop"}], "return a tuple"),
        ([CROP, {"name": "ToPILImage"}], "return a Image"),
    ],
    ids=["size", "dtype", "rare dtype", "several", "picture"],
)
def test_a_pipeline_must_end_in_a_square_of_bytes(transforms: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(*transforms)(IMAGE, 32, generator(0))


def test_it_pickles_and_the_pipeline_is_built_once_a_process() -> None:
    ours = opened(CROP)
    again = pickle.loads(pickle.dumps(ours))
    assert again == ours
    assert np.array_equal(again(IMAGE, 32, generator(1)), ours(IMAGE, 32, generator(1)))
    before = _torchvision._pipeline.cache_info().misses
    again(IMAGE, 32, generator(2))
    assert _torchvision._pipeline.cache_info().misses == before
