"""predict: views merged on probabilities, each image read once for every network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
import ttach
from torch import Tensor, nn

from kit.core.progress import Progress, ResultOf, finish
from kit.device.precision import Precision
from kit.engine.batches import Batch
from kit.kinds import Backbone, Classes, Loss, Views
from kit.kinds.targets import MULTI_HOT
from kit.model.predict import (
    Predictor,
    Rebatcher,
    SafeBatchSize,
    for_predicting,
    fuse,
    open_views,
    predict_all,
    predict_with_oom_retry,
)

PLAIN = Precision("float32", "float32", "contiguous")


class Skewed(nn.Module):
    """Outputs that depend on where the pixels are, so that every view gives others."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Linear(3 * 36, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.inner(images.float().flatten(1) / 128)
        return outputs


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
    (probabilities,) = finish(
        predict_all([member], batches, open_views(Views.open(name), 6), "mean", 10, "x")
    )
    model = nn.Sequential(member.network, nn.Softmax(1))
    transforms = ttach.Compose(Views.open(name).views())
    reference = ttach.ClassificationTTAWrapper(model, transforms, merge_mode="mean")
    with torch.inference_mode():
        expected = reference(batches.images).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_the_geometric_mean_is_that_of_probabilities_brought_back_to_sum_one() -> None:
    batches, member = Counted(), predictor(0)
    views = open_views(Views.open("flip"), 6)
    (probabilities,) = finish(predict_all([member], batches, views, "geometric", 10, "x"))
    with torch.inference_mode():
        each = np.stack([member.network(view(batches.images)).softmax(1).numpy() for view in views])
    product = each.astype(np.float64).prod(0) ** (1 / 4)
    np.testing.assert_allclose(probabilities, product / product.sum(1, keepdims=True), atol=1e-6)


def test_each_batch_is_read_once_for_all_networks_and_views() -> None:
    batches = Counted()
    views = open_views(Views.open("d4"), 6)
    probabilities = finish(predict_all([predictor(0), predictor(1)], batches, views, "mean", 10, "x"))
    assert batches.reads == 3
    assert [each.shape for each in probabilities] == [(10, 4), (10, 4)]
    assert not np.allclose(probabilities[0], probabilities[1])


def test_a_zero_in_one_view_does_not_make_a_geometric_mean_not_finite() -> None:
    member = predictor(0)
    nn.init.constant_(member.network.get_parameter("inner.weight"), 1e4)
    (probabilities,) = finish(
        predict_all([member], Counted(), open_views(Views.open("flip"), 6), "geometric", 10, "x")
    )
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_the_geometric_mean_of_several_labels_is_that_of_yes_and_no_for_each_class() -> None:
    loss = Loss.open("bce").with_classes(Classes(tuple("abcd"), target=MULTI_HOT))
    member = Predictor(Skewed(0).eval(), loss, PLAIN, target=MULTI_HOT)
    batches, views = Counted(), open_views(Views.open("flip"), 6)
    (probabilities,) = finish(predict_all([member], batches, views, "geometric", 10, "x"))
    yes = torch.stack([member.probabilities(view(batches.images)) for view in views])
    by_hand, no = yes.log().mean(0).exp(), (1 - yes).log().mean(0).exp()
    np.testing.assert_allclose(probabilities, (by_hand / (by_hand + no)).numpy(), rtol=1e-4)
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


def stream(rows: Sequence[int], size: int) -> Iterator[Batch]:
    """Batches of two-pixel images that are all of their row's number, in channels-last memory."""
    for start in range(0, len(rows), size):
        there = torch.tensor(rows[start : start + size])
        images = there.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 3).contiguous()
        yield Batch(images.permute(0, 3, 1, 2), torch.full((len(there),), -1), there)


