"""hdf5, tiff, table and parquet: pixels equal those that were stored, by key, and nothing else is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.drawn_images import drawn, encoded
from tests.plugins.reader.read import read, refusal

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
JPEG = encoded(drawn(), "JPEG")


# ------------------------------------------------------------------------------------------- hdf5


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["ISIC_1"] = np.void(JPEG)
        file["ISIC_2"] = np.frombuffer(JPEG, np.uint8)
        file["group/grey"] = PIXELS[0]
        file["stack"] = PIXELS
        file["outside"] = h5py.ExternalLink("b.hdf5", "/x")
        file["loop"] = h5py.SoftLink("/nowhere")
        file["ring"] = h5py.SoftLink("/ring")
        file["group/same"] = h5py.SoftLink("grey")
        file["group/image"] = h5py.SoftLink("/ISIC_1")
        file["group/away"] = h5py.SoftLink("/outside")
        file["text"] = "x"
        file["flags"] = PIXELS[0] > 99
        file.create_virtual_dataset("view", h5py.VirtualLayout((1,), "u1"))
        file.create_dataset("other", (4,), "u1", external=[("raw.bin", 0, 4)])
    (tmp_path / "b.hdf5").write_bytes(b"")
    return tmp_path / "a.hdf5"


def test_records_of_hdf5_are_encoded_images_or_arrays(hdf5: Path) -> None:
    (hdf5.parent / "a.jpg").write_bytes(JPEG)
    wanted = read(hdf5.parent / "a.jpg", "image")
    for key in ("ISIC_1", "ISIC_2"):
        assert np.array_equal(read(f"{hdf5}::{key}", "hdf5"), wanted)
    assert np.array_equal(read(f"{hdf5}::group/grey", "hdf5", 1)[:, :, 0], PIXELS[0])
    assert np.array_equal(read(f"{hdf5}::stack/7", "hdf5", 1)[:, :, 0], PIXELS[7])


def test_complex_numbers_are_their_magnitude(tmp_path: Path) -> None:
    values = (RNG.normal(size=(6, 8)) + 1j * RNG.normal(size=(6, 8))).astype(np.complex64)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["wave/H1"] = values
    wanted = np.rint(np.hypot(values.real, values.imag).clip(0, 2) / 2 * 255)
    pixels = read(f"{tmp_path}/a.h5::wave/H1", "hdf5", 1, range=[0, 2])[:, :, 0]
    assert np.abs(pixels - wanted).max() <= 1
    assert (pixels == wanted).mean() > 0.9
    assert refusal(f"{tmp_path}/a.h5::wave/H1", "hdf5", 1).startswith("D12 float32 values from ")


def test_links_within_an_hdf5_file_are_followed(hdf5: Path) -> None:
    assert np.array_equal(read(f"{hdf5}::group/same", "hdf5", 1)[:, :, 0], PIXELS[0])
    assert np.array_equal(read(f"{hdf5}::group/image", "hdf5"), read(f"{hdf5}::ISIC_1", "hdf5"))
    assert np.array_equal(read(f"{hdf5}::flags", "hdf5", 1)[:, :, 0], (PIXELS[0] > 99) * 255)


def test_the_only_data_set_of_a_file_needs_no_key(hdf5: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["volume/image"] = PIXELS[3]
    assert np.array_equal(read(tmp_path / "one.h5", "hdf5", 1)[:, :, 0], PIXELS[3])
    assert refusal(hdf5, "hdf5").startswith("D02 no record '' among 11")


def test_hdf5_does_not_follow_links_and_names_missing_keys(hdf5: Path) -> None:
    assert refusal(f"{hdf5}::outside", "hdf5") == "D20 record 'outside' is a link to another file"
    assert refusal(f"{hdf5}::group/away", "hdf5") == "D20 record 'group/away' is a link to another file"
    for key in ("other", "view"):
        assert refusal(f"{hdf5}::{key}", "hdf5") == f"D20 record '{key}' is stored in another file"
    assert refusal(f"{hdf5}::ISIC_9", "hdf5").startswith("D02 no record 'ISIC_9' among 11, such as")
    assert refusal(f"{hdf5}::group", "hdf5").startswith("D02 'group' is a group of ")
    for key in ("loop", "ring", "group", "stack/40", "stack/x", "nothing/at/all"):
        assert refusal(f"{hdf5}::{key}", "hdf5").startswith("D02"), key


def test_a_damaged_hdf5_file_is_named(hdf5: Path, tmp_path: Path) -> None:
    content = hdf5.read_bytes()
    for name, part in {"cut.h5": content[: len(content) // 2], "a.h5": b"<html>" * 99}.items():
        (tmp_path / name).write_bytes(part)
    assert refusal(f"{tmp_path}/cut.h5::ISIC_1", "hdf5").startswith("D05 corrupt HDF5: Unable to")
    assert refusal(f"{tmp_path}/a.h5::x", "hdf5").startswith("D06 not an HDF5 file")


def test_bombs_are_refused_before_they_are_inflated(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("empty", (20_000, 20_000), "u1", chunks=(1000, 1000))
        file.create_dataset("huge", (200_000, 200_000), "u1", chunks=(1000, 1000))
    assert refusal(f"{tmp_path}/a.h5::empty", "hdf5") == "D10 claims 400,000,000 bytes, and only 0 are stored"
    assert refusal(f"{tmp_path}/a.h5::huge", "hdf5").startswith("D10 claims 40,000,000,000 bytes, more than")
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as opened:
        for name in ("ImageWidth", "ImageLength"):
            opened.pages[0].tags[name].overwrite(20_480)
    assert refusal(tmp_path / "a.tif", "tiff").startswith("D10 claims 419,430,400 bytes, and only")


# ------------------------------------------------------------------------------------------- tiff


@pytest.mark.parametrize("channels", [1, 4, 7])
def test_a_tiff_may_have_any_number_of_channels_and_16_bits(tmp_path: Path, channels: int) -> None:
    values = RNG.integers(0, 4096, (30, 40, channels), dtype=np.uint16)
    kind = {"photometric": "minisblack", "planarconfig": "contig"} if channels != 1 else {}
    tifffile.imwrite(tmp_path / "last.tif", values if channels > 1 else values[:, :, 0], **kind)
    wanted = np.rint(values / 4095 * 255)
    assert np.array_equal(read(tmp_path / "last.tif", "tiff", channels, range=[0, 4095]), wanted)
    if channels > 1:
        tifffile.imwrite(
            tmp_path / "first.tif",
            values.transpose(2, 0, 1),
            planarconfig="separate",
            photometric="minisblack",
        )
        assert np.array_equal(read(tmp_path / "first.tif", "tiff", channels, range=[0, 4095]), wanted)


def test_a_level_of_a_pyramid_is_chosen(tmp_path: Path) -> None:
    levels = [RNG.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (256, 128, 64)]
    with tifffile.TiffWriter(tmp_path / "slide.tif") as file:
        file.write(levels[0], subifds=2, tile=(64, 64), photometric="rgb")
        for each in levels[1:]:
            file.write(each, subfiletype=1, tile=(64, 64), photometric="rgb")
    for number, wanted in enumerate(levels):
        assert np.array_equal(read(tmp_path / "slide.tif", "tiff", level=number), wanted)
    assert np.array_equal(read(tmp_path / "slide.tif", "tiff", min_side=100), levels[1])
    assert np.array_equal(read(tmp_path / "slide.tif", "tiff", min_side=999), levels[0])
    assert np.array_equal(read(tmp_path / "slide.tif", "tiff", level=9), levels[2])
    content = (tmp_path / "slide.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[:4000])
    assert refusal(tmp_path / "cut.tif", "tiff").startswith("D05 corrupt TIFF")


# ------------------------------------------------------------------------------------------- table


def write_pixel_table(file: Path, ids: list[str] | None = None) -> None:
    order = RNG.permutation(36)  # columns are sorted by their numbers, wherever they stand
    frame = pd.DataFrame({f"pixel{number}": PIXELS.reshape(40, 36)[:, number] for number in order})
    if ids:
        frame.insert(0, "image_id", ids)
    frame["label"] = 1
    frame.to_csv(file, index=False)


def test_a_column_per_pixel_is_an_image_by_row_or_by_cell(tmp_path: Path) -> None:
    write_pixel_table(tmp_path / "train.csv")
    write_pixel_table(tmp_path / "test.csv", [f"0{number}" for number in range(40)])
    for row in (0, 7, 39):
        assert np.array_equal(read(tmp_path / f"train.csv::{row}", "table")[:, :, 0], PIXELS[row])
        assert np.array_equal(read(tmp_path / f"test.csv::image_id/0{row}", "table")[:, :, 0], PIXELS[row])
    assert refusal(tmp_path / "train.csv::40", "table").startswith("D02 no record '40' among 40, such as '")
    assert refusal(tmp_path / "test.csv::image_id/7", "table").startswith(
        "D02 no record 'image_id/7' among 40"
    )
    assert refusal(tmp_path / "test.csv::nothing/7", "table").startswith("D02 no column 'nothing'")
    assert refusal(tmp_path / "train.csv::0", "table", size=[5, 7]).startswith(
        "D15 has 36 pixels, which are not 5 x 7"
    )
    wide = read(tmp_path / "train.csv::3", "table", size=[4, 9])
    assert np.array_equal(wide[:, :, 0], PIXELS[3].reshape(4, 9))


def test_a_cell_may_hold_all_pixels(tmp_path: Path) -> None:
    cells = [" ".join(map(str, image.ravel())) for image in PIXELS]
    pd.DataFrame({"emotion": 1, "pixels": cells}).to_csv(tmp_path / "fer.csv", index=False)
    assert np.array_equal(read(tmp_path / "fer.csv::5", "table", columns=["pixels"])[:, :, 0], PIXELS[5])
    assert refusal(tmp_path / "fer.csv::5", "table").startswith("D15 no column of pixels")
    (tmp_path / "bad.csv").write_text("pixels\n1 2 x 4\n")
    assert refusal(tmp_path / "bad.csv::0", "table", columns=["pixels"]).startswith(
        "D05 a cell holds no numbers"
    )


@pytest.mark.parametrize("form", ["records", "columns", "index"])
def test_json_cells_are_channels(tmp_path: Path, form: str) -> None:
    bands = [(PIXELS[row].ravel() / -8 - 1).tolist() for row in range(4)]
    records = [{"id": f"a{row}", "band_1": bands[row], "band_2": bands[row - 1]} for row in range(4)]
    shapes: dict[str, Any] = {
        "records": records,
        "columns": {key: [each[key] for each in records] for key in records[0]},
        "index": {key: {str(n): each[key] for n, each in enumerate(records)} for key in records[0]},
    }
    (tmp_path / "train.json").write_text(json.dumps(shapes[form]))
    pixels = read(tmp_path / "train.json::id/a2", "table", 2, range=[-33, -1])
    wanted = [(np.array(bands[row]).reshape(6, 6) + 33) / 32 * 255 for row in (2, 1)]
    assert np.abs(pixels - np.stack(wanted, axis=2)).max() <= 0.5 + 1e-9


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for name, content in {"a.json": "{", "b.json": "[1, 2]", "c.csv": "a,b\n1\n"}.items():
        (tmp_path / name).write_text(content)
        assert refusal(tmp_path / f"{name}::0", "table")[:3] in ("D05", "D06"), name


# ------------------------------------------------------------------------------------------- parquet


def test_rows_of_several_parquet_files_are_images(tmp_path: Path) -> None:
    flat = PIXELS.reshape(40, 36)
    for part in range(2):
        frame = pd.DataFrame(flat[part::2], columns=[str(number) for number in range(36)])
        frame.insert(0, "image_id", [f"Train_{number}" for number in range(part, 40, 2)])
        frame.to_parquet(tmp_path / f"data_{part}.parquet", row_group_size=7)
    for row in (39, 0, 20, 3, 21):  # back and forth
        pixels = read(tmp_path / f"data_*.parquet::image_id/Train_{row}", "parquet")
        assert np.array_equal(pixels[:, :, 0], PIXELS[row])
    assert np.array_equal(read(tmp_path / "data_0.parquet::3", "parquet")[:, :, 0], PIXELS[6])
    assert refusal(tmp_path / "data_*.parquet::image_id/Train_40", "parquet").startswith("D02 no record")


def test_a_parquet_file_is_the_image_of_its_id(tmp_path: Path) -> None:
    values = RNG.random((30, 8)).astype(np.float32)
    values[0, 0] = np.nan
    frame = pd.DataFrame(values, columns=[f"LL_{number}" for number in range(8)])
    frame.insert(0, "time", np.arange(30))
    frame.to_parquet(tmp_path / "7.parquet")
    pixels = read(tmp_path / "7.parquet", "parquet", 1, range=[0, 1], nan=0)
    assert np.array_equal(pixels[:, :, 0], np.rint(np.nan_to_num(values) * 255))


def test_parquet_may_hold_encoded_images(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    frame = pd.DataFrame({"label": [1, 2], "image": [{"bytes": JPEG, "path": "x"}] * 2})
    frame.to_parquet(tmp_path / "hf.parquet")
    assert np.array_equal(read(tmp_path / "hf.parquet::1", "parquet"), read(tmp_path / "a.jpg", "image"))
    content = (tmp_path / "hf.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-20])
    assert refusal(tmp_path / "cut.parquet::0", "parquet").startswith("D05 not a parquet file")
