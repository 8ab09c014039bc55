"""A loader process that dies or hangs is told with the image that it was at."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from kit.engine import loader as loader_module
from kit.engine.loader import ImageDataset, Loader
from kit.errors import RunError
from kit.images.cache import Cache
from kit.kinds import Augmenter
from tests.engine.test_batches import SIZE, no_children
from tests.engine.test_batches import cache as cache  # the fixture


class _At(Augmenter):
    """Dies or hangs at the image of this mean."""

    mean: float
    fault: str

    def __call__(self, image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        if abs(image.mean() - self.mean) < 1e-9:
            os.kill(os.getpid(), signal.SIGKILL) if self.fault == "dies" else time.sleep(60)
        return np.zeros((size, size, 3), np.uint8)


@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_the_image_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(loader_module, "WORKER_TIMEOUT_S", 2)
    guilty = _At(mean=float(cache[13].mean()), fault=fault)
    loader = Loader(ImageDataset(cache, SIZE, augmenter=guilty), workers=2)
    plan = [[(0, row, 0) for row in range(start, start + 4)] for start in range(0, 20, 4)]
    with pytest.raises(RunError, match=r"R03 a loader process ended or hung .* at \S*/13\.png\n") as caught:
        list(loader.load(plan))
    assert "look at that image" in caught.value.hint
    assert no_children()
