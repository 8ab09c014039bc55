"""Whatever a container holds, its reader gives an image or says in a DataError what is wrong: never a traceback."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pydicom
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from kit.config.models import Data
from kit.core.error_codes import codes
from kit.errors import DataError
from kit.images.reader import ImageSource
from tests.drawn_images import drawn, encoded
from tests.faults.test_fuzz import fuzzed
from tests.plugins.reader.documents import products
from tests.plugins.reader.tfrecords import write_tfrecord

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 6), dtype=np.uint8)


def write_npy(file: Path) -> None:
    np.save(file, PIXELS[0])


def write_npz(file: Path) -> None:
    np.savez_compressed(file, a=PIXELS[0])


def write_hdf5(file: Path) -> None:
    with h5py.File(file, "w") as opened:
        opened["a"] = PIXELS[0]


def write_dicom(file: Path) -> None:
    like = Path(pydicom.__file__).parent / "data" / "test_files" / "MR_small_RLE.dcm"
    file.write_bytes(like.read_bytes())


def write_tiff(file: Path) -> None:
    tifffile.imwrite(file, PIXELS.transpose(1, 2, 0), photometric="minisblack", planarconfig="contig")


def write_csv(file: Path) -> None:
    names = [f"pixel{number}" for number in range(36)]
    pd.DataFrame(PIXELS.reshape(4, 36), columns=names).to_csv(file, index=False)


def write_json(file: Path) -> None:
    file.write_text(json.dumps([{"id": "a", "band": PIXELS[0].ravel().tolist()}]))


def write_parquet(file: Path) -> None:
    pd.DataFrame(PIXELS.reshape(4, 36), columns=[str(number) for number in range(36)]).to_parquet(file)


def write_tfrec(file: Path) -> None:
    write_tfrecord(file, [{"id": "a", "image": encoded(drawn(), "JPEG")}] * 2)


def write_bson(file: Path) -> None:
    file.write_bytes(products({7: [encoded(drawn(), "JPEG")] * 2, 9: [b"x"]}))


def write_strokes(file: Path) -> None:
    drawing = "[[[1, 2], [3, 4], [0, 9]], [[5], [6]]]"
    pd.DataFrame({"key": ["a", "b"], "drawing": drawing}).to_csv(file, index=False)


# the file's ending, the key, the reader's options, and what writes a good file
KINDS: dict[str, tuple[str, str, dict[str, object], Callable[[Path], None]]] = {
    "npy": (".npy", "", {"name": "npy"}, write_npy),
    "npz": (".npz", "::a", {"name": "npy"}, write_npz),
    "hdf5": (".h5", "::a", {"name": "hdf5"}, write_hdf5),
    "dicom": (".dcm", "", {"name": "dicom"}, write_dicom),
    "tiff": (".tif", "", {"name": "tiff"}, write_tiff),
    "csv": (".csv", "::1", {"name": "table"}, write_csv),
    "json": (".json", "::0", {"name": "table"}, write_json),
    "parquet": (".parquet", "::1", {"name": "parquet"}, write_parquet),
    "bson": (".bson", "::_id/7/1", {"name": "bson"}, write_bson),
    "strokes": (".csv", "::key/b", {"name": "strokes", "size": [40, 40]}, write_strokes),
    "tfrecord": (".tfrec", "::id/a", {"name": "tfrecord"}, write_tfrec),
}
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=12)


@pytest.mark.parametrize("kind", KINDS)
@fuzzed
@given(changes=CHANGES, kept=st.floats(0, 1.5))
def test_a_damaged_container_gives_an_image_or_an_error(
    kind: str, changes: list[tuple[int, int]], kept: float
) -> None:
    ending, key, spec, write = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / f"a{ending}"
        write(file)
        content = bytearray(file.read_bytes())
        for place, value in changes:
            content[place % len(content)] = value
        file.write_bytes(content[: int(len(content) * min(kept, 1))])
        source = ImageSource.open(
            Data(reader=spec, max_pixels=1_000_000), channels=4 if kind == "tiff" else 3
        )
        refused: DataError | None = None
        pixels = None
        try:
            pixels = source.read(Path(f"{file}{key}")).pixels
        except DataError as error:
            refused = error
        if refused is None:
            assert pixels is not None
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
        else:
            assert refused.code in codes()
            assert folder not in refused.summary
