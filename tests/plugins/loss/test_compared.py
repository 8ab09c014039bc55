"""Losses that compare rows of a batch, against pytorch-metric-learning's and torch's own."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from torch import Tensor
from torch.nn import functional

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Classes, Head, Loss
from kit.stages.training.train import train

CLASSES = Classes(("a", "b", "c", "d"), (3, 3, 3, 3))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Logits (12, 4), unit vectors (12, 6) and labels of a batch with three rows a class."""
    draws = torch.Generator().manual_seed(0)
    vectors = functional.normalize(torch.randn(12, 6, generator=draws))
    return torch.randn(12, 4, generator=draws), vectors, torch.arange(12) % 4


def compared(loss: Loss, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """What the comparison adds to the classifier's loss, the same for every row."""
    logits, vectors, labels = batch
    rows = loss.with_classes(CLASSES).rows(torch.cat([logits, vectors], dim=1), labels)
    added = rows - functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(added, added[:1].expand(12))
    return added[0]


def test_contrastive_is_torchs_loss_over_all_pairs(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    _, vectors, labels = batch
    one, other = torch.triu_indices(12, 12, 1)
    sign = torch.where(labels[one] == labels[other], 1, -1)
    costs = functional.cosine_embedding_loss(vectors[one], vectors[other], sign, margin=0.2, reduction="none")
    theirs = costs[sign == 1].mean() + costs[sign == -1].mean()
    loss_value = compared(Loss.open({"name": "contrastive", "margin": 0.2, "auxiliary_weight": 0.5}), batch)
    torch.testing.assert_close(loss_value, 0.5 * theirs)


def test_a_batch_without_pairs_costs_what_the_classifier_costs() -> None:
    loss = Loss.open("contrastive").with_classes(CLASSES)
    outputs = torch.cat([torch.zeros(1, 4), torch.eye(6)[:1]], dim=1)
    torch.testing.assert_close(loss.rows(outputs, torch.tensor([2])), torch.tensor([1.3862944]))


@pytest.mark.parametrize(
    ("of", "miner", "theirs", "picks"),
    [
        (
            {"name": "TripletMarginLoss", "margin": 0.1},
            {"name": "BatchHardMiner"},
            losses.TripletMarginLoss(margin=0.1),
            miners.BatchHardMiner(),
        ),
        ({"name": "MultiSimilarityLoss", "alpha": 3}, None, losses.MultiSimilarityLoss(alpha=3), None),
        ({"name": "SupConLoss"}, None, losses.SupConLoss(), None),
        (
            {
                "name": "TripletMarginLoss",
                "distance": {"name": "CosineSimilarity"},
                "reducer": {"name": "ThresholdReducer", "low": 0.1},
                "embedding_regularizer": {"name": "LpRegularizer", "p": 1},
            },
            {"name": "BatchHardMiner", "distance": {"name": "LpDistance", "p": 1}},
            losses.TripletMarginLoss(
                distance=distances.CosineSimilarity(),
                reducer=reducers.ThresholdReducer(low=0.1),
                embedding_regularizer=regularizers.LpRegularizer(p=1),
            ),
            miners.BatchHardMiner(distance=distances.LpDistance(p=1)),
        ),
        (
            {"name": "MultiSimilarityLoss"},
            {"name": "MultiSimilarityMiner", "epsilon": 0.2},
            losses.MultiSimilarityLoss(),
            miners.MultiSimilarityMiner(epsilon=0.2),
        ),
    ],
)
def test_the_adapter_is_the_library(
    batch: tuple[Tensor, Tensor, Tensor],
    of: dict[str, object],
    miner: dict[str, object] | None,
    theirs: Callable[..., Tensor],
    picks: Callable[[Tensor, Tensor], tuple[Tensor, ...]] | None,
) -> None:
    _, vectors, labels = batch
    picked = None if picks is None else picks(vectors, labels)
    loss_value = compared(Loss.open({"name": "metric_learning", "loss": of, "miner": miner}), batch)
    torch.testing.assert_close(loss_value, theirs(vectors, labels, picked))
    assert loss_value > 0


def test_proxy_anchor_is_the_librarys_on_the_heads_vectors() -> None:
    draws = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 0, 1, 1, 1, 3])  # class 2 is not in the batch
    head = Head.open("cosine").build(6, 4)
    vectors = torch.randn(6, 6, generator=draws)
    theirs = losses.ProxyAnchorLoss(4, 6, margin=0.1, alpha=32)
    theirs.proxies.data = head.get_parameter("weight").detach().clone()
    row_losses = Loss.open("proxy_anchor").rows(head(vectors), labels)
    torch.testing.assert_close(row_losses, theirs(vectors, labels).detach().expand(6), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss": {"name": "TripletMarginLos"}}, "C07 .*did you mean 'TripletMarginLoss'"),
        ({"loss": {"name": "TripletMarginLoss", "marginn": 1}}, "C02 .*'marginn'; did you mean 'margin'"),
        ({"loss": {"name": "ArcFaceLoss", "num_classes": 4, "embedding_size": 6}}, "has weights of its own"),
        ({"miner": {"name": "HardMiner"}}, "C07 pytorch-metric-learning has no 'HardMiner' among its miners"),
        (
            {"loss": {"name": "TripletMarginLoss", "distance": {"name": "Cosine"}}},
            "C07 .*no 'Cosine' among its distances; did you mean 'CosineSimilarity'",
        ),
        (
            {"miner": {"name": "BatchHardMiner", "distance": {"name": "LpDistance", "q": 1}}},
            "C02 LpDistance has no argument 'q'",
        ),
        (
            {"loss": {"name": "TripletMarginLoss", "margin": "x"}},
            "C02 TripletMarginLoss with .* fails on four",
        ),
        ({"loss": {"name": "NTXentLoss", "temperature": 0}}, "C02 NTXentLoss with .* is nan on four"),
        ({"base": "arcface"}, "arcface takes cosines, not logits"),
    ],
)
def test_what_the_library_has_not_is_refused_at_the_door(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Loss.open({"name": "metric_learning", **options})


def test_without_the_library_the_message_says_what_to_install(
    batch: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    loss = Loss.open({"name": "metric_learning", "loss": {"name": "NCALoss"}})
    with pytest.raises(ConfigError, match=r"C24 .*pytorch-metric-learning"):
        compared(loss, batch)


@pytest.mark.parametrize("loss", ["contrastive", "metric_learning", "proxy_anchor"])
def test_a_network_is_trained_by_comparison_and_predicts(competition: Path, loss: str) -> None:
    overrides = [f"loss={loss}", "sampler=m_per_class", "sampler.rows_per_class=2", "epochs=1"]
    run = train(competition, name="r", overrides=overrides)
    assert json.loads((competition / "runs/r/fold-0/log.jsonl").read_text().splitlines()[0])["train_loss"] > 0
    assert len(Predictions.read(run.predictions("plain") / "oof.parquet")) == 60
