"""Code: what kit itself is made of, as a hash, so that workers of another kit are told apart."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from kit.core.files import fingerprint, sha256

KIT = Path(__file__).parents[1]


@lru_cache
def code() -> str:
    """64 hex digits of every file of kit's code, as this process imports it."""
    files = sorted(KIT.rglob("*.py"))
    return fingerprint([[file.relative_to(KIT).as_posix(), sha256(file)] for file in files])
