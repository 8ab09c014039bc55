"""GradientExchange: sums gradients over ranks in buckets while the backward pass still runs.

It works as torch's DistributedDataParallel with one difference: a rank that cannot finish its pass sends
zeros for the rest. So no rank waits, and all start the step again. Decision 31 has the reason. A step calls
`expect_last_pass` before its last backward pass, `complete` after it, and `wait` once the ranks have agreed
that all of them succeeded or one failed.

Source: Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kit.device.ranks import AsyncAllReduce, Ranks
from kit.device.torch_internals import copy_all

BUCKET = 25 * 2**20  # bytes of gradients that are sent together, as in DistributedDataParallel


class _Bucket:
    """Weights whose gradients are sent together, and the float32 tensor that they are sent in, which is reused."""

    def __init__(self, weights: Sequence[nn.Parameter], ranks: Ranks) -> None:
        self.weights, self.ranks = weights, ranks
        self.flat = torch.zeros(sum(weight.numel() for weight in weights), device=weights[0].device)
        parts = self.flat.split([weight.numel() for weight in weights])
        self.parts = [_match_layout(weight, part) for part, weight in zip(parts, weights, strict=True)]
        self.owed = len(weights)  # gradients that this pass has not computed yet
        self.sent: AsyncAllReduce | None = None

    @torch.no_grad()
    def send(self, empty: bool = False) -> None:
        """Sends the available gradients, and zeros for missing ones. The sent tensor replaces the gradients."""
        if empty or self.owed:
            self.flat.zero_()
        here = [
            (part, weight)
            for part, weight in zip(self.parts, self.weights, strict=True)
            if weight.grad is not None
        ]
        if here and not empty:
            copy_all(
                [part for part, _ in here], [weight.grad for _, weight in here if weight.grad is not None]
            )
            for part, weight in here:
                weight.grad = part.to(weight.dtype)  # of float32 it is the part itself
        self.sent = AsyncAllReduce(self.ranks, self.flat)

    @torch.no_grad()
    def wait(self, keep: bool) -> None:
        """Waits for the sum. If `keep` is true, it becomes the gradients; if not, the step starts without gradients."""
        assert self.sent is not None
        self.sent.wait()
        if keep:
            for part, weight in zip(self.parts, self.weights, strict=True):
                if weight.grad is not None and weight.grad is not part:
                    weight.grad.copy_(part)
        self.sent, self.owed = None, len(self.weights)


def _match_layout(weight: nn.Parameter, part: Tensor) -> Tensor:
    """Returns a part of a flat tensor with the shape of a weight and, if it leaves no gaps, its layout."""
    if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        return part.as_strided(weight.shape, weight.stride(), part.storage_offset())
    return part.view(weight.shape)


class GradientExchange:
    """The gradients of a network's trained weights, the last layers' first, as a backward pass computes them."""

    def __init__(self, network: nn.Module, ranks: Ranks) -> None:
        self.weights = trainable_parameters(network)
        self._buckets = [_Bucket(weights, ranks) for weights in _cut(self.weights)]
        self._of = {id(weight): bucket for bucket in self._buckets for weight in bucket.weights}
        self._hooks = [
            weight.register_post_accumulate_grad_hook(self._on_gradient) for weight in self.weights
        ]
        self._next = 0  # the first bucket that is not sent yet
        self._is_last = False

    def expect_last_pass(self) -> None:
        """Marks the next pass as the step's last: its gradients are complete, and may be sent."""
        self._is_last = True

    def _on_gradient(self, weight: Tensor) -> None:
        if self._is_last:
            self._of[id(weight)].owed -= 1
            while self._next < len(self._buckets) and not self._buckets[self._next].owed:
                self._send()

    def _send(self, empty: bool = False) -> None:
        self._next += 1
        self._buckets[self._next - 1].send(empty)

    def complete(self, failed: bool) -> None:
        """Sends the remaining buckets, zeros after a failed pass, because the other ranks wait for the same
        number of messages.
        """
        while self._next < len(self._buckets):
            self._send(empty=failed)
        self._is_last = False

    def wait(self, keep: bool) -> None:
        """Waits for all sums and, if no rank has failed, replaces the gradients by them."""
        for bucket in self._buckets:
            bucket.wait(keep)
        self._next = 0

    def close(self) -> None:
        """Removes the hooks from the weights."""
        for hook in self._hooks:
            hook.remove()


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Returns the trained weights, the last ones first."""
    return [weight for weight in reversed(list(network.parameters())) if weight.requires_grad]


def exchange_for(
    network: nn.Module, before: GradientExchange | None, ranks: Ranks
) -> GradientExchange | None:
    """Returns the exchange for a network's gradients: the previous one if the same weights train.

    It is None for a single rank.
    """
    if ranks.count == 1:
        return None
    wanted = trainable_parameters(network)
    if before is not None:
        if list(map(id, before.weights)) == list(map(id, wanted)):
            return before
        before.close()
    return GradientExchange(network, ranks)


def _cut(weights: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Splits the weights in order into lists of BUCKET bytes or of one weight."""
    lists: list[list[nn.Parameter]] = [[]]
    bytes_in_list = 0
    for weight in weights:
        if lists[-1] and bytes_in_list + 4 * weight.numel() > BUCKET:
            lists.append([])
            bytes_in_list = 0
        lists[-1].append(weight)
        bytes_in_list += 4 * weight.numel()
    return [bucket for bucket in lists if bucket]
