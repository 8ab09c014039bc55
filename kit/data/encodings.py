"""Decodes a table's bytes: UTF-8, or the encoding of the config; the line of what cannot be decoded is named."""

from __future__ import annotations

import codecs
import re
import shlex
import warnings
from pathlib import Path

from kit.data.quotes import line_breaks
from kit.errors import Case, ConfigError, DataError, KitWarning

BOM = "\ufeff"
PROBED_BYTES = 4096
# of Korean, Chinese, Japanese, Chinese in traditional characters, and Russian text
SCRIPTS = ("cp949", "gb18030", "cp932", "big5", "cp1251")
_LINE_END = re.compile(rb"\r\n|\r|\n")


def decode(path: Path, content: bytes, encoding: str, fixed: str = "") -> str:
    """The text without byte-order marks at its start.

    A table that is UTF-8 though `encoding` is another is read as UTF-8, with a warning (W55): text of a legacy encoding
    is never UTF-8 by chance. `fixed` is the hint for files whose encoding is not the config's. Raises DataError
    D25 for another encoding and D71 for NUL bytes, ConfigError for an unknown encoding.
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
    """Whether the bytes are UTF-8, as they are if they are ASCII."""
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def likely_encoding(content: bytes) -> str:
    """The encoding by its byte-order mark, or by NULs in every second byte, or else UTF-8, cp1252 or latin-1."""
    if found := _wide(content):
        return found
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
        bytes(range(256)).decode(encoding, "replace")  # raises for codecs that are no encodings of text
    except (LookupError, ValueError):
        raise ConfigError(f"data.encoding: no encoding named {encoding!r}", code="C07") from None
    return "utf-8" if name in ("utf-8", "utf-8-sig") else name


def _wide(content: bytes) -> str:
    """UTF-16 or UTF-32, or blank: by a byte-order mark, or by the places of NULs among the first bytes."""
    if content[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") and len(content) % 4 == 0:
        return "utf-32"
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    probe = content[: PROBED_BYTES - PROBED_BYTES % 4]
    if b"\0" not in probe or len(probe) < 4:
        return ""
    nul = [_share_of_nul(probe[place::4]) for place in range(4)]
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
    """Whether a file is UTF-8 though it should be in another encoding."""
    if name == "utf-8":
        return False
    if content.startswith(codecs.BOM_UTF8):
        return True
    if name.startswith(("utf-16", "utf-32")):
        return b"\0" not in content and not _wide(content) and is_utf8(content)
    # of encodings with several bytes a character, a short text may be UTF-8 by chance
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
    """The error for text in a script of its own, with its first line in each encoding that it may be in."""
    line = next(line for line in _LINE_END.split(content) if not line.isascii())[:200]
    fit = [encoding for encoding in SCRIPTS if _fits(content, encoding)]
    cases = [Case(repr(line.decode(encoding, "replace")), f"data.encoding={encoding}") for encoding in fit]
    shown = shlex.quote(str(path))
    convert = f"as UTF-8: iconv -f ENCODING -t UTF-8 {shown} > utf8.csv"
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
    """How many characters of a UTF-8 text are damaged; 0 where as few are whole, so that it is another encoding."""
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
