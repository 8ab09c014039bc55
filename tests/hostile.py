"""Files that someone wrote to do harm: each claims memory, holds code, leads elsewhere, or ends a careless reader."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
from pyarrow import parquet

from kit.data.predictions import METADATA_KEY

DEEP = "[" * 100_000 + "]" * 100_000
LONG = "9" * 100_000


class Code:
    """Unpickled, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def code_as_state(file: Path, trace: Path) -> None:
    torch.save({"step": Code(trace)}, file)


def code_as_bare_pickle(file: Path, trace: Path) -> None:
    file.write_bytes(pickle.dumps({"state_dict": Code(trace)}))


def code_beneath_a_tensors_name(file: Path, trace: Path) -> None:
    """An archive as torch writes it, whose pickle is another."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("state/data.pkl", pickle.dumps(Code(trace), protocol=2))
        archive.writestr("state/version", "3\n")
        archive.writestr("state/byteorder", "little")


def bomb_as_state(file: Path, trace: Path) -> None:
    """One megabyte that unpacks to one gigabyte."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("state/data.pkl", "w", force_zip64=True) as entry:
            for _ in range(64):
                entry.write(bytes(2**24))
        archive.writestr("state/version", "3\n")


def overlapping_archive(file: Path, trace: Path) -> None:
    """Two thousand names of one megabyte of data."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("state/data.pkl", bytes(2**20))
        first = archive.infolist()[0]
        archive.filelist += [first] * 2000
    file.write_bytes(content.getvalue())


def safetensors(header: bytes, length: int | None = None, body: bytes = b"") -> Callable[[Path, Path], None]:
    def write(file: Path, trace: Path) -> None:
        file.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + body)

    return write


def tensor(offsets: list[int], shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


SAFETENSORS = {
    "overlapping tensors": safetensors(
        json.dumps({"a": tensor([0, 8], [2]), "b": tensor([4, 12], [2])}).encode(), body=bytes(12)
    ),
    "beyond its end": safetensors(
        json.dumps({"a": tensor([0, 4 * 10**9], [10**9])}).encode(), body=bytes(16)
    ),
    "huge shape": safetensors(json.dumps({"a": tensor([0, 4], [2**40, 2**40])}).encode(), body=bytes(4)),
    "header of an exabyte": safetensors(b"{}", length=2**60),
    "header of 60 MB": safetensors(b'{"a":"' + b"a" * (60 * 2**20) + b'"}'),
    "deep header": safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "header that is no JSON": safetensors(b"\xff\xfe\0{"),
    "empty": safetensors(b"", length=0),
}
STATES = {
    "code": code_as_state,
    "code in a bare pickle": code_as_bare_pickle,
    "code in an archive": code_beneath_a_tensors_name,
    "bomb": bomb_as_state,
    "overlapping": overlapping_archive,
}


def bomb_as_index(file: Path) -> None:
    header = {"descr": "<i8", "fortran_order": False, "shape": (2**24,)}  # 128 megabytes
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("schema.npy", "generation.npy", "hashes.npy", "places.npy"):
            with archive.open(name, "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(entry, header)
                for _ in range(8 if name == "places.npy" else 0):
                    entry.write(bytes(2**24))


def claim_as_index(file: Path) -> None:
    """A stored array whose header claims a terabyte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (2**37,)})
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("schema.npy", "generation.npy", "hashes.npy", "places.npy"):
            archive.writestr(name, header.getvalue())


def code_as_index(file: Path, trace: Path) -> None:
    np.savez(file, schema=np.array([Code(trace)], dtype=object), allow_pickle=True)


def predictions_bomb(file: Path) -> None:
    """Two hundred kilobytes that claim a gigabyte."""
    rows = 2**20
    column = pyarrow.array(np.zeros(rows, np.float32))
    names = [f"c{number}" for number in range(250)]
    ids = pyarrow.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["a"])
    meta = {METADATA_KEY: json.dumps({"schema": 1, "classes": names, "about": {}}).encode()}
    arrays = [ids, pyarrow.array(np.zeros(rows, np.int64)), *[column] * len(names)]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, names=["id", "fold", *names], metadata=meta), file)


def predictions_with(meta: str) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        table = pyarrow.table(
            {"id": ["a"], "fold": [0], "x": np.array([0.5], np.float32), "y": np.array([0.5], np.float32)}
        )
        parquet.write_table(table.replace_schema_metadata({METADATA_KEY: meta.encode()}), file)

    return write


PREDICTIONS = {
    "bomb": predictions_bomb,
    "deep": predictions_with('{"schema": 1, "classes": ["x", "y"], "about": ' + DEEP + "}"),
    "long number": predictions_with('{"schema": ' + LONG + ', "classes": ["x", "y"], "about": {}}'),
    "classes that are no text": predictions_with('{"schema": 1, "classes": [1, {}], "about": {}}'),
    "about that is no object": predictions_with('{"schema": 1, "classes": ["x", "y"], "about": 7}'),
    "half a character": predictions_with('{"schema": 1, "classes": ["\\ud800", "y"], "about": {}}'),
}
CONFIGS = {
    "deep": '{"loss": ' + DEEP + "}",
    "long number": '{"epochs": ' + LONG + "}",
    "oversized": '{"metric": "' + "a" * 2**23 + '"}',
    "half a character": '{"metric": "\\ud800"}',
    "infinite": '{"epochs": Infinity}',
    "many keys": "{" + ",".join(f'"k{n}": 1' for n in range(50_000)) + "}",
}


def png_bomb(file: Path) -> None:
    """250 kilobytes that are a gigabyte of pixels, as the header says."""
    side = 20_000

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2**24), 1)) + chunk(b"IEND", b"")
    )
