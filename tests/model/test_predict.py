"""predict: views merged on probabilities, each image read once for every network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import ttach
from torch import nn

from kit.core.progress import Progress, ResultOf, finish
from kit.device.precision import Precision
from kit.engine.batches import Batch
from kit.kinds import Classes, Loss, Views
from kit.model.predict import Predictor, SafeBatchSize, open_views, predict_all, predict_with_oom_retry

PLAIN = Precision("float32", "float32", "contiguous")


class Skewed(nn.Module):
    """Outputs that depend on where the pixels are, so that every view gives others."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Linear(3 * 36, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images.float().flatten(1) / 128)


class Counted:
    """Batches that count how often they are read."""

    def __init__(self) -> None:
        self.images = torch.randint(
            0, 256, (10, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
        self.reads = 0

    def __iter__(self) -> Iterator[Batch]:
        for start in (0, 4, 8):
            self.reads += 1
            rows = torch.arange(start, min(start + 4, 10))
            yield Batch(self.images[rows], torch.full((len(rows),), -1), rows)


def predictor(seed: int, loss: str = "cross_entropy") -> Predictor:
    return Predictor(Skewed(seed).eval(), Loss.open(loss), PLAIN)


@pytest.mark.parametrize("name", ["plain", "hflip", "flip", "d4"])
def test_the_mean_is_ttachs_mean_of_probabilities(name: str) -> None:
    batches, member = Counted(), predictor(0)
    (found,) = finish(predict_all([member], batches, open_views(Views.open(name), 6), "mean", 10, "x"))
    model = nn.Sequential(member.network, nn.Softmax(1))
    transforms = ttach.Compose(Views.open(name).views())
    reference = ttach.ClassificationTTAWrapper(model, transforms, merge_mode="mean")
    with torch.inference_mode():
        expected = reference(batches.images).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_geometric_mean_is_that_of_probabilities_brought_back_to_sum_one() -> None:
    batches, member = Counted(), predictor(0)
    views = open_views(Views.open("flip"), 6)
    (found,) = finish(predict_all([member], batches, views, "geometric", 10, "x"))
    with torch.inference_mode():
        each = np.stack([member.network(view(batches.images)).softmax(1).numpy() for view in views])
    product = each.astype(np.float64).prod(0) ** (1 / 4)
    np.testing.assert_allclose(found, product / product.sum(1, keepdims=True), atol=1e-6)


def test_each_batch_is_read_once_for_all_networks_and_views() -> None:
    batches = Counted()
    views = open_views(Views.open("d4"), 6)
    found = finish(predict_all([predictor(0), predictor(1)], batches, views, "mean", 10, "x"))
    assert batches.reads == 3
    assert [each.shape for each in found] == [(10, 4), (10, 4)]
    assert not np.allclose(found[0], found[1])


def test_a_zero_in_one_view_does_not_make_a_geometric_mean_not_finite() -> None:
    member = predictor(0)
    nn.init.constant_(member.network.inner.weight, 1e4)
    (found,) = finish(
        predict_all([member], Counted(), open_views(Views.open("flip"), 6), "geometric", 10, "x")
    )
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_the_geometric_mean_of_several_labels_is_that_of_yes_and_no_for_each_class() -> None:
    loss = Loss.open("bce").with_classes(Classes(tuple("abcd"), multi_label=True))
    member = Predictor(Skewed(0).eval(), loss, PLAIN, multi_label=True)
    batches, views = Counted(), open_views(Views.open("flip"), 6)
    (found,) = finish(predict_all([member], batches, views, "geometric", 10, "x"))
    yes = torch.stack([member.probabilities(view(batches.images)) for view in views])
    by_hand, no = yes.log().mean(0).exp(), (1 - yes).log().mean(0).exp()
    np.testing.assert_allclose(found, (by_hand / (by_hand + no)).numpy(), rtol=1e-4)
    (mean,) = finish(predict_all([member], Counted(), views, "mean", 10, "x"))
    np.testing.assert_allclose(mean, yes.mean(0).numpy(), rtol=1e-5)


def test_memory_that_ends_while_images_are_copied_costs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Precision.to_layout

    def few(self: Precision, images: torch.Tensor, device: torch.device) -> torch.Tensor:
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, images, device)

    images = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8)
    predictor = Predictor(Skewed(0), Loss.open("cross_entropy"), PLAIN)
    whole = predictor.probabilities(images)
    monkeypatch.setattr(Precision, "to_layout", few)
    work = predict_with_oom_retry(
        predictor, images, [lambda images: images], "mean", SafeBatchSize(), Progress("tta", 0, 8)
    )
    lines = ResultOf(work)
    assert [line.detail.partition(" with ")[2].partition(":")[0] for line in lines] == [
        "8 images at a time",
        "4 images at a time",
    ]
    torch.testing.assert_close(lines.result, whole)
