"""Images of other than three channels are cached, augmented, normalised and predicted like RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kit.config.models import Data, Experiment
from kit.core.progress import finish
from kit.core.randomness import generator
from kit.device.torch_internals import import_timm
from kit.errors import DataError, KitWarning
from kit.experiment.pixel_statistics import measure
from kit.images.cache import Cache, Geometry, fill_cache
from kit.images.reader import resize
from kit.kinds import Augmenter, Backbone
from kit.model.initial_weights import _reshape

RNG = np.random.default_rng(0)


def cached(folder: Path, images: np.ndarray) -> Cache:
    for number, image in enumerate(images):
        np.save(folder / f"{number}.npy", image)
    paths = [folder / f"{number}.npy" for number in range(len(images))]
    geometry = Geometry(16, "short_side", images.shape[3])
    filled = finish(fill_cache(folder / "cache", paths, geometry, Data(reader={"name": "npy"})))
    assert filled.bad == ()
    return filled.cache


@pytest.mark.parametrize("channels", [1, 2, 4, 6, 13])
def test_each_channel_is_resized_by_itself(tmp_path: Path, channels: int) -> None:
    images = RNG.integers(0, 256, (3, 32, 48, channels), dtype=np.uint8)
    cache = cached(tmp_path, images)
    assert cache[1].shape == (16, 24, channels)
    for channel in range(channels):
        wanted = cv2.resize(images[1][:, :, channel], (24, 16), interpolation=cv2.INTER_AREA)
        assert (
            np.abs(cache[1][:, :, channel].astype(int) - wanted).max() <= 1
        )  # cv2 rounds two channels otherwise
    assert np.array_equal(cached(tmp_path, images)[1], cache[1])


@pytest.mark.parametrize("name", ["light", "heavy", "flips", "resize", "copies", "retail", "randaugment"])
@pytest.mark.filterwarnings("ignore:W84")
def test_augmenters_treat_channels_alike(name: str) -> None:
    plugin = Augmenter.open(name)
    grey = resize(RNG.integers(0, 256, (9, 9, 1), dtype=np.uint8), 40, 40)
    for channels in (1, 5):
        output = plugin(np.repeat(grey, channels, axis=2), 24, generator(1, "x"))
        assert output.shape == (24, 24, channels)
        assert output.dtype == np.uint8
        assert (output == output[:, :, :1]).all()


def test_transforms_for_rgb_are_left_out_and_named() -> None:
    recipe = [
        {"name": "Resize"},
        {"name": "HueSaturationValue", "p": 1.0},
        {"name": "VerticalFlip", "p": 1.0},
    ]
    plugin = Augmenter.open({"name": "albumentations", "transforms": recipe})
    image = RNG.integers(0, 256, (24, 24, 5), dtype=np.uint8)
    with pytest.warns(KitWarning, match="W84 images have 5 channels, .* left out: HueSaturationValue"):
        output = plugin(image, 24, generator(0, "x"))
    assert np.array_equal(output, image[::-1])


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_a_pretrained_stem_is_adapted_as_timm_does(channels: int) -> None:
    built: Any = Backbone.open({"name": "timm", "arch": "resnet10t"}).with_known(channels=channels).build()
    weight = next(iter(built.model.parameters()))
    assert weight.shape[1] == channels
    assert built(torch.zeros(1, channels, 64, 64)).dim() == 4
    rgb = torch.rand(weight.shape[0], 3, 3, 3)
    wanted = import_timm().models.adapt_input_conv(channels, rgb)
    assert torch.equal(_reshape(rgb, weight), wanted)
    by_hand = (
        rgb.sum(1, keepdim=True) if channels == 1 else rgb.repeat(1, 3, 1, 1)[:, :channels] * 3 / channels
    )
    torch.testing.assert_close(wanted, by_hand)


def test_statistics_are_those_of_the_rows(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (4, 16, 16, 5), dtype=np.uint8)
    mean, deviation = measure(cached(tmp_path, images), np.array([0, 2, 3]))
    values = images[[0, 2, 3], ::2, ::2].reshape(-1, 5) / 255
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(deviation, values.std(axis=0))


def test_a_constant_channel_is_refused(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (4, 16, 16, 4), dtype=np.uint8)
    images[..., 2] = 7
    with pytest.raises(DataError, match="channels 2 of the training images are constant") as caught:
        measure(cached(tmp_path, images), np.arange(4))
    assert caught.value.code == "D87"


def test_given_statistics_are_one_of_each_channel() -> None:
    with pytest.raises(ValidationError, match="2 means and 2 deviations for 4 channels"):
        Experiment.model_validate({"channels": 4, "normalisation": {"mean": [0, 0], "std": [1, 1]}})


def test_images_of_another_number_of_channels_are_cases(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((8, 8, 4), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((8, 8, 5), np.uint8))
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    geometry = Geometry(16, "short_side", 4)
    filled = finish(fill_cache(tmp_path / "cache", paths, geometry, Data(reader={"name": "npy"})))
    assert [(case.code, case.detail) for case in filled.bad] == [
        ("D15", "has 5 channels, not 4 (channels=5)")
    ]
