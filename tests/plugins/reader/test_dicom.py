"""dicom: images equal what pydicom makes of the files that it ships, and files without an image are refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

from kit.errors import ConfigError
from kit.kinds import Reader
from tests.plugins.reader.read import read, refusal

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def limits(image: pydicom.Dataset) -> tuple[float, float]:
    """What black and white are in the result of apply_voi_lut."""
    bits, signed = int(image.BitsStored), int(image.PixelRepresentation)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(image.get("RescaleSlope", 1)), float(image.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


@pytest.mark.parametrize(
    "name",
    [
        "CT_small",
        "MR_small",
        "MR_small_RLE",
        "MR_small_bigendian",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "JPEG2000",
        "693_J2KI",
        "JPGExtended",
        "image_dfl",
        "liver_1frame",
    ],
)
def test_grey_images_are_shown_as_the_file_says(name: str) -> None:
    image = pydicom.dcmread(FILES / f"{name}.dcm")
    shown = apply_voi_lut(apply_modality_lut(pixel_array(image), image), image).astype(float)
    low, high = limits(image)
    wanted = np.clip(np.rint((shown - low) / (high - low) * 255), 0, 255)
    pixels = read(FILES / f"{name}.dcm", "dicom", 1)[:, :, 0]
    off = np.abs(pixels.astype(int) - wanted)
    assert off.max() <= 1  # halves may round either way
    assert (off > 0).mean() < 0.001


def test_a_voi_lut_sequence_is_applied(tmp_path: Path) -> None:
    image = pydicom.dcmread(FILES / "MR_small.dcm")
    for name in ("WindowCenter", "WindowWidth"):
        delattr(image, name)
    item = pydicom.Dataset()
    item.LUTDescriptor = [256, 100, 12]
    item.LUTData = [int(4095 * (number / 255) ** 2) for number in range(256)]
    item["LUTData"].VR = "US"
    image.VOILUTSequence = [item]
    image.save_as(tmp_path / "a.dcm")
    shown = apply_voi_lut(apply_modality_lut(pixel_array(image), image), image)
    assert np.array_equal(read(tmp_path / "a.dcm", "dicom", 1)[:, :, 0], np.rint(shown / 4095 * 255))


def test_windows_are_channels_by_the_formula_of_the_standard() -> None:
    image = pydicom.dcmread(FILES / "CT_small.dcm")
    values = apply_modality_lut(pixel_array(image), image).astype(float)
    windows = [[40, 80], [80, 200], [600, 2800]]
    pixels = read(FILES / "CT_small.dcm", "dicom", window=windows)
    for channel, (center, width) in enumerate(windows):  # PS3.3 C.11.2.1.2.1
        wanted = np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
        assert np.abs(pixels[:, :, channel] - wanted).max() <= 0.5 + 1e-9
    one = read(FILES / "CT_small.dcm", "dicom", window=[40, 80])
    assert np.array_equal(one, pixels[:, :, :1].repeat(3, axis=2))


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    image = pydicom.dcmread(FILES / "MR_small.dcm")
    image.PhotometricInterpretation = "MONOCHROME1"
    image.save_as(tmp_path / "a.dcm")
    assert np.array_equal(read(tmp_path / "a.dcm", "dicom"), 255 - read(FILES / "MR_small.dcm", "dicom"))


@pytest.mark.parametrize("name", ["SC_rgb_rle", "SC_rgb_jpeg_dcmtk", "SC_ybr_full_422_uncompressed"])
def test_colours_are_those_of_pydicom(name: str) -> None:
    assert np.array_equal(read(FILES / f"{name}.dcm", "dicom"), pixel_array(FILES / f"{name}.dcm"))


def test_a_palette_is_applied() -> None:
    image = pydicom.dcmread(FILES / "examples_palette.dcm")
    colours = pydicom.pixels.apply_color_lut(pixel_array(image), image)
    white = 255 if colours.dtype == np.uint8 else 65535
    wanted = np.rint(colours / white * 255)
    assert np.array_equal(read(FILES / "examples_palette.dcm", "dicom"), wanted)


def test_a_range_replaces_the_window_and_16_bit_colours_are_scaled() -> None:
    image = pydicom.dcmread(FILES / "CT_small.dcm")
    values = apply_modality_lut(pixel_array(image), image)
    pixels = read(FILES / "CT_small.dcm", "dicom", 1, range=[-1000, 1000])[:, :, 0]
    assert np.array_equal(pixels, np.clip(np.rint((values + 1000) / 2000 * 255), 0, 255))
    deep = pixel_array(FILES / "SC_rgb_rle_16bit.dcm")
    assert np.array_equal(read(FILES / "SC_rgb_rle_16bit.dcm", "dicom"), np.rint(deep / 65535 * 255))


def test_a_frame_is_chosen_by_option_or_by_key() -> None:
    file = FILES / "examples_ybr_color.dcm"
    frames = pixel_array(file)
    assert np.array_equal(read(file, "dicom", frame=3), frames[3])
    assert np.array_equal(read(f"{file}::7", "dicom"), frames[7])
    assert refusal(file, "dicom").startswith("D12 multi-frame DICOM (30 frames; data.reader.frame=0")
    assert refusal(f"{file}::30", "dicom").startswith("D12 has 30 frames")
    assert refusal(f"{file}::x", "dicom").startswith("D02 no frame 'x'")


def test_a_file_without_an_image_is_refused(tmp_path: Path) -> None:
    assert refusal(FILES / "rtplan.dcm", "dicom") == "D17 DICOM with no pixels (RT Plan Storage)"
    assert refusal(FILES / "MR_truncated.dcm", "dicom").startswith("D05 corrupt DICOM: The number of bytes")
    content = (FILES / "MR_small.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(content[:2000])
    assert refusal(tmp_path / "cut.dcm", "dicom")[:3] in ("D05", "D17")
    compressed = (FILES / "JPEG2000.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(compressed[:-100])
    assert refusal(tmp_path / "cut.dcm", "dicom") == "D05 corrupt DICOM: its pixels are cut off"
    (tmp_path / "cut.dcm").write_bytes(compressed[:3000])  # before the pixels
    assert refusal(tmp_path / "cut.dcm", "dicom").endswith(
        "(Secondary Capture Image Storage), or it is cut off"
    )
    image = pydicom.dcmread(FILES / "MR_small.dcm")
    image.Rows = 65535
    image.Columns = 65535
    image.save_as(tmp_path / "bomb.dcm")
    assert refusal(tmp_path / "bomb.dcm", "dicom").startswith("D10 has 4,294,836,225 pixels")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pydicom" else find(name)
    )
    with pytest.raises(ConfigError) as caught:
        Reader.open("dicom").check_package()
    assert caught.value.code == "C24"
    assert "kit-competitions[medical]" in caught.value.hint


def test_reading_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(FILES / "MR_small_padded.dcm", "dicom")
