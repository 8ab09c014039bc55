"""The log-sum-exp of the classes of each parent, with a gradient that computes no exponential again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class LogSumOfChildren(torch.autograd.Function):
    """Logits (N, parents) of logits (N, K), for the parent's number of each class (K,).

    Rows of the transposed logits are added whole, which is vectorised. Columns are not.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, numbers: Tensor, parents: int) -> Tensor:
        """Returns the logits of the parents."""
        exponentials = logits.t().clone(memory_format=torch.contiguous_format)
        index = numbers[:, None].expand_as(exponentials)
        # the largest logit of each parent is subtracted against overflow
        top = exponentials.new_full((parents, len(logits)), -float("inf"))
        top.scatter_reduce_(0, index, exponentials, "amax")
        exponentials.sub_(top.index_select(0, numbers)).exp_()
        sums = exponentials.new_zeros(parents, len(logits)).index_add_(0, numbers, exponentials)
        ctx.save_for_backward(exponentials, numbers, sums)
        return top.add_(sums.log()).t().contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Returns each parent's gradient times the share that a class has of it."""
        exponentials, numbers, sums = ctx.saved_tensors
        (gradient,) = gradients
        shares = (gradient.t() / sums).index_select(0, numbers).mul_(exponentials)
        return shares.t().contiguous(), None, None
