"""FixMatch: a loss of labelled rows, and consistency between a weak and a strong view of test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Augmenter, Loss
from kit.plugins.augmenter.randaugment import Randaugment
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Fixmatch(Loss):
    """The mean loss of labelled rows + weight * the mean loss of strong views of confident test rows.

    The label of a test row is the class that the network predicts of its weak view. If the class has a probability
    below the threshold, the row's loss is 0. A batch has `ratio` test rows per training row, each in two views. The
    weak view is that of the run's augmenter. The network that trains predicts the labels, and no gradient flows
    through them.

    Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence",
    equations 3 and 4.
    """

    splittable: ClassVar[bool] = False
    reads_unlabelled: ClassVar[bool] = True

    base: Loss = Field(CrossEntropy(), description="loss of labelled rows and of strong views")
    threshold: float = Field(0.95, ge=0, le=1, description="minimum probability of a pseudo-label, tau")
    weight: float = Field(1.0, ge=0, description="weight of the test rows, lambda")
    ratio: int = Field(2, ge=1, le=16, description="test rows per training row, mu; the paper has 7")
    strong: Augmenter = Field(Randaugment(), description="augmenter of strong views")

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        return images, [(1.0, labels)]

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each row (N,), whose mean is the sum of both means.

        Labels (N, 1): first the labelled rows, then all weak views, then the strong views in the same order. With
        labels (N,) all rows are labelled.
        """
        if labels.ndim == 1:
            return self.base.rows(outputs, labels)
        import torch

        count = len(outputs)
        labelled = count // (1 + 2 * self.ratio)
        unlabelled = self.ratio * labelled
        weak, strong = outputs[labelled : labelled + unlabelled], outputs[labelled + unlabelled :]
        with torch.no_grad():
            confidence, pseudo_labels = self.probabilities(weak).max(dim=1)
        own = self.base.rows(outputs[:labelled], labels[:labelled, 0].long())
        views = (confidence >= self.threshold) * self.base.rows(strong, pseudo_labels)
        scaled = self.weight * (count / unlabelled) * views
        return torch.cat([own * (count / labelled), torch.zeros_like(confidence), scaled])
