"""CheckedDict: a file's metadata as a mapping; a missing key is an error of kit's that names the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kit.errors import KitError


class CheckedDict(dict[str, Any]):
    """A mapping from a file, and the nested ones; `fails` makes the error from the key that is missing."""

    def __init__(self, values: Mapping[str, Any], fails: Callable[[str], KitError]) -> None:
        super().__init__({key: self._inner(value, fails) for key, value in values.items()})
        self._fails = fails

    @classmethod
    def _inner(cls, value: Any, fails: Callable[[str], KitError]) -> Any:
        return cls(value, fails) if isinstance(value, dict) else value

    def __missing__(self, key: str) -> Any:
        raise self._fails(key)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # to another process it goes as it is
