"""Whether a file is an image by its content, where its ending says nothing."""

from __future__ import annotations

import posixpath
import re
import stat
from pathlib import Path

from kit.decoding.formats import sniff
from kit.errors import DataError

FIRST = 4096  # bytes that are looked at
PPM = re.compile(rb"P\d\s+(?:#[^\n]*\n\s*)*\d+\s")  # then comes the width
# texts and tables about images, which lie beside them
SIDECARS = frozenset({
    ".cpp", ".csv", ".db", ".doc", ".docx", ".html", ".ini", ".ipynb", ".js", ".json", ".jsonl", ".log", ".md", ".py",
    ".rst", ".sh", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
})  # fmt: skip
# images, films, arrays and archives that kit does not read
UNREAD = frozenset({
    ".7z", ".avi", ".bin", ".ckpt", ".dcm", ".gz", ".h5", ".hdf5", ".heic", ".heif", ".jp2", ".jxl", ".lmdb", ".mat",
    ".mov", ".mp3", ".mp4", ".nii", ".npy", ".npz", ".onnx", ".parquet", ".pdf", ".pkl", ".pt", ".pth", ".rar",
    ".safetensors", ".svg", ".tar", ".tfrec", ".tfrecord", ".tgz", ".wav", ".zip",
})  # fmt: skip
OTHERS = SIDECARS | UNREAD  # not opened, for there may be very many


def ending(name: str) -> str:
    """A file's ending in small letters, such as `.jpg`; blank without one."""
    return posixpath.splitext(name)[1].lower()


def without_ending(path: str) -> str:
    """A path without its file's ending: `a.b/c.jpg` is `a.b/c`, and `a.b/c` stays."""
    return posixpath.splitext(path)[0]


def is_image_file(path: str) -> bool:
    """Whether a regular file's first bytes are those of an image that kit reads. Raises no error."""
    if ending(path) in OTHERS:
        return False
    try:
        file_path = Path(path)
        if not stat.S_ISREG(file_path.stat().st_mode):
            return False  # opening a pipe would wait for its writer
        with file_path.open("rb") as file:
            content = file.read(FIRST)
        return _is_certain(sniff(content), content)
    except (OSError, ValueError, DataError):
        return False


def _is_certain(form: str, content: bytes) -> bool:
    """Two letters begin BMP and PPM, and many a text: what follows must fit too."""
    if form == "BMP":
        return content[6:10] == bytes(4)
    return PPM.match(content) is not None if form == "PPM" else True
