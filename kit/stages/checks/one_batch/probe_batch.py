"""ProbeBatch: a stage of a fold, and the few rows that the network must overfit, without augmentation or mixing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.engine import fit, step
from kit.engine.batches import Batch, PlainBatches
from kit.engine.learner import Learner
from kit.engine.step import StepPlan
from kit.experiment.fold_training import new_learner, plan_of
from kit.experiment.run_context import RunContext
from kit.experiment.techniques import OpenStage
from kit.experiment.warm_start import load_initial_weights
from kit.kinds import Loss
from kit.model.network import freeze

ROWS = 8  # rows to overfit: few enough to look at, enough for batch norm's statistics


NEAR = 0.25  # of a column's standard deviation, or of a share, between a prediction and its label


class NoMixing(Loss):
    """A loss without mixing of images, which measures how well rows are learned."""

    base: Loss

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        return images, [(1.0, labels)]

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self.base.rows(outputs, labels)


@dataclass(frozen=True, eq=False)
class ProbeBatch:
    """The input of all checks: the stage that freezes least, and a batch as in prediction."""

    setting: RunContext
    fold: int
    stages: Sequence[fit.FitStage]
    at: int  # number of the stage
    loss: Loss  # of the stage, without mixing
    batch: Batch
    plan: StepPlan

    @classmethod
    def of(cls, setting: RunContext, fold: int, stages: Sequence[fit.FitStage]) -> ProbeBatch:
        """Picks and reads the rows of a fold. Raises DataError for an image that cannot be read."""
        at = min(range(len(stages)), key=lambda number: len(stages[number].frozen))
        experiment = setting.techniques.stages[at].experiment
        rows = choose_rows(setting, fold)
        batches = PlainBatches(
            setting.loaded.cache,
            rows,
            experiment.image_size,
            experiment.center_crop,
            len(rows),
            workers=0,
            labels=setting.loaded.table.targets(),
            side=setting.side_of(fold),
            bags=setting.image_bags,
        )
        try:
            (batch,) = batches
        finally:
            batches.close()
        return cls(setting, fold, stages, at, NoMixing(base=stages[at].loss), batch, plan_of(setting, fold))

    @property
    def stage(self) -> fit.FitStage:
        """The stage, with the batches that it trains on."""
        return self.stages[self.at]

    @property
    def open_stage(self) -> OpenStage:
        """The stage's plugins."""
        return self.setting.techniques.stages[self.at]

    def learner(self) -> Learner:
        """Returns a learner in the fold's initial state."""
        new, start = new_learner(self.setting, self.fold), self.setting.initial_checkpoint(self.fold)
        if start is not None:
            load_initial_weights(new, start)
        freeze(new.network, self.stage.frozen)
        return new

    @torch.no_grad()
    def outputs(self, learner: Learner, images: Tensor | None = None) -> Tensor:
        """Returns outputs (N, width) float32 of the batch, or of other images, as in training; without any change."""
        setting, given = self.setting, self.batch.images if images is None else images
        learner.saved_buffers.save()
        torch.manual_seed(0)  # the same dropout for other images
        on_device = setting.precision.to_layout(given, setting.device)
        side = self.batch.side
        outputs = step.outputs(learner.network, on_device, setting.precision, setting.device, side).float()
        learner.saved_buffers.restore()
        return outputs

    def labels(self) -> Tensor:
        """Returns the batch's labels, on the network's device."""
        return self.batch.labels.to(self.setting.device)

    def is_correct(self, outputs: Tensor) -> Tensor:
        """Whether each row's outputs predict its label, (N,) bool.

        With several labels, all of them must be predicted. Numbers are correct if they are near in units of
        their standard deviation, soft targets if no share is far off.
        """
        labels, shares = self.labels(), self.loss.probabilities(outputs)
        table = self.setting.loaded.table
        if not table.target.has_decisions:
            scale = torch.tensor(table.scale()[1] or (1.0,), device=labels.device)
            near = (shares - labels).abs() <= NEAR * scale
            correct: Tensor = (near | table.target.find_missing(labels)).all(dim=1)
            return correct
        if labels.ndim == 2:
            return ((shares >= 0.5) == (labels > 0.5)).all(dim=1)
        return shares.argmax(dim=1) == labels

    def ids(self) -> list[str]:
        """Returns the ids of the batch's rows."""
        return [str(name) for name in self.setting.loaded.table.ids[self.batch.rows.numpy()]]


def choose_rows(setting: RunContext, fold: int) -> np.ndarray:
    """Returns up to ROWS rows of the fold's training, with different images, alternating between the classes;
    ascending.
    """
    rows, table, hashes = setting.training_rows(fold), setting.loaded.table, setting.loaded.cache.hashes
    if setting.image_bags is not None:
        rows = setting.image_bags.first_rows(rows)
    first = {hashes[row]: int(row) for row in rows[::-1].tolist()}
    different = np.array(sorted(first.values()))
    names = [" ".join(table.label_names(row)) for row in different.tolist()]
    seen: dict[str, int] = {}
    turns = []
    for name in names:
        turns.append(seen.get(name, 0))
        seen[name] = turns[-1] + 1
    return np.sort(different[np.argsort(turns, kind="stable")][:ROWS])
