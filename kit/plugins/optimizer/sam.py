"""Sharpness-aware minimization around another optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Optimizer
from kit.plugins.optimizer.adamw import Adamw

if TYPE_CHECKING:
    import torch

EPSILON = 1e-12  # added to a gradient's norm


class Sam(Optimizer):
    """Takes the gradient at the worst nearby weights, and moves by `base`. A step takes two passes.

    With `adaptive` it is ASAM, whose radius is larger, about 0.5 to 2. Batch norm's statistics are those of
    the first pass. On several ranks each one searches nearby weights with its own rows.

    Source: Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization", equation 2;
    Kwon et al. 2021, "ASAM", equation 7, with the weights as the scale.
    """

    base: Optimizer = Field(Adamw(), description="the optimizer that moves the weights")
    radius: float = Field(0.05, gt=0, le=100, description="radius rho of the weight perturbation")
    adaptive: bool = Field(False, description="ASAM: the perturbation of a weight is relative to its size")

    @property
    def state_tensors(self) -> int:
        """The base's number."""
        return self.base.state_tensors

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        optimizer = self.base.build(parameters)
        optimizer.perturb = lambda: self._perturb(optimizer)  # type: ignore[attr-defined]
        return optimizer

    def _perturb(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        """Moves the weights along their gradient, and returns a function that moves them back."""
        import torch

        weights = [w for group in optimizer.param_groups for w in group["params"] if w.grad is not None]
        with torch.no_grad():
            before = [weight.detach().clone() for weight in weights]
            slopes = [w.abs() * w.grad if self.adaptive else w.grad for w in weights]
            scale = self.radius / (torch.nn.utils.get_total_norm(slopes) + EPSILON)
            # all gradients are computed before the first weight moves, because memory may run out
            changes = [
                scale * (w.abs() * slope if self.adaptive else slope)
                for w, slope in zip(weights, slopes, strict=True)
            ]
            for weight, change in zip(weights, changes, strict=True):
                weight.add_(change)

        @torch.no_grad()
        def put_back() -> None:
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)

        return put_back
