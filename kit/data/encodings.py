"""Turns a table's bytes into text: refuses other kinds of file, and decodes UTF-8 or the encoding of the config.

An error names the line of the bytes that cannot be decoded.
"""

from __future__ import annotations

import codecs
import html
import json
import re
import shlex
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

from kit.errors import Case, ConfigError, DataError, KitWarning

LINE_END = re.compile("\r\n|\r|\n")
SPREADSHEET = "open it in a spreadsheet program and save it as CSV UTF-8"
DAMAGED = "download the file again: this one is damaged"
TO_CSV = 'python -c "import pandas; pandas.{reader}.to_csv({target!r}, index=False)"'

# first bytes of compressed files, their names, and the command that writes the unpacked file to stdout
COMPRESSED = {
    b"\x1f\x8b": ("a gzip file", "gzip -dc"),
    b"BZh": ("a bzip2 file", "bzip2 -dc"),
    b"\xfd7zXZ\0": ("an xz file", "xz -dc"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "zstd -dc"),
}
# first bytes of other binary files, their names, and the fix
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
    """Raises DataError for content that is not a text table: D70, or D07 for a pointer to a file elsewhere."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"version https://git-lfs"):
        raise DataError(f"{path} is a git-lfs pointer, not the file itself", code="D07", hint="git lfs pull")
    if b"annex/objects/" in start and b"\n" not in content.strip():
        raise DataError(
            f"{path} is a git-annex pointer, not the file itself",
            code="D07",
            hint=f"git annex get {shlex.quote(str(path))}",
        )
    if fault := _binary(path, content):
        what, hint = fault
        raise DataError(f"{path} is {what}, not a CSV", code="D70", hint=hint)
    if fault := _text(path, content, start):
        what, hint = fault
        beginning = " ".join(content[:400].decode("utf-8", "replace").split())[:80]
        raise DataError(
            f"{path} is {what}, not a CSV", code="D70", cases=[Case(f"begins with {beginning!r}")], hint=hint
        )


def _binary(path: Path, content: bytes) -> tuple[str, str] | None:
    """Returns the kind of a binary file, and a fix; None if it is unknown."""
    target = shlex.quote(str(path.with_suffix(f".unpacked{path.suffix}")))
    for magic, (what, command) in COMPRESSED.items():
        if content.startswith(magic) and (magic != b"BZh" or content[4:10] == b"1AY&SY"):
            return what, f"{command} < {shlex.quote(str(path))} > {target}"
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return _zip(path, content)
    if content[257:262] == b"ustar":
        return "a tar archive", f"tar -xf {shlex.quote(str(path))}"
    # a text may start with the letters of these, followed by more letters
    if content[:4] == b"PAR1" and content[4:5] < b" ":
        return "a parquet file", _conversion_command(path, "read_parquet")
    if content[:6] == b"ARROW1" and content[6:7] < b" ":
        return "an Arrow file", _conversion_command(path, "read_feather")
    if content[:3] == b"ORC" and content[3:4] < b" ":
        return "an ORC file", _conversion_command(path, "read_orc")
    if content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05" and content[1:2]:
        return "a Python pickle", "a pickle can run code, so kit never opens it: ask for a CSV"
    for magic, kind in BINARY.items():
        if content.startswith(magic):
            return kind
    return ("binary data", "check that it is the right file, and complete") if _is_binary(content) else None


def _is_binary(content: bytes) -> bool:
    """Whether more than a twentieth of the first bytes are control characters that text does not have."""
    probe = content[:4096]
    if (
        content[:2] in (b"\xff\xfe", b"\xfe\xff")
        or abs(probe[::2].count(0) - probe[1::2].count(0)) > len(probe) / 10
    ):
        return False  # UTF-16 has such bytes, and NULs in every second byte
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
    examples = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    folder = path.with_suffix(".unpacked")
    command = f"python -m zipfile -e {shlex.quote(str(path))} {shlex.quote(str(folder))}"
    return (
        f"a zip archive (of {examples})" if names else "an empty zip archive",
        command if names else DAMAGED,
    )


def _text(path: Path, content: bytes, start: bytes) -> tuple[str, str] | None:
    """Returns the kind of a text that is not a table, and a fix."""
    if match := MARKUP.match(start):
        if match[1].lower() == b"?xml" and b"<html" not in start.lower():
            return "XML", "a failed download? download the file again"
        title = TITLE.search(content[:100_000])
        title_text = " ".join(html.unescape(title[1].decode("utf-8", "replace")).split()) if title else ""
        return (
            f"an HTML page{f' ({title_text[:60]!r})' if title_text else ''}",
            "a failed download? log in, accept the competition's rules, and download the file again",
        )
    if JSON_START.match(start):
        return _json(path, content)
    return None


def _json(path: Path, content: bytes) -> tuple[str, str] | None:
    """Returns the kind of JSON, one value per file or one per line, and a fix; None if it is neither."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        first = content.strip().split(b"\n", 1)[0].rstrip().rstrip(b",")
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            # truncated, or a value over several lines
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
    """Returns the command that writes the rows of a file as CSV beside it."""
    target = str(path.with_suffix(f".text{path.suffix}"))
    return TO_CSV.format(reader=f"{reader}({str(path)!r}{options})", target=target)


