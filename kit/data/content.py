"""Detects by its content if a file is an image, when its ending does not show it."""

from __future__ import annotations

import posixpath
import re
import stat
from pathlib import Path

from kit.core.file_formats import sniff
from kit.errors import DataError

SNIFFED_BYTES = 4096  # number of bytes that are read
PPM = re.compile(rb"P\d\s+(?:#[^\n]*\n\s*)*\d+\s")  # followed by the width
# texts and tables about images, which are stored beside them
SIDECARS = frozenset({
    ".cpp", ".csv", ".db", ".doc", ".docx", ".html", ".ini", ".ipynb", ".js", ".json", ".jsonl", ".log", ".md", ".py",
    ".rst", ".sh", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
})  # fmt: skip
# files that kit does not read: archives, images and arrays of other formats, and networks
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst"})
FORMATS = {
    ".dcm": "DICOM", ".npy": "NumPy arrays", ".npz": "NumPy arrays", ".jp2": "JPEG 2000", ".heic": "HEIC",
    ".heif": "HEIC", ".jxl": "JPEG XL", ".parquet": "Parquet", ".h5": "HDF5", ".hdf5": "HDF5", ".mp4": "video",
    ".mov": "video", ".avi": "video", ".tfrec": "TFRecord", ".tfrecord": "TFRecord", ".mat": "MATLAB", ".wav": "audio",
    ".mp3": "audio", ".lmdb": "LMDB", ".nii": "NIfTI", ".svg": "SVG", ".pdf": "PDF", ".pkl": "pickles",
}  # fmt: skip
NETWORKS = frozenset({".bin", ".ckpt", ".onnx", ".pt", ".pth", ".safetensors"})
UNREAD = ARCHIVES | FORMATS.keys() | NETWORKS
OTHERS = SIDECARS | UNREAD  # not opened, because there may be very many


def ending(name: str) -> str:
    """Returns a file's ending in lower case, such as `.jpg`; empty without one."""
    return posixpath.splitext(name)[1].lower()


def without_ending(path: str) -> str:
    """Returns a path without its file's ending: `a.b/c.jpg` becomes `a.b/c`, and `a.b/c` stays."""
    return posixpath.splitext(path)[0]


def is_image_file(path: str) -> bool:
    """Whether a regular file starts with the bytes of an image that kit reads. Raises no error."""
    if ending(path) in OTHERS:
        return False
    try:
        file_path = Path(path)
        if not stat.S_ISREG(file_path.stat().st_mode):
            return False  # opening a pipe would wait for its writer
        with file_path.open("rb") as file:
            content = file.read(SNIFFED_BYTES)
        return _is_certain(sniff(content), content)
    except (OSError, ValueError, DataError):
        return False


def _is_certain(form: str, content: bytes) -> bool:
    """Checks more than the first two letters, because BMP, PPM and many texts start with the same ones."""
    if form == "BMP":
        return content[6:10] == bytes(4)
    return PPM.match(content) is not None if form == "PPM" else True
