"""Weights file: identifies which of timm's networks a file of weights belongs to, by its metadata, its name
and its tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kit.errors import ConfigError
from kit.model.weight_files import common_start, read_weights

NETWORKS = Path(__file__).with_name("networks.txt")  # tools/list_networks.py writes it
# outermost modules of timm's classifiers, whose shape depends on a file's classes
CLASSIFIERS = frozenset(
    {"aux_head", "classif", "classifier", "fc", "head", "head_dist", "heads", "heads_dist", "last_linear"}
)

Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Identified:
    """The network of a file, the reason, and the networks with the same tensors."""

    arch: str
    why: str
    others: tuple[str, ...] = ()


def identify(file: Path) -> Identified:
    """Identifies the network of a file of weights, or of a folder with one, such as a run of another
    workspace.

    The network that the file or the config.json beside it names comes first. Second is the one in the file's
    name, if its tensors fit. Then come networks whose tensors have the same names and shapes, and those with
    the same shapes under other names. Raises CheckpointError D50 and D51 if the file cannot be read,
    ConfigError C52 if no network of timm fits.
    """
    weights = read_weights(file)
    if weights.architecture and _is_network(weights.architecture):
        return Identified(weights.architecture, "the file or the config.json beside it names it")
    shapes = {name: tuple(value.shape) for name, value in weights.state.items() if hasattr(value, "shape")}
    by_name, by_shape = _index()
    candidates, what = by_name.get(digest(shapes), ()), "names and shapes"
    if not candidates:
        candidates, what = by_shape.get(digest(shapes, names=False), ()), "shapes"
    written = _in_name(file, candidates)
    if written:
        others = tuple(arch for arch in candidates if arch != written)
        return Identified(written, f"the file's name and the {what} of its {len(shapes)} tensors", others)
    if candidates:
        return Identified(candidates[0], f"the {what} of its {len(shapes)} tensors", candidates[1:])
    raise ConfigError(
        f"{file.name}: its {len(shapes)} tensors are those of no network of timm",
        code="C52",
        hint="kit init --network NAME, or a plugin of yours: kit plugins new backbone NAME",
    )


def digest(shapes: Shapes, names: bool = True) -> str:
    """Returns a hash of the names and shapes of a network's tensors, or only of the shapes of its kernels and matrices.

    The classifier is left out, because its shape depends on the classes. Counters and common prefixes are left out too.
    """
    first = common_start(shapes)
    body = {name[first:]: shape for name, shape in shapes.items() if not _is_aside(name[first:])}
    if names:
        start = common_start(body)
        lines = sorted(f"{name[start:]} {tuple(shape)}" for name, shape in body.items())
    else:
        lines = sorted(str(tuple(shape)) for shape in body.values() if len(shape) > 1)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def _is_aside(name: str) -> bool:
    parts = [part.strip("_") for part in name.split(".")]
    return parts[-1] == "num_batches_tracked" or any(part in CLASSIFIERS for part in parts[:2])


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Returns networks by the digests of their tensors: with names, and only by shapes."""
    by_name: dict[str, tuple[str, ...]] = {}
    by_shape: dict[str, tuple[str, ...]] = {}
    for line in NETWORKS.read_text(encoding="utf-8").splitlines():
        arch, name_digest, shaped = line.split()
        by_name[name_digest] = (*by_name.get(name_digest, ()), arch)
        by_shape[shaped] = (*by_shape.get(shaped, ()), arch)
    return by_name, by_shape


def _is_network(arch: str) -> bool:
    name = arch.partition(".")[0]
    return any(name in archs for archs in _index()[0].values())


def _in_name(file: Path, candidates: Sequence[str]) -> str | None:
    """Returns the longest network's name in the file's or its folder's name, of those that fit."""
    text = re.sub(r"[^a-z0-9]+", "_", f"_{file.parent.name}_{file.stem}_".lower())
    inside = [arch for arch in candidates if f"_{arch}_" in text]
    return max(inside, key=len) if inside else None
