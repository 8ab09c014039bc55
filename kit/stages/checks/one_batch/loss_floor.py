"""Bottom: how low a loss can go on a batch, found by moving free outputs, without any network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.errors import Case
from kit.stages.checks.finding import Finding
from kit.stages.checks.one_batch.probe_batch import Ground

STEPS, RATE = 200, 0.3  # of Adam: outputs move by up to 60, and a softmax is sure at 20
SETTLED = 20  # steps without a change
DEAD = 1e-4  # share of the loss at equal outputs that it must be able to fall by


@dataclass(frozen=True, eq=False)
class Bottom:
    """Losses of a batch: of equal outputs, the least of outputs that are alike for all its images, and the least."""

    guessing: float
    blind: float
    least: float
    outputs: Tensor  # (N, width), those of the least loss

    def reached(self, value: float) -> float:
        """The share of the way that only a look at the images can go, from `blind` to `least`; 1 where it is all gone.

        Of a batch whose rows are all alike it is the way from `guessing`.
        """
        top = self.blind if self.blind - self.least > DEAD * abs(self.guessing) else self.guessing
        return (top - value) / max(top - self.least, 1e-12)

    @property
    def is_dead(self) -> bool:
        """Whether the loss is not a number, or no outputs make it smaller."""
        fallen = self.guessing - self.least
        return not math.isfinite(fallen) or fallen <= DEAD * max(abs(self.guessing), DEAD)


def bottom(ground: Ground) -> Bottom:
    """Moves free outputs of the batch until its loss is as low as it goes."""
    guessing, blind, _ = _lowest(ground, 1)
    _, least, outputs = _lowest(ground, len(ground.batch))
    return Bottom(guessing, blind, least, outputs)


def _lowest(ground: Ground, rows: int) -> tuple[float, float, Tensor]:
    """The loss of outputs of 0, the lowest on the way down, and its outputs; of one row, shared by all, or of each.

    Cosines stay between -1 and 1.
    """
    labels, bounded = ground.labels(), ground.loss.outputs() == "cosines"
    width = ground.loss.width(len(ground.setting.loaded.table.classes))
    free = torch.zeros(rows, width, device=labels.device, requires_grad=True)
    adam, values = torch.optim.Adam([free], lr=RATE), []
    kept = free.detach().expand(len(labels), width)
    for _ in range(STEPS):
        given = (torch.tanh(free) if bounded else free).expand(len(labels), width)
        value = ground.loss.rows(given, labels).mean()
        values.append(float(value.detach()))
        if not math.isfinite(values[-1]) or not value.requires_grad or _has_settled(values):
            break
        if values[-1] <= min(values):
            kept = given.detach().clone()
        adam.zero_grad()
        value.backward()
        adam.step()
    return values[0], min(values), kept


def _has_settled(values: Sequence[float]) -> bool:
    """Whether the last steps, taken together, hardly changed it."""
    return len(values) > SETTLED and abs(values[-SETTLED] - values[-1]) <= DEAD * max(abs(values[0]), DEAD)


def of_loss(ground: Ground, found: Bottom) -> Iterator[Finding]:
    """K24 for a loss that nothing makes smaller, K21 for one that is least where other labels are predicted."""
    name = ground.stage.loss.plugin_name()
    if found.is_dead:
        other = "bce" if ground.setting.loaded.table.is_multi_label else "cross_entropy"
        yield Finding(
            "K24", "problem", f"loss {name!r} is {found.guessing:.4g} whatever the outputs are: nothing pulls at them",
            "no network learns from it", f"kit plugins check on its file, or loss={other} instead of {name}",
        )  # fmt: skip
        return
    right = ground.right(found.outputs).tolist()
    if not all(right):
        yield Finding(
            "K21", "problem", f"loss {name!r} is least where {right.count(False)} of {len(right)} rows are told wrong",
            "the network learns other labels than the table's, and is scored on the table's",
            "look at how its rows() reads labels, and at its probabilities()", _told(ground, found, right),
        )  # fmt: skip


def _told(ground: Ground, found: Bottom, right: list[bool]) -> tuple[Case, ...]:
    table = ground.setting.loaded.table
    best = ground.loss.probabilities(found.outputs).argmax(dim=1).tolist()
    rows = zip(ground.batch.rows.tolist(), best, right, strict=True)
    return tuple(
        Case(
            f"{' '.join(table.label_names(row)) or 'no label'}, its loss is least at {table.classes[told]}",
            id=str(table.ids[row]),
        )
        for row, told, well in rows
        if not well
    )


def of_start(ground: Ground, found: Bottom, start: float) -> Iterator[Finding]:
    """K22: the loss before the first step is far above that of equal outputs, which knows nothing.

    Cosines of few features are far apart by chance, so margins have more room; weights that another run left know
    something already, and are not asked.
    """
    most = (2.5 if ground.loss.outputs() == "cosines" else 1.5) * found.guessing + 0.5
    if ground.setting.experiment.start_from is None and not start <= most:
        classes = len(ground.setting.loaded.table.classes)
        yield Finding(
            "K22", "warning",
            f"the loss before the first step is {start:.4g}, that of equal outputs {found.guessing:.4g} "
            f"({classes} classes)",
            "the first epochs go into unlearning what the network is sure of without having seen anything",
            "smaller weights at the start, or a norm before the head; look at head and pooling",
        )  # fmt: skip
