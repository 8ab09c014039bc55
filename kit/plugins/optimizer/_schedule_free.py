"""ScheduleFreeAdamW: the steps of schedule-free AdamW, and the average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from kit.device.torch_internals import copy_all, lerp_all, schedule_free_step

BASE, SQUARES = "z", "exp_avg_sq"  # of a weight's state, as the authors name them


class ScheduleFreeAdamW(torch.optim.Optimizer):
    """Defazio et al. 2024, algorithm 1, as the authors rearrange it: the weights are y, and x is not stored.

    A group counts only steps in which one of its weights has a gradient, so that a part that thaws late averages from
    then on.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float = 1e-8
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0, "foreach": True}
        super().__init__(groups, {**defaults, "steps": 0, "lr_max": 0.0, "weight_sum": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step. `closure` is not used."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if BASE not in self.state[weight]:
                    self.state[weight][BASE] = weight.clone()
                    self.state[weight][SQUARES] = torch.zeros_like(weight)
            group["steps"] += 1
            group["lr_max"] = max(group["lr_max"], group["lr"])
            group["weight_sum"] += group["lr_max"] ** 2
            # of this step in the average: the authors weigh a step by the square of the highest rate so far
            share = group["lr_max"] ** 2 / group["weight_sum"] if group["weight_sum"] else 0.0
            # one weight at a time needs less memory
            for those in [weights] if group["foreach"] else [[weight] for weight in weights]:
                schedule_free_step(
                    those,
                    [weight.grad for weight in those],
                    [self.state[weight][BASE] for weight in those],
                    [self.state[weight][SQUARES] for weight in those],
                    lr=group["lr"],
                    betas=group["betas"],
                    eps=group["eps"],
                    weight_decay=group["weight_decay"],
                    steps=group["steps"],
                    share=share,
                )

    @torch.no_grad()
    def write_average(self, weights: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Writes x = y + (1 - 1 / beta1) * (z - y) of each weight y into its target; y, if it has not stepped yet."""
        copy_all(targets, weights)
        betas = {id(weight): group["betas"][0] for group in self.param_groups for weight in group["params"]}
        pairs: dict[float, list[tuple[Tensor, Tensor]]] = {}
        for weight, target in zip(weights, targets, strict=True):
            if BASE in self.state.get(weight, {}):
                pairs.setdefault(betas[id(weight)], []).append((target, self.state[weight][BASE]))
        for beta, those in pairs.items():
            lerp_all([target for target, _ in those], [base for _, base in those], 1 - 1 / beta)
