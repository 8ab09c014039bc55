"""LossFloor: finds how low a loss can become on a batch by moving free outputs, without any network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.errors import Case
from kit.stages.checks.finding import Finding
from kit.stages.checks.one_batch.probe_batch import ProbeBatch

MAX_STEPS, ADAM_LR = 200, 0.3  # of Adam: outputs move by up to 60, and a softmax is sure at 20
PLAIN_LOSSES = {
    "class_index": "cross_entropy",
    "multi_hot": "bce",
    "numbers": "mse",
    "soft": "cross_entropy",
    "several": "several",
}  # of a label kind
SETTLED_STEPS = 20  # steps without a change
MIN_LOSS_DROP = 1e-4  # share of the loss at equal outputs by which it must be able to decrease


@dataclass(frozen=True, eq=False)
class LossFloor:
    """Losses of a batch: of equal outputs, the lowest with the same outputs for all images, and the lowest."""

    guessing: float
    constant_output: float
    least: float
    outputs: Tensor  # (N, width), the outputs of the lowest loss

    def progress_of(self, value: float) -> float:
        """Returns the share of the way from `constant_output` to `least`, which needs the images.

        It is 1 if the loss is `least`. In a batch of identical rows it is the way from `guessing`.
        """
        top = (
            self.constant_output
            if self.constant_output - self.least > MIN_LOSS_DROP * abs(self.guessing)
            else self.guessing
        )
        return (top - value) / max(top - self.least, 1e-12)

    @property
    def is_stuck(self) -> bool:
        """Whether the loss is not a number, or cannot be reduced by any outputs."""
        fallen = self.guessing - self.least
        return not math.isfinite(fallen) or fallen <= MIN_LOSS_DROP * max(abs(self.guessing), MIN_LOSS_DROP)


def loss_floor(probe: ProbeBatch) -> LossFloor:
    """Moves free outputs of the batch until its loss is as low as possible."""
    guessing, blind, _ = _lowest(probe, 1)
    _, least, outputs = _lowest(probe, len(probe.batch))
    return LossFloor(guessing, blind, least, outputs)


def _lowest(probe: ProbeBatch, rows: int) -> tuple[float, float, Tensor]:
    """Returns the loss of outputs of 0, the lowest loss, and its outputs: one row for all images, or one per image.

    Cosines stay between -1 and 1.
    """
    labels, bounded = probe.labels(), probe.loss.outputs() == "cosines"
    width = probe.loss.width(len(probe.setting.loaded.table.classes))
    free = torch.zeros(rows, width, device=labels.device, requires_grad=True)
    adam, values = torch.optim.Adam([free], lr=ADAM_LR), []
    best_outputs = free.detach().expand(len(labels), width)
    for _ in range(MAX_STEPS):
        given = (torch.tanh(free) if bounded else free).expand(len(labels), width)
        value = probe.loss.rows(given, labels).mean()
        values.append(float(value.detach()))
        if not math.isfinite(values[-1]) or not value.requires_grad or _has_settled(values):
            break
        if values[-1] <= min(values):
            best_outputs = given.detach().clone()
        adam.zero_grad()
        value.backward()
        adam.step()
    return values[0], min(values), best_outputs


def _has_settled(values: Sequence[float]) -> bool:
    """Whether the last steps together hardly changed the loss."""
    return len(values) > SETTLED_STEPS and abs(values[-SETTLED_STEPS] - values[-1]) <= MIN_LOSS_DROP * max(
        abs(values[0]), MIN_LOSS_DROP
    )


def check_loss(probe: ProbeBatch, floor: LossFloor) -> Iterator[Finding]:
    """Yields K24 for a loss that cannot be reduced, K21 for one that is lowest if other labels are predicted."""
    name = probe.stage.loss.plugin_name()
    if floor.is_stuck:
        other = PLAIN_LOSSES[probe.setting.loaded.table.label_kind]
        yield Finding(
            "K24",
            "problem",
            f"loss {name!r} is {floor.guessing:.4g} for all outputs, so it has no gradient",
            "no network can learn from it",
            f"run kit plugins check on its file, or use loss={other} instead of {name}",
        )
        return
    right = probe.is_correct(floor.outputs).tolist()
    if not all(right):
        yield Finding(
            "K21",
            "problem",
            f"the minimum of loss {name!r} predicts {right.count(False)} of {len(right)} rows wrongly",
            "the network learns other labels than those of the table, which are used for scores",
            "check how its rows() reads labels, and check its probabilities()",
            _describe_rows(probe, floor, right),
        )


def _describe_rows(probe: ProbeBatch, floor: LossFloor, right: list[bool]) -> tuple[Case, ...]:
    table = probe.setting.loaded.table
    best = probe.loss.probabilities(floor.outputs).numpy(force=True)
    rows = zip(probe.batch.rows.tolist(), best, right, strict=True)
    return tuple(
        Case(
            f"{' '.join(table.label_names(row)) or 'no label'}, but the loss is lowest for "
            f"{table.target.describe(probabilities, table.classes)}",
            id=str(table.ids[row]),
        )
        for row, probabilities, well in rows
        if not well
    )


def check_start_loss(probe: ProbeBatch, floor: LossFloor, start: float) -> Iterator[Finding]:
    """Yields K22: the loss before the first step is far above that of equal outputs, which need no knowledge.

    Cosines of few features differ much by chance, so margins get more tolerance. Weights of another run have
    some knowledge, and are not checked.
    """
    most = (2.5 if probe.loss.outputs() == "cosines" else 1.5) * floor.guessing + 0.5
    if probe.setting.experiment.init_from is None and not start <= most:
        classes = len(probe.setting.loaded.table.classes)
        yield Finding(
            "K22",
            "warning",
            f"the loss before the first step is {start:.4g}, but {floor.guessing:.4g} for equal outputs "
            f"({classes} classes)",
            "the first epochs are spent on unlearning confident random predictions",
            "use smaller initial weights, or a norm before the head; check head and pooling",
        )
