"""Distillation: any loss of the label, plus the distance of the outputs from a teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss
from kit.kinds.targets import LabelKind
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

MIN_PROBABILITY = 1e-37  # near float32's smallest normal number, so that its logarithm is finite


class Distillation(Loss):
    """(1 - w) * the base's loss of the label + w * T^2 * KL(teacher || student), both softened by T.

    A probability p softens to p^(1/T) divided by their sum, which is the softmax of logits / T. A row that no
    teacher saw has the base's loss. The teachers' predictions come from `kit pseudo-labels`. Wrap this in
    cutmix or mixup, or those in this: both mix the predictions with the labels.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", sections 2 and 2.1 (T^2).
    """

    label_kinds = ("class_index", "taught")

    base: Loss = Field(CrossEntropy(), description="loss of the label")
    temperature: float = Field(
        2.0, gt=0, le=100, description="temperature T; above 1, small probabilities count more"
    )
    teacher_weight: float = Field(0.5, ge=0, le=1, description="weight w of the teacher's term")

    def takes_labels(self, labels: LabelKind) -> bool:
        return self.base.takes_labels("class_index") if labels == "taught" else super().takes_labels(labels)

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim == 1:
            return self.base.rows(outputs, labels)
        own, teacher = self.base.rows(outputs, labels[:, 0].long()), labels[:, 1:]
        student = (
            self.probabilities(outputs).clamp(min=MIN_PROBABILITY).log() / self.temperature
        ).log_softmax(1)
        target = (teacher.clamp(min=MIN_PROBABILITY).log() / self.temperature).log_softmax(1)
        apart = self.temperature**2 * (target.exp() * (target - student)).sum(1)
        mixed = (1 - self.teacher_weight) * own + self.teacher_weight * apart
        return mixed.where(teacher.sum(1) > 0, own)
