"""Embeddings: a manifest has the keys of earlier versions of kit, and one that lacks a key names itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kit.data.embeddings import EmbeddingProvenance, Embeddings, create_memmap, write_manifest
from kit.errors import InvalidError

ABOUT = {
    "run": "a",
    "views": "hflip",
    "merge": "mean",
    "classes": ["cat", "dog"],
    "plugins": {"views/hflip": "12"},
    "folds": "34",
    "checkpoint": "0002:ab",
    "ids": {"train": "56", "test": "78"},
    "images": {"train": "9a", "test": "bc"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        vectors = create_memmap(tmp_path, split, np.array([f"{split}-1"]), 2)
        vectors[:] = [[0.6, 0.8]]
        assert isinstance(vectors, np.memmap)
        vectors.flush()
    write_manifest(tmp_path, EmbeddingProvenance.from_json(ABOUT))
    return tmp_path


def test_a_manifest_has_the_keys_of_earlier_versions(folder: Path) -> None:
    assert json.loads((folder / "manifest.json").read_text())["about"] == ABOUT
    embeddings = Embeddings.read(folder)
    assert (embeddings.provenance.classes, embeddings.provenance.checkpoint) == (("cat", "dog"), "0002:ab")
    assert embeddings.provenance == EmbeddingProvenance.from_json(ABOUT)


@pytest.mark.parametrize("key", sorted(ABOUT))
def test_a_manifest_that_lacks_a_key_is_damaged(folder: Path, key: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["about"][key]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidError, match=rf"D47[\s\S]*lacks '{key}'"):
        Embeddings.read(folder)