BOM = "\ufeff"
PROBED_BYTES = 4096
# of Korean, Chinese, Japanese, Chinese in traditional characters, and Russian text
SCRIPTS = ("cp949", "gb18030", "cp932", "big5", "cp1251")
_LINE_END = re.compile(rb"\r\n|\r|\n")


def decode(path: Path, content: bytes, encoding: str, fixed: str = "") -> str:
    """Returns the text without byte-order marks at its start.

    A UTF-8 table is read as UTF-8 with a warning (W55), even if `encoding` is another one, because text of a
    legacy encoding is never UTF-8 by chance. `fixed` is the hint for files whose encoding the config does not
    set. Raises DataError D25 for another encoding and D71 for NUL bytes, ConfigError for an unknown encoding.
    """
    name = _codec_name(encoding)
    try:
        if not name.startswith(("utf-16", "utf-32")) and _wide(content):
            raise UnicodeError
        if _is_utf8_instead(content, name):
            text = content.decode()
            if not content.isascii() and not fixed:
                warnings.warn(
                    KitWarning(
                        f"W55 {path} is UTF-8, but data.encoding is {encoding}: kit reads it as UTF-8"
                    ),
                    stacklevel=4,
                )
        else:
            text = content.decode(encoding)
    except UnicodeError as error:
        raise _undecodable(path, content, encoding, error, fixed) from None
    text = text.lstrip(BOM)
    if "\0" in text:
        raise _with_nul(path, text)
    return text


