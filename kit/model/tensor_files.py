"""tensors: files of tensors are looked at before they are read, so that none runs code or claims the memory."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from kit.errors import CheckpointError

HEADER = 16 * 2**20  # bytes that a safetensors header may have; a network of 10,000 tensors needs one


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """The tensors by name. Raises CheckpointError D51 for a file that is none, or whose header does not hold."""
    check_tensors(file)
    try:
        return dict(safetensors.torch.load_file(file))
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is not a safetensors file: {error}", code="D51") from None


def read_state(file: Path) -> dict[str, Any]:
    """Plain values and tensors that torch wrote.

    Raises CheckpointError D50 for a file that holds code, D51 for one that is damaged.
    """
    check_tensors(file)
    if not zipfile.is_zipfile(file):
        raise CheckpointError(f"{file} refused: not a torch archive, and it may contain code", code="D50")
    try:
        return dict(torch.load(file, weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises what its parsing happens to raise
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise CheckpointError(f"{file} refused: contains code", code="D50") from None
        raise CheckpointError(f"{file} is damaged: {_first(error)}", code="D51") from None


def check_tensors(file: Path, is_safetensors: bool | None = None) -> None:
    """Looks at what a file of tensors claims, whichever of the two kinds it is. Default: the kind that its name tells.

    Raises CheckpointError D50 for a compressed archive, which torch never writes and a bomb is; D51 for a header
    longer than its file.
    """
    with file.open("rb") as stream:
        claimed = int.from_bytes(stream.read(8), "little")
    size = file.stat().st_size
    if file.suffix == ".safetensors" if is_safetensors is None else is_safetensors:
        if claimed > min(HEADER, size - 8):
            raise CheckpointError(f"{file}: the header says {claimed} bytes, the file has {size}", code="D51")
    elif zipfile.is_zipfile(file):
        _check_archive(file, size)


def _check_archive(file: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{file} is damaged: {error}", code="D51") from None
    if (
        any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        or sum(entry.file_size for entry in entries) > size
    ):
        raise CheckpointError(
            f"{file} refused: compressed, or with a false size in its header",
            code="D50",
            hint="torch.save never compresses",
        )


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
