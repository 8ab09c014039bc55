"""Lookahead: slow weights that follow those of another optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from kit.kinds import Optimizer
from kit.plugins.optimizer.adamw import Adamw

if TYPE_CHECKING:
    import torch

SLOW, STEPS = "slow", "lookahead_steps"  # in a weight's state, and in a group


class Lookahead(Optimizer):
    """After every `every` steps of `base` the weights return to the slow ones, plus `share` of the difference.

    With `base` timm's radamw it is Ranger. The learning rate is the base's.

    Source: Zhang et al. 2019, "Lookahead Optimizer: k steps forward, 1 step back", algorithm 1.
    """

    base: Optimizer = Field(Adamw(), description="the optimizer of the fast weights")
    every: int = Field(6, ge=1, le=1000, description="k, number of fast steps per slow step")
    share: float = Field(
        0.5, gt=0, le=1, description="step size alpha of the slow weights; 1 is the base alone"
    )

    @model_validator(mode="after")
    def _base_has_no_average(self) -> Self:
        if self.base.averages_weights():
            raise ValueError("base must be an optimizer that does not average weights itself")
        return self

    @property
    def state_tensors(self) -> int:
        """The base's number, plus 1 for the slow weights."""
        return self.base.state_tensors + 1 if self.base.state_tensors else 0

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        import torch

        inner = self.base.build(parameters)
        for group in inner.param_groups:
            group[STEPS] = 0
        begun: dict[
            Any, Any
        ] = {}  # weights before their first step, when an optimizer's own state must be empty

        @torch.no_grad()
        def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None and SLOW not in optimizer.state.get(weight, {}):
                        begun[weight] = weight.detach().clone()

        @torch.no_grad()
        def after(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            for weight, value in begun.items():
                optimizer.state[weight][SLOW] = value
            begun.clear()
            for group in optimizer.param_groups:
                group[STEPS] += 1
                if group[STEPS] % self.every:
                    continue
                for weight in group["params"]:
                    if SLOW in optimizer.state.get(weight, {}):
                        weight.copy_(optimizer.state[weight][SLOW].lerp_(weight, self.share))

        inner.register_step_pre_hook(before)
        inner.register_step_post_hook(after)
        return inner
