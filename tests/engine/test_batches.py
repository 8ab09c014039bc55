"""Batches are a function of seed, fold and epoch: not of the workers, nor of where a run begins."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from kit.config.models import Data
from kit.core.batching import even_batches, occurrence_index
from kit.core.cores import available_cores
from kit.core.progress import finish
from kit.core.randomness import generator
from kit.device.precision import worker_count
from kit.engine import batches as batches_module
from kit.engine.batches import Batch, ImageDataset, Loader, PlainBatches, TrainBatches
from kit.errors import DataError, KitError, PluginError, RunError
from kit.images.cache import Cache, Geometry, fill_cache
from kit.images.reader import center_crop
from kit.kinds import Augmenter, Sampler
from kit.plugins.executor.processes import Processes

SIZE = 24
LABELS = np.array([0] * 14 + [1] * 4 + [2] * 3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{n}.png" for n in range(len(LABELS))]
    for n, path in enumerate(paths):
        image = np.random.default_rng(n).integers(0, 256, (30 + n, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(path), image)
    paths[20].write_bytes(b"")
    return finish(fill_cache(folder / "cache", paths, Geometry(32), Data())).cache


def train(cache: Cache, **changes: Any) -> TrainBatches:
    given: dict[str, Any] = {
        "rows": np.arange(20)[::-1],
        "sampler": "shuffled",
        "augmenter": "light",
        "size": SIZE,
        "batch_size": 6,
        "seed": 3,
        "fold": 1,
        "workers": 0,
        **changes,
    }
    given["sampler"] = (
        Sampler.open(given["sampler"]) if isinstance(given["sampler"], str) else given["sampler"]
    )
    if isinstance(given["augmenter"], str):
        given["augmenter"] = Augmenter.open(given["augmenter"])
    return TrainBatches(cache, LABELS, **given)


def content(batches: Iterator[Batch]) -> list[tuple[Any, ...]]:
    return [(b.images.numpy().tobytes(), b.labels.tolist(), b.rows.tolist()) for b in batches]


def no_children() -> bool:
    return not multiprocessing.active_children()


# --------------------------------------------------------------------------------------- what is in them


def test_a_batch_is_channels_last_bytes_with_labels_and_rows(cache: Cache) -> None:
    for batch in train(cache).epoch(0):
        assert batch.images.shape == (len(batch), 3, SIZE, SIZE)
        assert str(batch.images.dtype) == "torch.uint8"
        assert batch.images.permute(0, 2, 3, 1).is_contiguous()
        assert batch.labels.tolist() == LABELS[batch.rows.numpy()].tolist()


def test_an_epoch_sees_the_rows_that_it_was_given_each_once(cache: Cache) -> None:
    batches = train(cache, rows=np.array([3, 17, 5, 11]))
    for epoch in range(3):
        seen = [row for batch in batches.epoch(epoch) for row in batch.rows.tolist()]
        assert sorted(seen) == [3, 5, 11, 17]


def test_images_are_the_augmenter_s_for_the_row_s_own_draw(cache: Cache) -> None:
    light = Augmenter.open("light")
    for batch in train(cache).epoch(5):
        for image, row in zip(batch.images, batch.rows.tolist(), strict=True):
            expected = light(cache[row], SIZE, generator(3, "augment", 1, 5, row, 0))
            assert np.array_equal(image.permute(1, 2, 0).numpy(), expected)


def test_the_order_is_the_sampler_s(cache: Cache) -> None:
    rows = np.arange(20)[::-1]
    order = Sampler.open("oversample").order(LABELS[rows], generator(3, "order", 1, 2))
    seen = [row for batch in train(cache, sampler="oversample").epoch(2) for row in batch.rows.tolist()]
    assert seen == rows[order].tolist()


def test_a_row_that_comes_twice_is_drawn_twice(cache: Cache) -> None:
    batches = train(cache, rows=np.array([0, 14]), sampler="oversample", batch_size=2)
    assert batches.steps == 1
    rare = train(cache, rows=np.array([0, 1, 2, 3, 14]), sampler="oversample", batch_size=8)
    (batch,) = rare.epoch(0)
    images = {
        image.numpy().tobytes() for image, row in zip(batch.images, batch.rows, strict=True) if row == 14
    }
    assert len(images) == 4


@pytest.mark.parametrize("change", [{"seed": 4}, {"fold": 2}, {}])
def test_another_seed_fold_or_epoch_is_another_order_and_other_images(
    cache: Cache, change: dict[str, int]
) -> None:
    first, other = content(train(cache).epoch(0)), content(train(cache, **change).epoch(0 if change else 1))
    assert [rows for _, _, rows in first] != [rows for _, _, rows in other]
    assert first[0][0] != other[0][0]


# -------------------------------------------------------------------------------- the same whatever runs it


@pytest.mark.parametrize("augmenter", ["light", "albumentations"])
def test_workers_change_nothing(cache: Cache, augmenter: str) -> None:
    alone = train(cache, sampler="oversample", augmenter=augmenter)
    expected = [content(alone.epoch(epoch)) for epoch in (0, 1)]
    for workers in (1, 2):
        batches = train(cache, sampler="oversample", augmenter=augmenter, workers=workers)
        assert [content(batches.epoch(epoch)) for epoch in (0, 1)] == expected
        batches.close()
        assert no_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_may_begin_at_any_step(cache: Cache, workers: int) -> None:
    batches = train(cache, workers=workers)
    whole = content(batches.epoch(1))
    assert len(whole) == batches.steps == 4
    for first in range(5):
        assert content(batches.epoch(1, first_step=first)) == whole[first:]
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_left_early_does_not_touch_the_next(cache: Cache, workers: int) -> None:
    batches = train(cache, workers=workers)
    expected = content(train(cache).epoch(2))
    for _ in batches.epoch(0):
        break
    assert content(batches.epoch(2)) == expected
    batches.close()
    assert no_children()


# ------------------------------------------------------------------------------------------- plain batches


@pytest.mark.parametrize("workers", [0, 2])
def test_plain_batches_show_each_row_once_in_order_in_the_geometry_of_prediction(
    cache: Cache, workers: int
) -> None:
    rows = np.array([7, 2, 2, 19, 0])
    plain = PlainBatches(cache, rows, SIZE, crop_share=0.9, batch_size=2, workers=workers)
    for _ in range(2):
        batches = list(plain)
        assert [batch.rows.tolist() for batch in batches] == [[7, 2], [2, 19], [0]]
        assert len(plain) == 3
        assert all((batch.labels == -1).all() for batch in batches)
        first = batches[0].images[0].permute(1, 2, 0).numpy()
        assert np.array_equal(first, center_crop(cache[7], SIZE, 0.9))
    plain.close()


def test_plain_batches_carry_labels_where_there_are_any(cache: Cache) -> None:
    (batch,) = PlainBatches(cache, np.array([15, 0, 18]), SIZE, labels=LABELS, workers=0)
    assert batch.labels.tolist() == [1, 0, 2]


def test_no_rows_make_no_batches(cache: Cache) -> None:
    assert list(PlainBatches(cache, np.array([], np.int64), SIZE, workers=0)) == []


# -------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("workers", [0, 1])
def test_a_row_without_an_image_is_named(cache: Cache, workers: int) -> None:
    batches = train(cache, rows=np.array([1, 20]), workers=workers)
    with pytest.raises(DataError, match=r"20\.png: empty file") as caught:
        list(batches.epoch(0))
    assert caught.value.code == "D01"
    batches.close()


class _Failing(Augmenter):
    """Fails in the way that a test asks for."""

    fault: str

    @classmethod
    def plugin_name(cls) -> str:
        return "failing"

    def __call__(self, image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        if self.fault == "raises":
            raise ZeroDivisionError("by zero")
        if self.fault == "hangs":
            time.sleep(60)
        if self.fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return image.astype(float) if self.fault == "dtype" else image


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("fault", "words"),
    [("raises", "ZeroDivisionError: by zero"), ("shape", "returned uint8"), ("dtype", "returned float64")],
)
def test_a_failing_augmenter_is_named_with_the_image(
    cache: Cache, fault: str, words: str, workers: int
) -> None:
    batches = train(cache, rows=np.array([4]), augmenter=_Failing(fault=fault), workers=workers)
    with pytest.raises(RunError, match=rf"augmenter 'failing' failed on .*4\.png: {words}"):
        list(batches.epoch(0))
    batches.close()


def test_a_loader_process_that_dies_is_an_error_and_not_a_hang(cache: Cache) -> None:
    batches = train(cache, augmenter=_Failing(fault="dies"), workers=1)
    with pytest.raises(RunError, match="a loader process ended") as caught:
        list(batches.epoch(0))
    assert caught.value.hint == "check that image; workers=0 loads images in this process"
    batches.close()


def test_a_loader_process_that_hangs_is_an_error_and_is_ended(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "WORKER_TIMEOUT_S", 1)
    batches = train(cache, augmenter=_Failing(fault="hangs"), workers=1)
    with pytest.raises(RunError, match="a loader process ended or hung"):
        list(batches.epoch(0))
    assert no_children()


def test_loader_processes_leave_signals_to_the_main_process(cache: Cache) -> None:
    batches = train(cache, workers=1)
    epoch = batches.epoch(0)
    got = [next(epoch)]
    for child in multiprocessing.active_children():
        os.kill(child.pid or 0, signal.SIGINT)
        os.kill(child.pid or 0, signal.SIGTERM)
    assert len([*got, *epoch]) == batches.steps
    batches.close()
    assert no_children()


def test_a_sampler_with_epochs_of_different_lengths_is_refused(cache: Cache) -> None:
    class Growing(Sampler):
        """Shows a row more every time."""

        @classmethod
        def plugin_name(cls) -> str:
            return "growing"

        def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return np.zeros(int(rng.integers(1, 1000)), np.int64)

    batches = train(cache, sampler=Growing())
    with pytest.raises(PluginError, match="sampler 'growing' returns epochs of different lengths"):
        list(batches.epoch(1))


def test_an_error_of_the_cache_keeps_its_code_from_a_loader_process(cache: Cache) -> None:
    loader = Loader(ImageDataset(cache, SIZE), workers=1)
    with pytest.raises(KitError) as caught:
        list(loader.load([[(0, 20, 0)]]))
    assert caught.value.code == "D01"
    loader.close()


# ------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("count", range(1, 40))
@pytest.mark.parametrize("batch_size", [4, 6, 32])
def test_rows_are_spread_evenly_and_none_is_alone(count: int, batch_size: int) -> None:
    sizes = [len(part) for part in even_batches(count, batch_size)]
    assert sum(sizes) == count
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-count // batch_size)
    assert min(sizes) >= min(2, count)


def test_occurrences_count_from_the_first_time() -> None:
    assert occurrence_index(np.array([7, 3, 7, 7, 3, 0])).tolist() == [0, 0, 1, 2, 1, 0]
    assert occurrence_index(np.array([], np.int64)).tolist() == []


@pytest.mark.parametrize(("cores", "cpu", "cuda"), [(1, 0, 1), (2, 0, 1), (4, 0, 3), (16, 2, 8)])
def test_auto_workers_leave_the_cores_to_the_network(
    cores: int, cpu: int, cuda: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.device.precision.available_cores", lambda: cores)
    assert worker_count("auto", torch.device("cpu")) == cpu
    assert worker_count("auto", torch.device("cuda")) == cuda
    assert worker_count(5, torch.device("cpu")) == 5


def test_workers_of_an_executor_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16))
    monkeypatch.setattr("kit.core.cores.Path", lambda name: Path("/nonexistent"))  # no quota
    assert available_cores() == 16
    four = Processes(workers=4)._settings(0, 4)
    assert four["KIT_CORES"] == "4"
    monkeypatch.setenv("KIT_CORES", four["KIT_CORES"])
    assert available_cores() == 4
    assert worker_count("auto", torch.device("cuda")) == 3
