"""Whatever a file holds, its reader reads it or says in a KitError what is wrong: never a traceback.

A few cases of each reader here, thousands with `make fuzz` (FUZZ_CASES=2500).
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kit.config.models import Data, keys
from kit.config.overrides import apply_overrides
from kit.config.parsing import parse, validate_config
from kit.core.error_codes import codes
from kit.data.csv_file import read_csv
from kit.data.folds import Folds
from kit.data.predictions import Predictions, Provenance, provenance_of
from kit.data.table import sample_frame, train_table
from kit.errors import KitError
from kit.images import jpeg
from kit.images.cache import Hashes, Store
from kit.images.reader import decode
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance, read_safetensors, read_state
from kit.runs.epoch_log import EpochLog
from kit.runs.records import record
from kit.runs.run import Run
from kit.stages.submission.board import COLUMNS, Board

CASES = int(os.environ.get("FUZZ_CASES", "25"))
fuzzed = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    derandomize=CASES < 1000,
    suppress_health_check=list(HealthCheck),
)

HEADER = ",".join(COLUMNS).encode() + b"\n"  # of a board, and a line of one
LINE = b"1,a,0001-a.csv,0.5,accuracy,higher,,a,mean,9,2026-01-01T00:00:00+00:00,\n"
ENCODINGS = ("utf-8", "utf-16", "rot13", "x\0")
ODD = ("name", "loss", "base", "cutmix", "epochs", "..", "", "1e999", "NaN", "-1", "é", "\0")
WORDS = st.sampled_from([*keys(), *ODD])
TEXT = WORDS | st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
CELLS = st.text(alphabet=st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    [
        "a",
        "b",
        "x.png",
        "../x",
        "/etc/passwd",
        '"',
        "0",
        "1",
        "-1",
        "1e5",
        "nan",
        "id",
        "label",
        "fold",
        ";",
        "\r",
    ]
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6).map(
    lambda rows: "\n".join(",".join(row) for row in rows).encode()
)


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """A valid file's bytes, with some replaced, cut out, put in or doubled."""
    content = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 6))):
        at, length = draw(st.integers(0, max(0, len(content) - 1))), draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["replace", "cut", "put", "double", "end"]))
        if kind == "replace":
            content[at : at + length] = draw(st.binary(min_size=length, max_size=length))
        elif kind == "cut":
            del content[at : at + length * 8]
        elif kind == "put":
            content[at:at] = draw(st.binary(max_size=8))
        elif kind == "double":
            content[at:at] = content[at : at + 64]
        else:
            del content[at:]
    return bytes(content)


def read(content: bytes, reader: Callable[[Path], Any], name: str = "file") -> None:
    """Hands a file to its reader, which may raise a KitError alone."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        (Path(folder) / name).write_bytes(content)
        calm(lambda: reader(Path(folder) / name))


def calm(work: Callable[[], Any]) -> None:
    """Runs `work`, which may raise a KitError with a code of docs/codes.md and a summary, and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            work()
        except KitError as error:
            raised = error
        else:
            return
    assert raised.code in codes(), repr(raised)
    assert raised.summary


MODES = {
    "PNG": ("RGBA", "LA", "P", "1", "I;16"),
    "GIF": ("P",),
    "JPEG": ("CMYK", "L"),
    "TIFF": ("F", "RGB", "P"),
    "AVIF": ("RGB",),
    "WEBP": ("RGBA",),
}


