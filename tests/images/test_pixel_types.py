"""Pixels of more than 8 bits stay so in the cache, and reach augmenters and networks as float32 with white at 255."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.pixels import apply_modality_lut

from kit.config.models import Data
from kit.core.pixel_types import PixelType
from kit.core.progress import finish
from kit.core.randomness import generator
from kit.engine.batches import PlainBatches, TrainBatches, _empty
from kit.errors import ConfigError, DataError, KitWarning
from kit.experiment.pixel_statistics import measure
from kit.experiment.techniques import check_augmenters
from kit.images.cache import Cache, Geometry, fill_cache
from kit.images.channels import to_grey, to_rgb
from kit.images.reader import ImageSource
from kit.kinds import Augmenter, Sampler

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (4, 16, 16, 3), dtype=np.uint16)


def cached(folder: Path, files: list[Path], channels: int = 3, **data: Any) -> Cache:
    geometry = Geometry(16, "short_side", channels)
    filled = finish(fill_cache(folder / "cache", files, geometry, Data.model_validate(data)))
    assert filled.bad == ()
    return filled.cache


def arrays(folder: Path, images: np.ndarray) -> list[Path]:
    for number, image in enumerate(images):
        np.save(folder / f"{number}.npy", image)
    return [folder / f"{number}.npy" for number in range(len(images))]


def deep_cache(folder: Path) -> Cache:
    return cached(folder, arrays(folder, DEEP), reader="npy", pixel_type="uint16")


# ---------------------------------------------------------------------------------------- reading


def test_a_16_bit_png_is_cached_as_it_is_and_8_bits_are_widened(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "deep.png"), cv2.cvtColor(DEEP[0], cv2.COLOR_RGB2BGR))
    flat = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(flat).save(tmp_path / "flat.png")
    files = [tmp_path / "deep.png", tmp_path / "flat.png"]
    cache = cached(tmp_path, files, bit_depth=16, pixel_type="uint16")
    assert np.array_equal(cache[0], DEEP[0])
    assert np.array_equal(cache[1], flat.astype(np.uint16) * 257)
    with pytest.raises(DataError) as caught:
        ImageSource.open(Data(pixel_type="uint16")).read(files[0])
    assert caught.value.code == "D11"


@pytest.mark.parametrize(
    ("pixel_type", "white", "error"),
    [("uint16", 65535, 0.5001), ("float32", 255, 1e-4), ("uint8", 255, 0.5001)],
)
def test_floats_are_scaled_to_the_white_of_the_type(
    tmp_path: Path, pixel_type: str, white: float, error: float
) -> None:
    values = RNG.normal(0, 1, (2, 16, 16, 3)).astype(np.float32)
    reader = {"name": "npy", "range": [-1, 3]}
    cache = cached(tmp_path, arrays(tmp_path, values), reader=reader, pixel_type=pixel_type)
    assert cache[1].dtype == pixel_type
    wanted = np.clip((values[1].astype(np.float64) + 1) / 4, 0, 1) * white
    assert np.abs(cache[1] - wanted).max() <= error


def test_floats_without_a_range_are_refused_for_any_type(tmp_path: Path) -> None:
    files = arrays(tmp_path, RNG.normal(0, 1, (1, 16, 16, 3)))
    with pytest.raises(DataError) as caught:
        ImageSource.open(Data.model_validate({"reader": "npy", "pixel_type": "float32"})).read(files[0])
    assert caught.value.code == "D12"


def test_a_dicom_window_keeps_its_fractions() -> None:
    file = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    image = pydicom.dcmread(file)
    values = apply_modality_lut(image.pixel_array, image)
    wanted = 255 * np.clip((values - (40 - 0.5)) / (400 - 1) + 0.5, 0, 1)  # DICOM PS3.3, C.11.2.1.2
    reader = {"name": "dicom", "window": [40, 400]}
    for pixel_type, scale, error in (("float32", 1.0, 1e-3), ("uint16", 257.0, 0.51)):
        data = Data.model_validate({"reader": reader, "pixel_type": pixel_type})
        pixels = ImageSource.open(data, channels=1).read(file).pixels
        assert pixels.dtype == pixel_type
        assert np.abs(pixels[:, :, 0] - wanted * scale).max() <= error


# ---------------------------------------------------------------------------------------- the cache


def test_a_cache_is_read_again_and_kept_apart_by_type(tmp_path: Path) -> None:
    files = arrays(tmp_path, DEEP)
    first = cached(tmp_path, files, reader="npy", pixel_type="uint16")
    again = cached(tmp_path, files, reader="npy", pixel_type="uint16")
    flat = cached(tmp_path, files, reader={"name": "npy", "range": [0, 65535]})
    assert first.file == again.file != flat.file
    assert first.file.stat().st_size == 2 * flat.file.stat().st_size == DEEP.nbytes
    for row in range(4):
        assert np.array_equal(again[row], DEEP[row])
        assert np.array_equal(flat[row], np.rint(DEEP[row] / 257))


def test_what_people_and_comparisons_see_has_8_bits(tmp_path: Path) -> None:
    cache = deep_cache(tmp_path)
    wanted = np.rint(DEEP[0] / 257).astype(np.uint8)
    assert np.array_equal(to_rgb(cache[0]), wanted)
    assert np.array_equal(to_grey(cache[0]), cv2.cvtColor(wanted, cv2.COLOR_RGB2GRAY))
    assert np.array_equal(to_rgb(wanted.astype(np.float32) + 0.2), wanted)


def test_statistics_are_those_of_the_16_bits(tmp_path: Path) -> None:
    cache = deep_cache(tmp_path)
    mean, deviation = measure(cache, np.array([0, 2]))
    values = (DEEP[[0, 2], ::2, ::2] / 65535).reshape(-1, 3)
    assert np.abs(mean - values.mean(axis=0)).max() < 1e-6
    assert np.abs(deviation - values.std(axis=0)).max() < 1e-6


# ---------------------------------------------------------------------------------------- batches


def test_batches_are_float32_with_white_at_255(tmp_path: Path) -> None:
    cache, rows = deep_cache(tmp_path), np.arange(4)
    wanted = torch.from_numpy(DEEP / np.float32(257)).permute(0, 3, 1, 2)
    images = next(iter(PlainBatches(cache, rows, 16, workers=0))).images
    assert images.dtype == torch.float32
    assert torch.allclose(images, wanted, atol=1e-3)
    sampler, augmenter = Sampler.open("shuffled"), Augmenter.open("resize")
    batches = TrainBatches(cache, np.arange(4), rows, sampler, augmenter, 16, 4, workers=0)
    for batch in batches.epoch(0):
        assert torch.allclose(batch.images, wanted[batch.rows], atol=1e-3)


def test_a_loader_process_shares_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data.get_worker_info", lambda: SimpleNamespace(id=0))
    for dtype in (np.uint8, np.float32):
        batch = _empty((2, 5, 5, 3), np.dtype(dtype))
        assert batch.numpy().dtype == dtype
        assert batch.shape == (2, 5, 5, 3)
        assert batch.is_shared()


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", ["flips", "resize", "light", "heavy"])
def test_augmenters_change_floats_like_bytes(name: str, channels: int) -> None:
    image = cv2.resize(RNG.integers(0, 256, (6, 6, channels), dtype=np.uint8), (40, 40))
    image = image.reshape(40, 40, channels)
    augmenter = Augmenter.open(name)
    for draw in range(8):
        flat = augmenter(image, 24, generator(draw, "x")).astype(np.float32)
        deep = augmenter(image.astype(np.float32), 24, generator(draw, "x"))
        assert deep.dtype == np.float32
        assert np.abs(deep - flat).max() <= 4, draw  # bytes are rounded after each of up to four steps
        assert 0 <= deep.min() <= deep.max() <= 255


def test_albumentations_leaves_out_what_takes_bytes_alone() -> None:
    transforms = [
        {"name": "RandomResizedCrop"},
        {"name": "HorizontalFlip", "p": 1.0},
        {"name": "Equalize", "p": 1.0},
        {"name": "Posterize", "p": 1.0},
    ]
    image = RNG.random((30, 30, 3), np.float32) * 255
    augmenter = Augmenter.open({"name": "albumentations", "transforms": transforms})
    with pytest.warns(KitWarning, match="W84 images have 3 channels of float32.*RGB of 8 bits") as caught:
        output = augmenter(image, 16, generator(0, "x"))
    assert output.dtype == np.float32
    assert output.max() > 200
    assert str(caught[0].message).endswith("are left out: Equalize, Posterize")


def test_torchvision_takes_floats() -> None:
    transforms = [{"name": "Resize"}, {"name": "RandomHorizontalFlip", "p": 1.0}, {"name": "ColorJitter"}]
    image = RNG.random((16, 16, 3), np.float32) * 255
    output = Augmenter.open({"name": "torchvision", "transforms": transforms})(image, 16, generator(0, "x"))
    assert output.dtype == np.float32
    assert np.abs(output - image[:, ::-1]).max() < 1e-3


@pytest.mark.parametrize("name", ["randaugment", "retail"])
@pytest.mark.parametrize("pixel_type", ["uint16", "float32"])
def test_an_augmenter_of_bytes_is_refused(name: str, pixel_type: PixelType) -> None:
    augmenter = Augmenter.open(name)
    check_augmenters([augmenter], "uint8")
    with pytest.raises(ConfigError, match=f"augmenter '{name}' takes 8-bit pixels") as caught:
        check_augmenters([augmenter], pixel_type)
    assert caught.value.code == "C82"
