"""Recipes of another library's transforms: checks arguments, tries all transforms once, and finds those that mirror."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kit.errors import KitWarning, did_you_mean

if TYPE_CHECKING:
    import numpy as np

Recipe = Sequence[Mapping[str, Any]]
TRIAL_SIDES = (256, 1536)  # pixels; the second is for crops that do not fit into the first
MIRRORING = frozenset({"HorizontalFlip", "RandomHorizontalFlip", "D4", "SquareSymmetry", "Transpose"})


def arguments_of(
    entry: Mapping[str, Any], maker: Any, name: str, inner: Callable[[Mapping[str, Any]], Any]
) -> tuple[dict[str, Any], dict[str, inspect.Parameter]]:
    """Returns an entry's arguments, its own `transforms` made by `inner`, and all parameters of the class.

    Raises ValueError for an argument that the class does not take, with the nearest name, and for an empty
    group.
    """
    known = {
        key: parameter
        for key, parameter in inspect.signature(maker.__init__).parameters.items()
        if key != "self"
    }
    arguments = {key: value for key, value in entry.items() if key != "name"}
    for key in arguments:
        if key not in known:
            raise ValueError(f"{name} has no argument {key!r}{did_you_mean(key, known)}")
    if "transforms" in known:
        parts = arguments.get("transforms")
        if not isinstance(parts, list | tuple) or not parts:
            raise ValueError(f"{name} needs a list of transforms")
        arguments["transforms"] = [inner(part) for part in parts]
    return arguments, known


def mirrors(recipe: Recipe) -> bool:
    """Whether a transform of the recipe may show an image mirrored."""
    return any(entry.get("name") in MIRRORING for entry in _single_transforms(recipe))


def try_all(recipe: Recipe, run: Callable[[Recipe, np.ndarray], np.ndarray]) -> None:
    """Applies every transform with a probability above 0 once, including groups, to a drawn image.

    Equal recipes are tried once per process.

    `run` applies a recipe to an image (height, width, 3) uint8. Raises ValueError if it raises, or returns other
    values than uint8 or other channels.
    """
    _try_all(json.dumps(recipe), run)


@lru_cache(maxsize=64)
def _try_all(written: str, run: Callable[[Recipe, np.ndarray], np.ndarray]) -> None:
    import numpy as np

    recipe = json.loads(written)
    certain = [{**entry, "p": 1.0} if "p" in entry else entry for entry in _single_transforms(recipe)]
    for side in TRIAL_SIDES:
        image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        try:
            augmented = run(certain, image)
        except Exception as error:  # any error of a library's transform
            if side == TRIAL_SIDES[-1]:
                raise ValueError(
                    f"one try with every p = 1 failed: {' '.join(str(error).split())}"
                ) from error
        else:
            break
    if augmented.dtype != np.uint8 or augmented.shape[2:] != (3,):
        raise ValueError(
            f"with every p = 1 the transforms return {augmented.dtype} {augmented.shape}, not uint8 "
            "(height, width, 3); leave Normalize and conversions of the type to kit"
        )


def _single_transforms(recipe: Recipe) -> Iterator[Mapping[str, Any]]:
    """Yields the transforms of a recipe and of its groups, without those of probability 0."""
    for entry in recipe:
        if entry.get("p") == 0:
            continue
        if "transforms" in entry:
            yield from _single_transforms(entry["transforms"])
        else:
            yield entry


def warn_of_rgb_only(names: Sequence[str], channels: int, dtype: str = "uint8") -> None:
    """Warns (W84) of transforms that take only 8-bit RGB images, and are left out."""
    if not names:
        return
    what = f"{channels} channels" if dtype == "uint8" else f"{channels} channels of {dtype}"
    wanted = "RGB" if dtype == "uint8" else "RGB of 8 bits"
    text = f"W84 images have {what}, so transforms for {wanted} are left out: {', '.join(names)}"
    warnings.warn(KitWarning(text), stacklevel=3)