def pictures() -> list[bytes]:
    """A small image of each format and mode; the JPEGs lie on their side."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    endings = (".jpg", ".png", ".webp", ".bmp", ".ppm", ".tiff")
    files = [cv2.imencode(ending, pixels)[1].tobytes() for ending in endings]
    exif = Image.Exif()
    exif[0x0112] = 6
    for form, mode in [(form, mode) for form, modes in MODES.items() for mode in modes]:
        grey = Image.fromarray(pixels).convert("L")
        image = Image.new(mode, (4, 4)) if mode == "I;16" else grey.convert(mode)
        content = io.BytesIO()
        image.save(content, form, **({"exif": exif} if form == "JPEG" else {}))
        files.append(content.getvalue())
    return files


def with_checksums(content: bytes) -> bytes:
    """A damaged PNG whose chunks have the right checksums, so that decoders look further."""
    data, at = bytearray(content), 8
    while content.startswith(b"\x89PNG") and at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            break
        data[end - 4 : end] = zlib.crc32(data[at + 4 : end - 4]).to_bytes(4, "big")
        at = end
    return bytes(data)


@fuzzed
@given(damaged(pictures()))
def test_images(content: bytes) -> None:
    for data in (Data(), Data(bit_depth=32, page=0, alpha_fill="none")):
        for least in (0, 4):
            calm(partial(decode, with_checksums(content), data, least))


@fuzzed
@given(st.binary(max_size=80), st.sampled_from([b"II*\0", b"MM\0*", b"Exif\0\0II*\0", b""]))
def test_exif(block: bytes, start: bytes) -> None:
    with suppress(ValueError):
        assert 1 <= jpeg.orientation(start + block) <= 8


@fuzzed
@given(st.dictionaries(WORDS, JSON, max_size=5), st.text(max_size=20))
def test_configs(value: dict[str, Any], tail: str) -> None:
    calm(lambda: validate_config(parse(json.dumps(value))))
    calm(lambda: validate_config(parse(json.dumps(value)[:-1] + tail)))


@fuzzed
@given(st.lists(TEXT, min_size=1, max_size=4), JSON, st.booleans())
def test_overrides(path: list[str], value: Any, as_json: bool) -> None:
    text = ".".join(path) + "=" + (json.dumps(value) if as_json else str(value))
    calm(lambda: validate_config(apply_overrides({"loss": "focal", "epochs": 3}, [text])))


@fuzzed
@given(TABLES | st.binary(max_size=60), st.sampled_from([",", ";", "\t"]), st.sampled_from(ENCODINGS))
def test_tables(content: bytes, sep: str, encoding: str) -> None:
    read(content, lambda file: read_csv(file, sep, encoding))
    data = Data(train="file", sample="file", images="{id}", sep=sep)
    read(content, lambda file: train_table(file.parent, data))
    read(content, lambda file: sample_frame(file.parent, data))


@fuzzed
@given(TABLES.map(lambda text: b"id,fold\n" + text) | TABLES)
def test_folds(content: bytes) -> None:
    read(content, Folds.read)


@fuzzed
@given(TABLES.map(lambda text: HEADER + text) | damaged([HEADER + LINE]))
def test_boards(content: bytes) -> None:
    read(content, lambda file: Board.read(file.parent).sort_entries(), "board.csv")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of each kind as kit writes them."""
    folder = tmp_path_factory.mktemp("written")
    predictions = Predictions(
        np.array(["a", "b"]),
        np.array([0, 1]),
        ("x", "y"),
        np.full((2, 2), 0.5, np.float32),
        Provenance(run="r"),
    )
    predictions.write(folder / "oof.parquet")
    weights = {"w": torch.ones(2, 3), "b": torch.zeros(3)}
    path = checkpoints.save(
        folder, 1, weights, None, {"step": 1, "moments": [weights]}, CheckpointProvenance()
    )
    store = Store.open(folder / "cache")
    store.add({"ab" * 32: np.zeros((2, 2, 3), np.uint8)})
    files = [folder / "oof.parquet", *path.iterdir(), folder / "cache" / "index.npz"]
    return {file.name: file.read_bytes() for file in files}


@fuzzed
@given(data=st.data())
def test_predictions(written: dict[str, bytes], data: st.DataObject) -> None:
    content = data.draw(damaged([written["oof.parquet"]]))
    read(content, Predictions.read)
    read(content, provenance_of)


@fuzzed
@given(data=st.data())
def test_safetensors(written: dict[str, bytes], data: st.DataObject) -> None:
    read(data.draw(damaged([written["model.safetensors"]])), read_safetensors, "a.safetensors")


@fuzzed
@given(data=st.data())
def test_training_states(written: dict[str, bytes], data: st.DataObject) -> None:
    read(data.draw(damaged([written["state.pt"]])), read_state, "state.pt")


@fuzzed
@given(data=st.data())
def test_an_index_of_the_cache(written: dict[str, bytes], data: st.DataObject) -> None:
    read(data.draw(damaged([written["index.npz"]])), lambda file: Store.open(file.parent), "index.npz")


@fuzzed
@given(JSON | st.dictionaries(st.sampled_from(["schema", "files", "number", "step", "about", "asked"]), JSON))
def test_manifests_and_what_else_is_json(value: Any) -> None:
    content = json.dumps(value).encode()

    def all_of(file: Path) -> None:
        checkpoints.latest(file.parent.parent)
        Hashes(file).get(file)
        EpochLog.read(file, 3)
        run = Run(file.parent)
        for name in ("config.json", "folds.csv", "busy.json"):
            (file.parent / name).write_bytes(content)
        record(run)

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0001").mkdir()
        (Path(folder) / "0001" / "manifest.json").write_bytes(content)
        calm(lambda: all_of(Path(folder) / "0001" / "manifest.json"))
