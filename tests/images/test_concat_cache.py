"""Two caches as one: the rows of the second follow those of the first, in loader processes too."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.config.models import Data
from kit.core.progress import finish
from kit.errors import DataError
from kit.images.cache import Cache, Geometry, fill_cache
from kit.images.concat_cache import ConcatCache


def cache(root: Path, greys: list[int]) -> Cache:
    """Images of one grey each; one of -1 is no image."""
    paths = [root / f"{grey}.png" for grey in greys]
    for path, grey in zip(paths, greys, strict=True):
        cv2.imwrite(str(path), np.full((9, 9, 3), max(grey, 0), np.uint8))
        if grey < 0:
            path.write_bytes(b"")
    return finish(fill_cache(root / "cache", paths, Geometry(9), Data())).cache


def test_rows_of_all_parts_follow_one_another(tmp_path: Path) -> None:
    parts = (cache(tmp_path, [10, 20]), cache(tmp_path, [30]), cache(tmp_path, [40, -1]))
    for concat_cache in (ConcatCache(parts), pickle.loads(pickle.dumps(ConcatCache(parts)))):
        assert len(concat_cache) == 5
        assert [int(concat_cache[row].mean()) for row in range(4)] == [10, 20, 30, 40]
        assert [path.stem for path in concat_cache.paths] == ["10", "20", "30", "40", "-1"]
        with pytest.raises(DataError, match="D01"):
            concat_cache[4]
        for row in (-1, 5):
            with pytest.raises(IndexError):
                concat_cache[row]
