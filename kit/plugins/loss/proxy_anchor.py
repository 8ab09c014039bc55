"""Proxy anchor: compares each class's vector with all rows of the batch; hard rows weigh most."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, Outputs

if TYPE_CHECKING:
    from torch import Tensor


class ProxyAnchor(Loss):
    """Each class's proxy (its vector in the cosine head) attracts the class's rows and repels all others.

    The loss of a batch is the sum of two means. The first is over the classes in the batch, of log(1 + sum
    over their rows of exp(-s * (cos - m))). The second is over all classes, of log(1 + sum over other rows of
    exp(s * (cos + m))). Every row has the batch's loss, because the classes' sums are over all of them.

    Source: Kim et al. 2020, "Proxy Anchor Loss for Deep Metric Learning", equation 4.
    """

    takes: ClassVar[Outputs] = "cosines"
    splittable: ClassVar[bool] = False

    margin: float = Field(0.1, ge=0, lt=1, description="margin m of the cosine")
    scale: float = Field(32.0, gt=0, description="s")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        cosines = outputs.float()
        own = labels[:, None] == torch.arange(cosines.shape[1], device=labels.device)
        pulled = _sums((-self.scale * (cosines - self.margin)).masked_fill(~own, -torch.inf))
        pushed = _sums((self.scale * (cosines + self.margin)).masked_fill(own, -torch.inf))
        there = own.any(dim=0)
        # an index mask would wait for the device, to count the rows
        total = torch.where(there, pulled, 0.0).sum() / there.sum() + pushed.mean()
        return total.expand(len(labels))

    def probabilities(self, outputs: Tensor) -> Tensor:
        return (self.scale * outputs.float()).softmax(dim=1)


def _sums(powers: Tensor) -> Tensor:
    """Returns log(1 + sum of exp) over the rows (N, K) of each class, (K,)."""
    import torch

    return torch.cat([powers, torch.zeros_like(powers[:1])]).logsumexp(dim=0)
