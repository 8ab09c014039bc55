"""Reading one location as the cache does, for the tests of readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.models import Data
from kit.errors import DataError
from kit.images.reader import ImageSource


def read(location: Path | str, name: str, channels: int = 3, /, **options: Any) -> np.ndarray:
    """The pixels at a location, by a reader with options."""
    source = ImageSource.open(Data(reader={"name": name, **options}), channels=channels)
    return source.read(Path(location)).pixels


def refusal(location: Path | str, name: str, channels: int = 3, /, **options: Any) -> str:
    """The code and the summary of the error that a location gives."""
    with pytest.raises(DataError) as caught:
        read(location, name, channels, **options)
    return f"{caught.value.code} {caught.value.summary}"
