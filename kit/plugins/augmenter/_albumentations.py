"""The adapter to albumentations: builds, checks, seeds and runs a pipeline written as JSON."""

from __future__ import annotations

import inspect
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kit.errors import ConfigError, did_you_mean
from kit.plugins.augmenter._image_pipeline import arguments_of, warn_of_rgb_only

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels

Recipe = Sequence[Mapping[str, Any]]
MAX_CACHED_PIPELINES = 16  # number of cached pipelines
WHITE = 255  # of float32 images, in kit


_BUILT: dict[
    tuple[int, int, int, str], tuple[object, Any]
] = {}  # by the plugin's identity, so that a call does not serialise it


def augment(
    plugin: object, recipe: Callable[[], Recipe], image: Pixels, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the image after a plugin's transforms, size x size x channels uint8.

    Raises ConfigError for another shape.
    """
    import numpy as np

    pipeline = _of(plugin, recipe, size, image.shape[2], image.dtype.name)
    # all transforms share one generator: `set_random_seed` gives each transform its own generator with the
    # same seed, so that those with p=0.5 would all act on the same half of the images
    pipeline.set_random_state(rng, random.Random(int(rng.integers(2**63))))
    # the library's floats have white at 1
    given = image.copy() if image.dtype == np.uint8 else image / np.float32(WHITE)
    augmented: np.ndarray = pipeline(image=given)["image"]
    if augmented.shape != (size, size, image.shape[2]) or augmented.dtype != image.dtype:
        raise ConfigError(
            f"the transforms give {augmented.dtype} {augmented.shape}, not {image.dtype} "
            f"{(size, size, image.shape[2])}",
            code="C02",
            hint="begin or end with RandomResizedCrop or Resize, and leave Normalize and ToTensorV2 to kit",
        )
    return augmented if image.dtype == np.uint8 else augmented * np.float32(WHITE)


def _of(plugin: object, recipe: Callable[[], Recipe], size: int, channels: int, dtype: str) -> Any:
    """Returns the plugin's pipeline. The cache also holds the plugin, so that its identity is not used again."""
    cached = _BUILT.get((id(plugin), size, channels, dtype))
    if cached is None:
        if len(_BUILT) >= MAX_CACHED_PIPELINES:
            _BUILT.clear()
        entry = plugin, _pipeline(json.dumps(recipe()), size, channels, dtype)
        cached = _BUILT[id(plugin), size, channels, dtype] = entry
    return cached[1]


@lru_cache(maxsize=MAX_CACHED_PIPELINES)
def _pipeline(recipe: str, size: int, channels: int, dtype: str) -> Any:
    """Returns the pipeline, built once per process.

    Albumentations has its own generators, which are set at each call.
    """
    pipeline = build(json.loads(recipe), size)
    if channels != 3 or dtype != "uint8":
        warn_of_rgb_only(_leave_out(pipeline, channels, dtype), channels, dtype)
    return pipeline


def build(recipe: Recipe, size: int) -> Any:
    """Returns albumentations' Compose of a recipe.

    Raises ValueError, naming the transform, for unknown names and arguments.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the network
    import albumentations

    return albumentations.Compose([_transform(entry, size) for entry in recipe])


def try_once(recipe: Recipe, image: Pixels) -> Pixels:
    """Returns the image after all transforms of a recipe. Raises the library's errors."""
    augmented: np.ndarray = build(recipe, 64)(image=image)["image"]
    return augmented


def _leave_out(group: Any, channels: int, dtype: str) -> list[str]:
    """Replaces transforms that do not take images with this number of channels or this type; returns their names."""
    import albumentations
    import numpy as np

    rng, shape, names = np.random.default_rng(0), (64, 64, channels), []
    image = rng.integers(0, 256, shape, np.uint8) if dtype == "uint8" else rng.random(shape, np.float32)
    for index, transform in enumerate(group.transforms):
        if hasattr(transform, "transforms"):
            names += _leave_out(transform, channels, dtype)
        elif isinstance(transform, albumentations.ImageOnlyTransform):
            share, transform.p = transform.p, 1.0
            try:
                augmented = transform(image=image.copy())["image"]
                takes = (
                    augmented.shape == image.shape
                    and augmented.dtype == image.dtype
                    and not _is_rounded(augmented)
                )
            except Exception:  # each transform has its own errors
                takes = False
            transform.p = share
            if not takes:
                names.append(type(transform).__name__)
                group.transforms[index] = albumentations.NoOp(p=share)
    return names


def _is_rounded(augmented: np.ndarray) -> bool:
    """Whether floats went through 8 bits: transforms of bytes convert them in both directions."""
    import numpy as np

    levels = augmented * np.float32(WHITE) if augmented.dtype.kind == "f" else None
    return levels is not None and bool(np.abs(levels - np.rint(levels)).max() < 1e-3)


def _transform(entry: Mapping[str, Any], size: int) -> Any:
    """Returns one transform, or a group such as OneOf with its own `transforms`."""
    maker, name = _maker(entry)
    arguments, known = arguments_of(entry, maker, name, lambda part: _transform(part, size))
    if "transforms" in arguments:
        _check_group(name, arguments)
    arguments |= {key: value for key, value in _sizes(size).items() if _is_wanted(key, known, arguments)}
    try:
        return maker(**arguments)
    except NotImplementedError:
        raise ValueError(f"{name} is a base class of transforms") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {_words(error)}") from None


def _check_group(name: str, arguments: Mapping[str, Any]) -> None:
    """Raises ValueError for values that the library checks in a transform, but not in a group."""
    share, count, most = arguments.get("p", 1), arguments.get("n", 1), len(arguments["transforms"])
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError(f"{name}: p: must be from 0 to 1, not {share!r}")
    if type(count) is not int or not 1 <= count <= most:
        raise ValueError(f"{name}: n: must be from 1 to {most}, the number of its transforms, not {count!r}")


def _maker(entry: Mapping[str, Any]) -> tuple[Any, str]:
    import albumentations

    bases = (albumentations.BasicTransform, albumentations.BaseCompose)
    known = [
        name
        for name, value in vars(albumentations).items()
        if inspect.isclass(value) and issubclass(value, bases)
    ]
    name = entry.get("name") if isinstance(entry, Mapping) else None
    if not isinstance(name, str):
        raise ValueError(f"a transform is {{'name': ..., arguments}}, not {entry!r}")
    if name not in known:
        raise ValueError(f"albumentations has no transform {name!r}{did_you_mean(name, known)}")
    return getattr(albumentations, name), name


def _sizes(size: int) -> dict[str, Any]:
    return {"size": (size, size), "height": size, "width": size, "max_size": size}


def _is_wanted(key: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether kit fills in a size: the transform takes it, and the recipe does not set it."""
    if key == "max_size":
        return "max_size_hw" in known and not {"max_size", "max_size_hw"} & set(given)
    return key in known and key not in given and known[key].default is inspect.Parameter.empty


def _words(error: Exception) -> str:
    """Returns pydantic's many lines as one: the argument, and its problem."""
    lines = [line.strip() for line in str(error).splitlines()]
    if len(lines) < 3 or "validation error" not in lines[0]:
        return " ".join(lines)
    return f"{lines[1]}: {lines[2].split(' [type=')[0].removeprefix('Value error, ')}"
