"""Files of another kind that are named .csv, recognised by their first bytes."""

from __future__ import annotations

import html
import json
import re
import shlex
import zipfile
from io import BytesIO
from pathlib import Path

from kit.errors import Case, DataError

SPREADSHEET = "open it in a spreadsheet program and save it as CSV UTF-8"
DAMAGED = "download the file again: this one is damaged"
TO_CSV = 'python -c "import pandas; pandas.{reader}.to_csv({target!r}, index=False)"'

# first bytes of compressed files, what they are, and the command that writes the unpacked file to stdout
COMPRESSED = {
    b"\x1f\x8b": ("a gzip file", "gzip -dc"),
    b"BZh": ("a bzip2 file", "bzip2 -dc"),
    b"\xfd7zXZ\0": ("an xz file", "xz -dc"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "zstd -dc"),
}
# first bytes of other binary files, what they are, and what to do
BINARY = {
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it with 7z x"),
    b"Rar!\x1a\x07": ("a rar archive", "unpack it with unrar x"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook (.xls)", SPREADSHEET),
    b"{\\rtf": ("an RTF document", "save it as plain text"),
    b"%PDF-": ("a PDF document", "download the CSV itself"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "export its rows as CSV"),
    b"SQLite format 3\0": ("an SQLite database", "export its rows as CSV"),
    b"\x93NUMPY": ("a NumPy array", "export its rows as CSV"),
    b"MATLAB 5.0 MAT-file": ("a MATLAB file", "export its rows as CSV"),
    b"Obj\x01": ("an Avro file", "export its rows as CSV"),
    b"\xff\xd8\xff": ("a JPEG image", "download the CSV itself"),
    b"\x89PNG\r\n\x1a\n": ("a PNG image", "download the CSV itself"),
    b"GIF89a": ("a GIF image", "download the CSV itself"),
    b"GIF87a": ("a GIF image", "download the CSV itself"),
}
MARKUP = re.compile(
    rb"<(!doctype|!--|\?xml|(?:html|head|body|title|script|meta|table|div|p|h1|svg|error|response)\b)",
    re.IGNORECASE,
)
JSON_START = re.compile(rb'[\[{]\s*(["{\[\]}\d-]|true|false|null)')
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def refuse_other_kinds(path: Path, content: bytes) -> None:
    """Raises DataError for content that is no text table: D70, or D07 for a pointer to a file that is elsewhere."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"version https://git-lfs"):
        raise DataError(f"{path} is a git-lfs pointer, not the file itself", code="D07", hint="git lfs pull")
    if b"annex/objects/" in start and b"\n" not in content.strip():
        raise DataError(
            f"{path} is a git-annex pointer, not the file itself",
            code="D07",
            hint=f"git annex get {shlex.quote(str(path))}",
        )
    if found := _binary(path, content):
        what, hint = found
        raise DataError(f"{path} is {what}, not a CSV", code="D70", hint=hint)
    if found := _text(path, content, start):
        what, hint = found
        shown = " ".join(content[:400].decode("utf-8", "replace").split())[:80]
        raise DataError(
            f"{path} is {what}, not a CSV", code="D70", cases=[Case(f"begins with {shown!r}")], hint=hint
        )


def _binary(path: Path, content: bytes) -> tuple[str, str] | None:
    """What a binary file is, and what to do; None for one that is unknown."""
    target = shlex.quote(str(path.with_suffix(f".unpacked{path.suffix}")))
    for magic, (what, command) in COMPRESSED.items():
        if content.startswith(magic) and (magic != b"BZh" or content[4:10] == b"1AY&SY"):
            return what, f"{command} < {shlex.quote(str(path))} > {target}"
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return _zip(path, content)
    if content[257:262] == b"ustar":
        return "a tar archive", f"tar -xf {shlex.quote(str(path))}"
    # a text may begin with the letters of these, and then goes on with more letters
    if content[:4] == b"PAR1" and content[4:5] < b" ":
        return "a parquet file", _conversion_command(path, "read_parquet")
    if content[:6] == b"ARROW1" and content[6:7] < b" ":
        return "an Arrow file", _conversion_command(path, "read_feather")
    if content[:3] == b"ORC" and content[3:4] < b" ":
        return "an ORC file", _conversion_command(path, "read_orc")
    if content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05" and content[1:2]:
        return "a Python pickle", "a pickle can run code, so kit never opens it: ask for a CSV"
    for magic, found in BINARY.items():
        if content.startswith(magic):
            return found
    return ("binary data", "check that it is the right file, and complete") if _is_binary(content) else None


def _is_binary(content: bytes) -> bool:
    """Whether more than a twentieth of the first bytes are control characters that no text has."""
    probe = content[:4096]
    if (
        content[:2] in (b"\xff\xfe", b"\xfe\xff")
        or abs(probe[::2].count(0) - probe[1::2].count(0)) > len(probe) / 10
    ):
        return False  # UTF-16 has such bytes, and NULs in every second place
    controls = sum(map(probe.count, (*range(1, 9), *range(14, 27), *range(28, 32))))
    return controls > len(probe) / 20


def _zip(path: Path, content: bytes) -> tuple[str, str]:
    try:
        names = zipfile.ZipFile(BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        workbook = b"[Content_Types].xml" in content[:4096] or b"xl/" in content[:4096]
        return f"an incomplete {'Excel workbook' if workbook else 'zip archive'}", DAMAGED
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook (.xlsx)", SPREADSHEET
    if "content.xml" in names or any(name.endswith(".iwa") for name in names):
        return "a spreadsheet (OpenDocument or Numbers)", SPREADSHEET
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    folder = path.with_suffix(".unpacked")
    command = f"python -m zipfile -e {shlex.quote(str(path))} {shlex.quote(str(folder))}"
    return f"a zip archive (of {shown})" if names else "an empty zip archive", command if names else DAMAGED


def _text(path: Path, content: bytes, start: bytes) -> tuple[str, str] | None:
    """What a text that is no table is, and what to do."""
    if found := MARKUP.match(start):
        if found[1].lower() == b"?xml" and b"<html" not in start.lower():
            return "XML", "a failed download? download the file again"
        title = TITLE.search(content[:100_000])
        named = " ".join(html.unescape(title[1].decode("utf-8", "replace")).split()) if title else ""
        return (
            f"an HTML page{f' ({named[:60]!r})' if named else ''}",
            "a failed download? log in, accept the competition's rules, and download the file again",
        )
    if JSON_START.match(start):
        return _json(path, content)
    return None


def _json(path: Path, content: bytes) -> tuple[str, str] | None:
    """JSON with a value for the whole file, or a value a line; None where it is neither."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        first = content.strip().split(b"\n", 1)[0].rstrip().rstrip(b",")
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            # cut off, or a value over several lines
            return ("incomplete JSON", DAMAGED) if b'":' in first or first in (b"[", b"{") else None
        if b'":' not in first:
            return None
        return "JSON (one value per line)", _conversion_command(
            path, "read_json", ", lines=True, dtype=False"
        )
    rows = isinstance(value, list) and all(isinstance(row, dict) for row in value)
    if rows or (isinstance(value, dict) and all(isinstance(row, dict | list) for row in value.values())):
        return "JSON", _conversion_command(path, "read_json", ", dtype=False, convert_dates=False")
    return "JSON", "a failed download? download the file again"


def _conversion_command(path: Path, reader: str, options: str = "") -> str:
    """The command that writes the rows of a file as CSV beside it."""
    target = str(path.with_suffix(f".text{path.suffix}"))
    return TO_CSV.format(reader=f"{reader}({str(path)!r}{options})", target=target)
