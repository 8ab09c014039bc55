"""Parents of the classes in losses: their weights, their names and counts, their logits and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kit.errors import ConfigError, did_you_mean
from kit.kinds import Classes
from kit.kinds.levels import Level

if TYPE_CHECKING:
    from torch import Tensor


def check_levels(name: str, levels: Sequence[Level], weights: Mapping[str, float]) -> None:
    """Raises ConfigError C08 if the classes have no parents, C47 for a weight of an unknown level."""
    if not levels:
        raise ConfigError(
            f"loss {name!r} needs parents of the classes",
            code="C08",
            hint='data.parents=["genus","family"], columns of data.class_list or of the training table',
        )
    known = [level.name for level in levels]
    for weight in weights:
        if weight not in known:
            raise ConfigError(
                f"loss.weights: no level {weight!r}{did_you_mean(weight, known)}",
                code="C47",
                hint=f"the levels: {', '.join(known)}",
            )


def classes_of_level(classes: Classes, level: Level) -> Classes:
    """Returns the parents as classes, with their names and training rows."""
    counts = [0] * len(level.nodes)
    for number, count in zip(level.numbers, classes.counts, strict=bool(classes.counts)):
        counts[number] += count
    return Classes(
        level.nodes, tuple(counts) if classes.counts else (), total=classes.total, target=classes.target
    )


def add_logits(logits: Tensor, numbers: Tensor, parents: int) -> Tensor:
    """Returns logits (N, parents), the log-sum-exp of each parent's logits (N, K), so that probabilities are sums.

    `numbers` (K,) are the parents of the classes.
    """
    from kit.plugins.loss._sum_children import LogSumOfChildren

    sums: Tensor = LogSumOfChildren.apply(logits, numbers, parents)  # type: ignore[no-untyped-call]
    return sums


def numbers_of_nodes(levels: Sequence[Level], at: int) -> tuple[int, ...]:
    """Returns the number of the parent, on level `at`, of each node of the level below, or of each class."""
    if at == 0:
        return levels[0].numbers
    upper = dict(zip(levels[at - 1].numbers, levels[at].numbers, strict=True))
    return tuple(upper[number] for number in range(len(levels[at - 1].nodes)))


def add_labels(labels: Tensor, numbers: Tensor, parents: int) -> Tensor:
    """Returns the parents' numbers (N,) of class numbers, or their shares (N, parents) of shares (N, K)."""
    if labels.ndim == 1:
        return numbers[labels]
    return labels.new_zeros(len(labels), parents).index_add(1, numbers, labels)
