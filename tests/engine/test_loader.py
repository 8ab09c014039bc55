"""Loader processes: one that dies or hangs is reported with its image, and all stay within the shared memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from kit.engine import batches as batches_module
from kit.engine.batches import ImageDataset, Loader, LoaderProcesses, PlainBatches
from kit.errors import RunError
from kit.images.cache import Cache
from kit.kinds import Augmenter
from tests.engine.test_batches import SIZE, content, no_children, train
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
    monkeypatch.setattr(batches_module, "WORKER_TIMEOUT_S", 2)
    guilty = _At(mean=float(cache[13].mean()), fault=fault)
    loader = Loader(ImageDataset(cache, SIZE, augmenter=guilty), workers=2)
    plan = [[(0, row, 0) for row in range(start, start + 4)] for start in range(0, 20, 4)]
    with pytest.raises(RunError, match=r"R03 a loader process ended or hung .* at \S*/13\.png\n") as caught:
        list(loader.load(plan))
    assert "check that image" in caught.value.hint
    assert no_children()


@pytest.mark.parametrize(
    ("free", "fits"),
    [
        (200, (8, 4)),  # 8 x 4 batches and two more: 34 batches of 4.8 MB are 164 MB
        (160, (8, 3)),
        (110, (8, 2)),
        (64, (4, 2)),  # what Docker gives
        (30, (1, 2)),
        (20, (1, 1)),
        (10, (0, 0)),
    ],
)
def test_loaders_that_shared_memory_cannot_hold_are_fewer(
    monkeypatch: pytest.MonkeyPatch, free: int, fits: tuple[int, int]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(batches_module, "SHARED_MEMORY", Path("/"))
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, free * 2**20))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert batches_module.fit_shared_memory(32 * 224 * 224 * 3, 8) == fits
    said = "".join(str(one.message) for one in caught)
    assert ("W63" in said and "--shm-size" in said) is (fits != (8, 4))


SMALL = """
import sys, warnings
from pathlib import Path
import numpy as np
import torch
from kit.engine import batches as loader
from kit.engine.batches import ImageDataset, Loader

class Blank:
    paths = ["x.png"] * 64
    channels, pixel_type = 3, "uint8"
    def __getitem__(self, row):
        return np.full((128, 128, 3), row, np.uint8)

warnings.simplefilter("ignore")
if sys.argv[1] == "unchecked":
    loader.fit_shared_memory = lambda batch, workers: (workers, loader.AHEAD)
loaded = Loader(ImageDataset(Blank(), 128), workers=4)
plan = [[(0, row, 0) for row in range(start, start + 8)] for start in range(0, 64, 8)]
try:
    found = [int(batch[0, 0, 0, 0]) for batch in loaded.load(plan)]
    print(found, loaded.workers)
except loader.RunError as error:
    print(error)
finally:
    loaded.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a /dev/shm of its own")
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("checked", "[0, 8, 16, 24, 32, 40, 48, 56] 1"),
        ("unchecked", "R03 a loader process got no shared memory for a batch"),
    ],
)
def test_a_real_small_shared_memory_neither_hangs_nor_blames_an_image(how: str, said: str) -> None:
    mount = 'mount -t tmpfs -o size=2m tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, sys.executable, "-c", SMALL, how],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.startswith(said), done.stderr


def test_training_and_held_out_rows_share_processes_that_stay(cache: Cache) -> None:
    rows = np.arange(8)
    alone = [content(train(cache).epoch(0)), content(train(cache, size=2 * SIZE).epoch(1))]
    plain = [batch.images.tolist() for batch in PlainBatches(cache, rows, SIZE, batch_size=5, workers=0)]
    processes = LoaderProcesses(2)
    stages = [train(cache, processes=processes), train(cache, size=2 * SIZE, processes=processes)]
    held_out = PlainBatches(cache, rows, SIZE, batch_size=5, processes=processes)
    seen = set()
    for number, stage in enumerate(stages):
        assert content(stage.epoch(number)) == alone[number]
        assert [batch.images.tolist() for batch in held_out] == plain
        seen.add(frozenset(child.pid for child in multiprocessing.active_children()))
        stage.close()  # as a fit does after each stage
    assert len(seen) == 1
    assert len(next(iter(seen))) == 2
    processes.close()
    assert no_children()


def test_a_source_with_larger_batches_takes_fewer_processes_where_shared_memory_is_small(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = {2: (2, 4), 8: (1, 1)}
    monkeypatch.setattr(
        batches_module, "fit_shared_memory", lambda largest, workers: fits[largest // (SIZE * SIZE * 3)]
    )
    processes = LoaderProcesses(2)
    small, large = (
        PlainBatches(cache, np.arange(8), SIZE, batch_size=size, processes=processes) for size in (2, 8)
    )
    for batches, workers in ((small, 2), (large, 1), (small, 1)):
        assert [row for batch in batches for row in batch.rows.tolist()] == list(range(8))
        assert processes.workers == workers
    processes.close()
