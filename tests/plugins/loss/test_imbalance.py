"""Losses for rare classes and for ranks, against their authors' code and loops by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kit.kinds import Classes, Loss
from kit.kinds.targets import MULTI_HOT

COUNTS = (40, 10, 3, 1)
KNOWN = Classes(("a", "b", "c", "d"), COUNTS)
OUTPUTS = 2 * torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(12) % 4
HOT = functional.one_hot(LABELS, 4).double()


def opened(name: str, **options: object) -> Loss:
    return Loss.open({"name": name, **options}).with_classes(KNOWN)


def test_balanced_softmax_is_logit_adjustment_of_1() -> None:
    """The authors: logits + log(samples per class), then cross-entropy (jiawei-ren/BalancedMetaSoftmax)."""
    wanted = functional.cross_entropy(OUTPUTS + torch.tensor(COUNTS).log(), LABELS, reduction="none")
    torch.testing.assert_close(opened("logit_adjustment").rows(OUTPUTS, LABELS), wanted, rtol=1e-6, atol=1e-6)


def test_logit_adjustment_by_hand() -> None:
    loss_value = opened("logit_adjustment", tau=0.5).rows(OUTPUTS, LABELS)[0].item()
    moved = [OUTPUTS[0, k].item() + 0.5 * math.log(COUNTS[k] / 54) for k in range(4)]
    assert loss_value == pytest.approx(math.log(sum(map(math.exp, moved))) - moved[0], abs=1e-6)
    plain = opened("cross_entropy").rows(OUTPUTS, LABELS)
    torch.testing.assert_close(opened("logit_adjustment", tau=0).rows(OUTPUTS, LABELS), plain)


def test_poly_is_the_papers_pseudocode() -> None:
    """Leng et al. 2022, figure 2: CE + epsilon * (1 - pt)."""
    pt = (HOT * OUTPUTS.softmax(1)).sum(1)
    wanted = functional.cross_entropy(OUTPUTS, LABELS, reduction="none") + 2.0 * (1 - pt)
    torch.testing.assert_close(opened("poly1", epsilon=2.0).rows(OUTPUTS, LABELS), wanted)


def test_ldam_is_the_authors_code() -> None:
    """kaidic/LDAM-DRW, losses.py: margins by counts, scaled to a largest of max_m, s = 30."""
    by_count = 1.0 / np.sqrt(np.sqrt(COUNTS))
    margins = torch.tensor(by_count * (0.5 / by_count.max()))
    cosines = torch.tanh(OUTPUTS)
    moved = cosines - margins[LABELS][:, None]
    wanted = functional.cross_entropy(30 * torch.where(HOT.bool(), moved, cosines), LABELS, reduction="none")
    losses = opened("ldam").rows(cosines, LABELS).double()
    torch.testing.assert_close(losses, wanted, rtol=1e-4, atol=1e-4)


def mmdet_seesaw(scores: Tensor, labels: Tensor, counts: Tensor, p: float, q: float) -> Tensor:
    """mmdet/models/losses/seesaw_loss.py, seesaw_ce_loss, with `cum_samples` of all training rows."""
    onehot = functional.one_hot(labels, scores.shape[1])
    weights = scores.new_ones(onehot.size())
    if p > 0:
        ratio = counts[None, :].clamp(min=1) / counts[:, None].clamp(min=1)
        index = (ratio < 1.0).double()
        weights = weights * (ratio.pow(p) * index + (1 - index))[labels.long(), :]
    if q > 0:
        chances = functional.softmax(scores.detach(), dim=1)
        own = chances[torch.arange(0, len(chances)), labels.long()]
        matrix = chances / own[:, None].clamp(min=1e-2)
        index = (matrix > 1.0).double()
        weights = weights * (matrix.pow(q) * index + (1 - index))
    return functional.cross_entropy(scores + weights.log() * (1 - onehot), labels, reduction="none")


@pytest.mark.parametrize(("p", "q"), [(0.8, 2.0), (0.0, 2.0), (0.8, 0.0), (0.0, 0.0)])
def test_seesaw_is_mmdets(p: float, q: float) -> None:
    wanted = mmdet_seesaw(OUTPUTS, LABELS, torch.tensor(COUNTS, dtype=torch.float64), p, q)
    torch.testing.assert_close(opened("seesaw", p=p, q=q).rows(OUTPUTS, LABELS), wanted, rtol=1e-5, atol=1e-5)


def test_soft_f1_of_certain_rows_is_scikit_learns() -> None:
    from sklearn.metrics import f1_score

    decided = torch.tensor([0, 1, 2, 3, 0, 2, 2, 3, 1, 1, 2, 0])
    losses = opened("soft_f1").rows(60 * functional.one_hot(decided, 4).double(), LABELS)
    assert losses.shape == (12,)
    assert 1 - losses[0].item() == pytest.approx(f1_score(LABELS, decided, average="macro"), abs=1e-6)


def test_soft_f1_by_hand_leaves_out_classes_that_the_batch_lacks() -> None:
    shares = torch.tensor([[0.8, 0.1], [0.3, 0.2]]).double()
    loss = Loss.open("soft_f1").with_classes(Classes(("a", "b"), (1, 1), target=MULTI_HOT))
    losses = loss.rows(shares.logit(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert losses[0].item() == pytest.approx(1 - 2 * 0.8 / (1.1 + 1))


def test_pairwise_auc_by_loops() -> None:
    shares, means = OUTPUTS.softmax(1).numpy(), []
    for k in range(4):
        yes, no = (np.flatnonzero((LABELS.numpy() == k) == answer) for answer in (True, False))
        means.append(np.mean([max(0, 0.7 - shares[i, k] + shares[j, k]) ** 2 for i in yes for j in no]))
    losses = opened("pairwise_auc", margin=0.7).rows(OUTPUTS, LABELS)
    assert losses[0].item() == pytest.approx(np.mean(means))


def test_a_batch_without_pairs_moves_nothing() -> None:
    leaf = OUTPUTS[:1].clone().requires_grad_()
    loss = Loss.open("pairwise_auc").with_classes(Classes(("a", "b", "c", "d"), COUNTS, target=MULTI_HOT))
    value = loss.rows(leaf, torch.zeros(1, 4).double())
    value.sum().backward()
    assert value.tolist() == [0.0]
    assert leaf.grad is not None
    assert not leaf.grad.any()
