"""Embeddings: one network's vectors of every training and test image, unit vectors by id, in memory maps.

Each fold has a folder with train.npy, test.npy, their ids and a manifest of their provenance. The arrays are
float16, so that a million rows of 512 take a gigabyte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from kit.core.arrays import Ids
from kit.core.files import read_json, sha256, write_json
from kit.errors import Case, InvalidError

SCHEMA = 1
SPLITS: tuple[Split, ...] = ("train", "test")
CHUNK_ROWS = 65_536  # vectors that are checked at a time
UNIT_LENGTH_TOLERANCE = (
    1e-2  # maximum difference of a length from 1; float16 vectors of 2,048 numbers are within .001
)

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Unit vectors (rows, features) float16 by id; a row without an image has zeros."""

    ids: Ids  # (rows,) of str
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def features(self) -> int:
        """The size of a vector."""
        return int(self.vectors.shape[1])

    def has_image(self) -> np.ndarray:
        """Returns which rows have a vector, bool (rows,)."""
        has_image = np.zeros(len(self), bool)
        for start in range(0, len(self), CHUNK_ROWS):
            has_image[start : start + CHUNK_ROWS] = self.vectors[start : start + CHUNK_ROWS].any(axis=1)
        return has_image

    def faults(self) -> list[Case]:
        """Returns rows whose vectors are not finite, or neither zero nor of length 1."""
        cases = []
        for start in range(0, len(self), CHUNK_ROWS):
            part = self.vectors[start : start + CHUNK_ROWS].astype(np.float32)
            lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
            bad = ~((np.abs(lengths - 1) < UNIT_LENGTH_TOLERANCE) | (lengths == 0))
            cases += [
                Case(f"vector of length {lengths[row]:.3g}", id=str(self.ids[start + row]))
                for row in np.flatnonzero(bad)
            ]
        return cases


@dataclass(frozen=True)
class EmbeddingProvenance:
    """The provenance of one fold's embeddings. `ids` and `images` are fingerprints of the rows of each split."""

    run: str
    views: str
    merge: str
    classes: tuple[str, ...]
    plugins: Mapping[str, str]  # hashes of their sources
    folds: str  # fingerprint
    checkpoint: str = ""  # its tag
    ids: Mapping[Split, str] = field(default_factory=dict)
    images: Mapping[Split, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Reads a manifest's values. Raises KeyError or TypeError for a missing key."""
        values = {attribute.name: record[attribute.name] for attribute in fields(cls)}
        return cls(**{**values, "classes": tuple(values["classes"])})

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values by key."""
        return {**asdict(self), "classes": list(self.classes)}


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The vectors of the training and test rows by one fold's network, and their provenance."""

    train: Vectors
    test: Vectors
    provenance: EmbeddingProvenance

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Maps files that `write_manifest` completed.

        Raises InvalidError D47 if they are missing, damaged or not of unit length.
        """
        manifest = embedding_manifest(folder)
        damaged = [
            name
            for name, mark in manifest["sha256"].items()
            if not (folder / name).is_file() or sha256(folder / name) != mark
        ]
        if damaged:
            raise _damage_error(
                folder, [Case("is missing or was changed", str(folder / name)) for name in damaged]
            )
        train, test = (_vectors(folder, split) for split in SPLITS)
        faults = [*train.faults(), *test.faults()]
        if faults:
            raise InvalidError(
                f"{len(faults)} vectors of {folder} do not have length 1",
                code="D47",
                cases=faults,
                hint="delete the folder; kit embed creates it again",
            )
        try:
            return cls(train, test, EmbeddingProvenance.from_json(manifest["about"]))
        except (KeyError, TypeError) as error:
            raise _damage_error(folder, [Case(f"lacks {error}", str(folder / "manifest.json"))]) from None


def _vectors(folder: Path, split: Split) -> Vectors:
    try:
        ids, vectors = np.load(folder / f"{split}-ids.npy"), np.load(folder / f"{split}.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise _damage_error(folder, [Case(str(error).splitlines()[0], split)]) from None
    if (
        vectors.ndim != 2
        or ids.shape != vectors.shape[:1]
        or ids.dtype.kind != "U"
        or vectors.dtype != np.float16
    ):
        raise _damage_error(
            folder, [Case(f"ids {ids.shape}, vectors {vectors.shape} of {vectors.dtype}", split)]
        )
    return Vectors(ids, vectors)


def create_memmap(folder: Path, split: Split, ids: Ids, features: int) -> np.ndarray:
    """Returns a map of zeros (rows, features) float16, to be filled, in a folder that is being written."""
    np.save(folder / f"{split}-ids.npy", ids.astype(str))
    shape = (len(ids), features)
    if not len(ids):  # which cannot be mapped
        np.save(folder / f"{split}.npy", np.zeros(shape, np.float16))
        return np.zeros(shape, np.float16)
    return np.lib.format.open_memmap(folder / f"{split}.npy", mode="w+", dtype=np.float16, shape=shape)


def write_manifest(folder: Path, provenance: EmbeddingProvenance) -> None:
    """Writes the manifest of a folder with filled and flushed maps."""
    names = [f"{split}{part}.npy" for split in SPLITS for part in ("", "-ids")]
    marks = {name: sha256(folder / name) for name in names}
    write_json(folder / "manifest.json", {"schema": SCHEMA, "about": provenance.to_json(), "sha256": marks})


def embedding_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a folder of embeddings. Raises InvalidError D47 if it is missing or damaged."""
    try:
        manifest = dict(read_json(folder / "manifest.json"))
        if (
            manifest["schema"] == SCHEMA
            and isinstance(manifest["about"], dict)
            and isinstance(manifest["sha256"], dict)
        ):
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise _damage_error(
        folder, [Case("is missing, damaged or from another version of kit", str(folder / "manifest.json"))]
    )


def _damage_error(folder: Path, cases: list[Case]) -> InvalidError:
    return InvalidError(
        f"{folder} has no readable embeddings",
        code="D47",
        cases=cases,
        hint="delete the folder; kit embed creates it again",
    )
