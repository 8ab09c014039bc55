"""Array types by their meaning. N rows, K classes, M members, H and W pixels; a signature's docstring has the shape."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Probabilities: TypeAlias = NDArray[np.floating[Any]]  # (N, K), or (M, N, K) for members: float32 or float64
StoredProbabilities: TypeAlias = NDArray[np.float32]  # (N, K), as prediction files have them
Targets: TypeAlias = NDArray[Any]  # class numbers (N,), multi-hot or numbers (N, K): kit/kinds/targets.py
FoldNumbers: TypeAlias = NDArray[np.int64]  # (N,) or (N, repeats), -1: held out by no fold
RowNumbers: TypeAlias = NDArray[np.int64]  # positions of rows in a table
RowMask: TypeAlias = NDArray[np.bool_]  # (N,), true for chosen rows
Ids: TypeAlias = NDArray[np.str_]  # (N,)
Pixels: TypeAlias = NDArray[np.uint8 | np.float32]  # (H, W, C), white at 255; three channels are RGB
UnitVectors: TypeAlias = NDArray[
    np.floating[Any]
]  # (N, features), of length 1: float16 in files, else float32