def is_utf8(content: bytes) -> bool:
    """Whether the bytes are UTF-8, which includes ASCII."""
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def likely_encoding(content: bytes) -> str:
    """Returns the encoding by its byte-order mark, or by NULs in every second byte, or else UTF-8, cp1252 or
    latin-1.
    """
    if wide := _wide(content):
        return wide
    if is_utf8(content):
        return "utf-8"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _codec_name(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        bytes(range(256)).decode(encoding, "replace")  # raises for codecs that are not encodings of text
    except (LookupError, ValueError):
        raise ConfigError(f"data.encoding: no encoding named {encoding!r}", code="C07") from None
    return "utf-8" if name in ("utf-8", "utf-8-sig") else name


def _wide(content: bytes) -> str:
    """Returns UTF-16 or UTF-32, or an empty text, by a byte-order mark, or by the positions of NULs among the
    first bytes.
    """
    if content[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") and len(content) % 4 == 0:
        return "utf-32"
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    probe = content[: PROBED_BYTES - PROBED_BYTES % 4]
    if b"\0" not in probe or len(probe) < 4:
        return ""
    nul = [_share_of_nul(probe[start::4]) for start in range(4)]
    if min(nul[1], nul[2], nul[3]) > 0.5 and nul[0] == 0:
        return "utf-32-le"
    if min(nul[0], nul[1], nul[2]) > 0.5 and nul[3] == 0:
        return "utf-32-be"
    even, odd = _share_of_nul(probe[::2]), _share_of_nul(probe[1::2])
    if odd > 0.3 and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > 0.3 and odd == 0 else ""


def _share_of_nul(part: bytes) -> float:
    return part.count(0) / max(len(part), 1)


def _is_utf8_instead(content: bytes, name: str) -> bool:
    """Whether a file is UTF-8 instead of the given encoding."""
    if name == "utf-8":
        return False
    if content.startswith(codecs.BOM_UTF8):
        return True
    if name.startswith(("utf-16", "utf-32")):
        return b"\0" not in content and not _wide(content) and is_utf8(content)
    # in encodings with several bytes per character, a short text may be UTF-8 by chance
    one_byte = len(bytes(range(256)).decode(name, "replace")) == 256
    return (one_byte or content.isascii()) and name != "utf-7" and is_utf8(content)


def _undecodable(path: Path, content: bytes, encoding: str, error: UnicodeError, fixed: str) -> DataError:
    likely, name = likely_encoding(content), "UTF-8" if _codec_name(encoding) == "utf-8" else encoding
    where = ""
    if isinstance(error, UnicodeDecodeError) and error.object == content and not _wide(content):
        byte, line = content[error.start], len(_LINE_END.findall(content[: error.start])) + 1
        where = f", line {line} has the byte 0x{byte:02X}"
        if name == "UTF-8" and (damaged := _count_damaged_characters(content)):
            return DataError(
                f"{path} is UTF-8 with {damaged} damaged character{'s' * (damaged > 1)}{where}",
                code="D25",
                hint="correct that line: another encoding would garble the rest",
            )
        if likely in ("cp1252", "latin-1") and name != likely and not _is_western(content):
            return _of_another_script(path, content, name, fixed)
    if _codec_name(likely) == _codec_name(encoding):
        return DataError(
            f"{path} is incomplete: it is not valid {name}{where}",
            code="D25",
            hint=fixed or "download the file again",
        )
    return DataError(
        f"{path} is not {name} (looks like {likely}){where}",
        code="D25",
        hint=fixed or f"data.encoding={likely}",
    )


def _is_western(content: bytes) -> bool:
    """Whether the bytes above 127 may be Western European text: mostly one or two together, and letters in cp1252."""
    runs = re.findall(rb"[\x80-\xff]+", content)
    total, joined = sum(map(len, runs)), sum(len(run) for run in runs if len(run) > 2)
    odd = len(re.findall(rb"[\x81-\x84\x86-\x89\x8b\x8d\x8f\x90]", content))
    return joined <= 0.5 * total and odd <= max(1, 0.3 * total)


def _of_another_script(path: Path, content: bytes, name: str, fixed: str) -> DataError:
    """Returns the error for text in another script, with its first line in each possible encoding."""
    line = next(line for line in _LINE_END.split(content) if not line.isascii())[:200]
    fit = [encoding for encoding in SCRIPTS if _fits(content, encoding)]
    cases = [Case(repr(line.decode(encoding, "replace")), f"data.encoding={encoding}") for encoding in fit]
    quoted = shlex.quote(str(path))
    convert = f"as UTF-8: iconv -f ENCODING -t UTF-8 {quoted} > utf8.csv"
    return DataError(
        f"{path} is neither {name} nor Western European text; is it {' or '.join(fit) or 'text at all'}?",
        code="D25",
        cases=cases,
        hint=fixed or f"set data.encoding, for example with kit init --encoding cp949; or {convert}",
    )


def _fits(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _count_damaged_characters(content: bytes) -> int:
    """Returns the number of damaged characters of a UTF-8 text.

    It is 0 if as few are whole, because it then has another encoding.
    """
    text = content.decode(errors="replace")
    damaged = text.count("\ufffd")
    whole = sum(map(len, re.findall(r"[^\x00-\x7f\ufffd]+", text)))
    return damaged if whole > damaged else 0


def _with_nul(path: Path, text: str) -> DataError:
    count, line = text.count("\0"), line_breaks(text[: text.index("\0")]) + 1
    return DataError(
        f"{path} has {count} NUL byte{'s' * (count > 1)}, the first on line {line}",
        code="D71",
        hint="the file is damaged, for example by an interrupted copy, or is not text: download it again",
    )


def line_breaks(text: str) -> int:
    """Returns the number of line breaks in a text, as a CSV's lines are counted."""
    return len(LINE_END.findall(text)) if "\n" in text or "\r" in text else 0
