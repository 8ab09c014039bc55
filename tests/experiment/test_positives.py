"""Positives: the share of rows with another row of their class in their batch, counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from kit.config.models import Experiment
from kit.errors import KitWarning
from kit.experiment.positives import describe_positives, positive_share
from kit.experiment.techniques import OpenStage
from kit.kinds import Loss, Sampler


class InOrder(Sampler):
    """Rows as they are in the table."""

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.arange(len(labels))


def stage(loss: str, batch: int, sampler: Sampler | None = None) -> OpenStage:
    """What is read of a stage."""
    return cast(
        OpenStage,
        SimpleNamespace(
            loss=Loss.open(loss),
            sampler=sampler or InOrder(),
            experiment=Experiment.model_validate({"batch_size": batch}),
        ),
    )


@pytest.mark.parametrize(
    ("labels", "share"),
    [
        ([0, 0, 1, 2, 3, 3], 4 / 6),  # 0 0 1 | 2 3 3
        ([0, 1, 2, 0, 1, 2], 0.0),
        ([4, 4, 4, 4, 4, 4], 1.0),
    ],
)
def test_the_share_is_as_counted_by_hand(labels: list[int], share: float) -> None:
    assert positive_share(stage("contrastive", 3), np.array(labels)) == pytest.approx(share)


def test_blocks_of_classes_give_every_row_a_positive_and_no_warning() -> None:
    labels = np.repeat(np.arange(20), 6)
    blocks = Sampler.open({"name": "m_per_class", "rows_per_class": 4, "classes_per_block": 4})
    text = describe_positives(stage("contrastive", 16, blocks), labels)
    assert text == "loss contrastive: 100% of the rows have another row of their class in their batch"


def test_few_positives_are_a_warning_with_the_sampler_that_helps() -> None:
    with pytest.warns(KitWarning, match=r"W82 .*only 0% .*sampler=m_per_class"):
        describe_positives(stage("contrastive", 3), np.array([0, 1, 2, 0, 1, 2]))


def test_other_losses_do_not_warn() -> None:
    assert describe_positives(stage("cross_entropy", 3), np.array([0, 1, 2])) == ""