def cut(wanted: Sequence[int], size: int, batches: Iterator[Batch]) -> list[list[int]]:
    cutter, batch_pixels, begun = Rebatcher(np.array(wanted, dtype=np.int64), size), [], 0
    for batch in batches:
        for part, images in cutter.rebatch(batch):
            assert part == slice(begun, begun + len(images))
            assert images.shape[1:] == (3, 1, 2)
            begun += len(images)
            batch_pixels.append(images[:, 0, 0, 0].tolist())
    return batch_pixels


@pytest.mark.parametrize("read", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("size", [1, 4, 5, 100])
@pytest.mark.parametrize(
    "wanted", [range(20), range(0, 20, 3), (19,), (3, 4, 5, 17), range(5), range(15, 20)], ids=str
)
def test_batches_are_those_of_the_wanted_rows_alone(wanted: Sequence[int], size: int, read: int) -> None:
    alone = [list(wanted)[start : start + size] for start in range(0, len(wanted), size)]
    assert cut(wanted, size, stream(range(20), read)) == alone


def test_rows_need_not_follow_one_another() -> None:
    rows = [2, 5, 6, 9, 30, 31, 70]
    assert cut([5, 9, 30, 70], 3, stream(rows, 3)) == [[5, 9, 30], [70]]


def test_a_batch_that_fits_is_passed_on_as_it_is() -> None:
    (batch,) = stream(range(4), 4)
    ((part, images),) = Rebatcher(np.arange(4), 4).rebatch(batch)
    assert part == slice(0, 4)
    assert images.data_ptr() == batch.images.data_ptr()


FLOAT = Precision("float32", "float32", "contiguous")


def used(network: nn.Module) -> nn.Module:
    """The network with running statistics and scales as training leaves them: none is 0 or 1."""
    draws = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=draws)
            module.running_var.uniform_(0.5, 1.5, generator=draws)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=draws)
                nn.init.normal_(module.bias, 0, 0.1, generator=draws)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("arch", "left"),
    [("resnet10t", 0), ("efficientnet_lite0", 0), ("regnetx_002", 0), ("densenet121", 62), ("test_vit", 0)],
)
def test_a_fused_network_gives_the_same_and_is_another_one(arch: str, left: int) -> None:
    network = used(
        Backbone.open({"name": "timm", "arch": arch, **({"img_size": 64} if "vit" in arch else {})}).build()
    )
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fused_network = fuse(network.train(), 64)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert (fused_network is network) == (norms(network) == 0)
    assert norms(fused_network) == left
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.inference_mode():
        outputs, wanted = fused_network.eval()(images), network.eval()(images)
    assert (outputs - wanted).abs().max() <= 1e-4 * wanted.abs().max()


class Twice(nn.Module):
    """A kernel at work twice, once into its norm, and norms of a kernel whose output is needed besides."""

    def __init__(self, forward: Callable[[Twice, Tensor], Tensor]) -> None:
        super().__init__()
        self.kernel, self.norm, self.way = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), forward

    def forward(self, images: Tensor) -> Tensor:
        return self.way(self, images)


@pytest.mark.parametrize(
    "way",
    [
        lambda own, x: own.norm(own.kernel(own.kernel(x))),  # a kernel that is shared
        lambda own, x: own.norm(own.kernel(x)) + own.norm(x),  # a norm that is shared
        lambda own, x: (lambda y: own.norm(y) + y)(own.kernel(x)),  # the kernel's output is needed besides
        lambda own, x: own.norm(own.kernel(x).relu()),  # something stands between them
        lambda own, x: own.norm(own.kernel(x)) * own.norm.weight.mean(),  # the norm is looked into
    ],
)
def test_what_cannot_be_fused_is_left_as_it_is(way: Callable[[Twice, Tensor], Tensor]) -> None:
    network = used(Twice(way))
    assert fuse(network, 8) is network


def test_only_predictions_in_float32_are_fused() -> None:
    network = used(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)))
    assert norms(for_predicting(network, FLOAT, 8)) == 0
    assert for_predicting(network, Precision("float32", "bfloat16", "contiguous"), 8) is network
