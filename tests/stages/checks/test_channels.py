"""Constant channels, which kit check finds before training stops."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kit.config.models import Data, Experiment
from kit.core.progress import finish
from kit.data.folds import Folds
from kit.images.cache import Cache, Geometry, fill_cache
from kit.kinds import Splitter
from kit.stages.checks.channels import check_constant_channels


def cached(folder: Path, images: np.ndarray) -> Cache:
    for number, image in enumerate(images):
        np.save(folder / f"{number}.npy", image)
    paths = [folder / f"{number}.npy" for number in range(len(images))]
    geometry = Geometry(16, "short_side", images.shape[3])
    return finish(fill_cache(folder / "cache", paths, geometry, Data(reader={"name": "npy"}))).cache


def test_a_constant_channel_is_found_before_training(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 4), dtype=np.uint8)
    images[..., 2] = 7
    images[:3, ..., 3] = 9  # constant in the rows that fold 1 trains on
    images[5, ..., 3] = 9
    cache, ids = cached(tmp_path, images), np.array(list("abcdef"))
    folds = Folds(ids, np.array([[0], [0], [0], [1], [1], [1]]))
    splitter, usable = Splitter.open({"name": "kfold", "folds": 2}), np.ones(6, bool)
    (finding,) = check_constant_channels(cache, usable, folds, splitter, Experiment(channels=4))
    assert (finding.code, finding.level) == ("K51", "problem")
    assert finding.summary == "2 of 4 channels are constant in the training rows of 2 of 2 folds"
    assert [case.detail for case in finding.cases] == ["fold 0: channel 2", "fold 1: channel 2, 3"]
    given = Experiment(channels=4, normalisation={"mean": [0] * 4, "std": [1] * 4})
    assert list(check_constant_channels(cache, usable, folds, splitter, given)) == []
    images[..., 2] = images[..., 0]
    (tmp_path / "varied").mkdir()
    varied = cached(tmp_path / "varied", images)
    (finding,) = check_constant_channels(varied, usable, folds, splitter, Experiment(channels=4))
    assert [case.detail for case in finding.cases] == ["fold 1: channel 3"]
    usable[4] = False  # an unreadable image has no part in it
    (finding,) = check_constant_channels(varied, usable, folds, splitter, Experiment(channels=4))
    assert [case.detail for case in finding.cases] == ["fold 1: channel 3"]
