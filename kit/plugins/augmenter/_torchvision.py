"""The adapter to torchvision's transforms v2: builds, checks, seeds and runs a pipeline written as JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kit.errors import ConfigError, did_you_mean
from kit.plugins.augmenter._image_pipeline import arguments_of, warn_of_rgb_only

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels

Recipe = Sequence[Mapping[str, Any]]
ELSEWHERE = {"CutMix": "loss=cutmix", "MixUp": "loss=mixup"}  # transforms of a batch are losses in kit
WHITE = 255  # of float32 images, in kit
COMPILED = ("JPEG",)  # transforms that call torchvision's compiled operators


def augment(recipe: Recipe, image: Pixels, size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the image after the recipe's transforms, size x size x channels uint8.

    Raises ConfigError for another shape.
    """
    import torch

    is_bytes = image.dtype.name == "uint8"
    pipeline = _pipeline(json.dumps(recipe), size, image.shape[2], image.dtype.name)
    given = torch.from_numpy(image.copy())
    given = given if is_bytes else given / WHITE  # the library's floats have white at 1
    with _seed_torch(int(rng.integers(2**63))), torch.no_grad():
        augmented = pipeline(given.permute(2, 0, 1))
    if (
        not isinstance(augmented, torch.Tensor)
        or augmented.shape != (image.shape[2], size, size)
        or augmented.dtype != given.dtype
    ):
        raise ConfigError(
            f"the transforms give {_shape(augmented)}, not {given.dtype} ({image.shape[2]}, {size}, {size})",
            code="C02",
            hint="begin or end with RandomResizedCrop or Resize, and leave ToDtype and Normalize to kit",
        )
    return (augmented if is_bytes else augmented * WHITE).permute(1, 2, 0).contiguous().numpy()


def _shape(augmented: Any) -> str:
    return (
        f"{augmented.dtype} {tuple(augmented.shape)}"
        if hasattr(augmented, "shape")
        else f"a {type(augmented).__name__}"
    )


@contextmanager
def _seed_torch(seed: int) -> Iterator[None]:
    """Seeds torch's global CPU generator with `seed` within the block, and restores its state afterwards.

    torch.manual_seed would also seed every GPU's generator, and so change a batch's dropout.
    """
    import torch

    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


@lru_cache(maxsize=16)
def _pipeline(recipe: str, size: int, channels: int, dtype: str) -> Any:
    entries = json.loads(recipe)
    if channels == 3 and dtype == "uint8":
        return build(entries, size)
    usable = [entry for entry in entries if _takes(entry, size, channels, dtype)]
    warn_of_rgb_only([entry["name"] for entry in entries if entry not in usable], channels, dtype)
    return build(usable, size)


def _takes(entry: Mapping[str, Any], size: int, channels: int, dtype: str) -> bool:
    """Whether a transform takes an image with this number of channels and this type."""
    import torch

    image = torch.zeros((channels, size, size), dtype=getattr(torch, dtype))
    with _seed_torch(0):
        try:
            results = [build([entry], size)(image) for _ in range(4)]
            return all(
                augmented.shape[0] == channels and augmented.dtype == image.dtype for augmented in results
            )
        except Exception:  # each transform has its own errors
            return False


def build(recipe: Recipe, size: int) -> Any:
    """Returns torchvision's Compose of a recipe.

    Raises ValueError, naming the transform, for unknown names and arguments.
    """
    return _library().Compose([_transform(entry, size) for entry in recipe])


def try_once(recipe: Recipe, image: Pixels) -> Pixels:
    """Returns the image after all transforms of a recipe. Raises the library's errors."""
    import torch

    with _seed_torch(0), torch.no_grad():
        augmented = build(recipe, 64)(torch.from_numpy(image).permute(2, 0, 1))
    if not isinstance(augmented, torch.Tensor):
        raise ValueError(f"the transforms return a {type(augmented).__name__}, not a tensor")
    return augmented.permute(1, 2, 0).numpy()


def _library() -> Any:
    from kit.device.torch_internals import prepare_torchvision

    prepare_torchvision()
    from torchvision.transforms import v2

    return v2


def _transform(entry: Mapping[str, Any], size: int) -> Any:
    """Returns one transform, or a group such as RandomChoice with its own `transforms`."""
    maker, name = _maker(entry)
    arguments, known = arguments_of(entry, maker, name, lambda part: _transform(part, size))
    sizes = {"size": (size, size), "target_size": (size, size)}
    arguments = {key: value for key, value in sizes.items() if key in known} | arguments
    # RandAugment of torchvision 0.21 and 0.22 takes the mode but not its name
    modes = {mode.value: mode for mode in _library().InterpolationMode}
    if isinstance(arguments.get("interpolation"), str):
        arguments["interpolation"] = modes.get(arguments["interpolation"], arguments["interpolation"])
    try:
        return maker(**arguments)
    except (TypeError, ValueError, NotImplementedError) as error:
        message = " ".join(str(error).split())
        raise ValueError(f"{name}: {message}") from None


def _maker(entry: Mapping[str, Any]) -> tuple[Any, str]:
    v2 = _library()
    known = [
        name
        for name, value in vars(v2).items()
        if inspect.isclass(value) and issubclass(value, v2.Transform) and value is not v2.Transform
    ]
    name = entry.get("name") if isinstance(entry, Mapping) else None
    if not isinstance(name, str):
        raise ValueError(f"a transform is {{'name': ..., arguments}}, not {entry!r}")
    if name in ELSEWHERE:
        raise ValueError(f"{name} mixes a batch, not one image: {ELSEWHERE[name]} does that")
    if name not in known:
        raise ValueError(f"torchvision.transforms.v2 has no transform {name!r}{did_you_mean(name, known)}")
    if name in COMPILED and not has_compiled_operators():
        raise ValueError(
            f"{name} needs torchvision's compiled image operators, which do not load beside this torch; "
            "augmenter=albumentations has ImageCompression"
        )
    return getattr(v2, name), name


def has_compiled_operators() -> bool:
    """Whether torchvision's compiled image operators are available; kit.device.torch_internals says why they
    may be missing.
    """
    import torch

    _library()
    return hasattr(torch.ops.image, "encode_jpeg")
