"""On a GPU, images go to the device once, several batches are predicted together, and results are read one batch late.

The meta device stands in for a GPU: to read a number of its tensors raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kit.core.progress import finish
from kit.device import memory
from kit.device.precision import Precision
from kit.kinds import Loss
from kit.model import predict as predict_module
from kit.model.images_at_once import bytes_per_image
from kit.model.predict import (
    Merge,
    NetworkReader,
    Predictor,
    View,
    predict_all,
    predict_shared,
    training_batches_at_once,
)
from tests.model.test_predict import PLAIN, Counted, predictor, stream

META = torch.device("meta")


class Remote:
    """A network on a device that cannot be read, and the order of what is asked of it."""

    precision = PLAIN
    device = META
    network = nn.Linear(1, 1)

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events

    def predict_views(
        self, images: Tensor, views: Sequence[View], merge: Merge, side: Tensor | None = None
    ) -> Tensor:
        assert images.device == META
        self.events.append(f"{self.name} predicts {len(images)}")
        return torch.empty(len(images), 2, device=META)


class Event:
    def __init__(self, number: int, events: list[str]) -> None:
        self.number, self.events = number, events

    def synchronize(self) -> None:
        self.events.append(f"wait for {self.number}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    noted: list[str] = []
    copies: list[int] = []

    def queue(results: Tensor) -> tuple[Tensor, Any]:
        copies.append(len(results))
        noted.append(f"copy {len(copies)}")
        return torch.full(results.shape, float(len(copies))), Event(len(copies), noted)

    monkeypatch.setattr(memory, "_queue_copy", queue)
    return noted


def test_results_are_read_when_the_next_batch_is_queued(events: list[str]) -> None:
    sums = np.zeros((6, 2))
    rows = np.arange(6)
    reader = NetworkReader(Remote("a", events), [lambda images: images], "mean", rows, 2, sums, rows)
    finish(predict_shared([reader], stream(range(6), 2), "x", ""))
    assert events == [
        *("a predicts 2", "copy 1", "a predicts 2", "copy 2", "wait for 1"),
        *("a predicts 2", "copy 3", "wait for 2", "wait for 3"),
    ]
    assert sums[:, 0].tolist() == [1, 1, 2, 2, 3, 3]


def test_networks_that_share_a_pass_share_the_images_on_the_device(
    events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    move = predict_module._move

    def noted(images: Tensor, device: torch.device) -> Tensor:
        moved.append(len(images))
        return move(images, device)

    monkeypatch.setattr(predict_module, "_move", noted)
    sums, rows, some = np.zeros((6, 2)), np.arange(6), np.array([1, 4])
    readers = [
        NetworkReader(Remote("a", events), [lambda images: images], "mean", rows, 3, sums, rows),
        NetworkReader(Remote("b", events), [lambda images: images], "mean", rows, 3, sums, rows),
        NetworkReader(Remote("c", events), [lambda images: images], "mean", some, 2, sums, some),
    ]
    finish(predict_shared(readers, stream(range(6), 3), "x", ""))
    assert moved == [3, 3]
    predicted = [event for event in events if "predicts" in event]
    assert predicted == [
        *("a predicts 3", "b predicts 3", "a predicts 3", "b predicts 3", "c predicts 2"),
    ]


def test_batches_predicted_together_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[View] = [lambda images: images, lambda images: images.flip(3)]
    alone = [finish(predict_all([predictor(0)], Counted(), views, "mean", 10, "x"))[0]]
    whole = predictor(0).predict_views(Counted().images, views, "mean").numpy()
    sizes: list[int] = []
    plain = Predictor.predict_views

    def noted(self: Predictor, images: Tensor, *more: Any) -> Tensor:
        sizes.append(len(images))
        return plain(self, images, *more)

    monkeypatch.setattr(Predictor, "predict_views", noted)
    monkeypatch.setattr(predict_module, "training_batches_at_once", lambda *_: 2)
    (together,) = finish(predict_all([predictor(0)], Counted(), views, "mean", 10, "x"))
    assert sizes == [8, 2]
    np.testing.assert_allclose(together, whole, rtol=1e-5)
    np.testing.assert_allclose(alone[0], whole, rtol=1e-5)


def test_a_cpu_predicts_batches_of_training_s_size_and_a_gpu_as_many_as_surely_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = torch.zeros(8, 3, 6, 6, dtype=torch.uint8)
    shown: list[tuple[Predictor, Sequence[View], Merge]] = [(predictor(0), [lambda images: images], "mean")]
    assert training_batches_at_once(shown, images, 8) == 1
    need = bytes_per_image(shown[0][0], shown[0][1], "mean", images[:1])
    assert need == 2 * 4 * (3 * 36 + 4)  # the linear layer's floats, twice
    monkeypatch.setattr(Predictor, "device", torch.device("cuda"))
    monkeypatch.setattr(predict_module, "bytes_per_image", lambda *_: 100)
    for free, together in ((10_000_000, 4), (4_800, 3), (1_000, 1), (0, 1)):
        monkeypatch.setattr(
            memory, "device_memory", lambda device, free=free: memory.DeviceMemory(taken=0, free=free)
        )
        assert training_batches_at_once(shown, images, 8) == together


def test_images_that_the_device_has_no_memory_for_stay_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, calls = Tensor.to, [0]

    def fail_once(self: Tensor, *more: Any, **named: Any) -> Tensor:
        calls[0] += self.dtype == torch.uint8
        if calls[0] == 1 and self.dtype == torch.uint8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, *more, **named)

    whole = predictor(0).predict_views(Counted().images, [lambda images: images], "mean").numpy()
    monkeypatch.setattr(Tensor, "to", fail_once)
    member = Predictor(
        predictor(0).network, Loss.open("cross_entropy"), Precision("float32", "float32", "contiguous")
    )
    (probabilities,) = finish(predict_all([member], Counted(), [lambda images: images], "mean", 10, "x"))
    np.testing.assert_allclose(probabilities, whole, rtol=1e-6)
