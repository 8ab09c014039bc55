"""Contract tests of poolings over instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import Tensor, nn


def law_bags_of_any_size_become_vectors(instances: Instances) -> None:
    """Bags of unlike sizes become finite vectors of one length."""
    import torch

    pooled = _build(instances)(*_bags())
    assert pooled.dim() == 2, f"the shape is {tuple(pooled.shape)}"
    assert len(pooled) == 3, f"3 bags became {len(pooled)}"
    assert bool(torch.isfinite(pooled).all()), "some values are not finite"


def law_padding_changes_nothing(instances: Instances) -> None:
    """More padding behind the instances, of any values, does not change the vector."""
    import torch

    module, (vectors, known) = _build(instances), _bags()
    more = torch.cat([vectors, torch.full((3, 2, 8), 9.0)], dim=1)
    padded = module(more, torch.cat([known, torch.zeros(3, 2, dtype=torch.bool)], dim=1))
    worst = float((module(vectors, known) - padded).abs().max().detach())
    assert worst < 1e-5, f"padding changes a value by {worst}"


def law_order_changes_nothing_unless_used(instances: Instances) -> None:
    """The order of the instances does not change the vector, unless `uses_order` is true."""
    import torch

    if instances.uses_order():
        return
    module, (vectors, known) = _build(instances), _bags()
    moved = torch.tensor([3, 0, 4, 1, 2])
    worst = float((module(vectors, known) - module(vectors[:, moved], known[:, moved])).abs().max().detach())
    assert worst < 1e-5, f"another order changes a value by {worst}"


def law_its_gradient_is_finite(instances: Instances) -> None:
    """The gradient is finite, and padding has none."""
    import torch

    vectors, known = _bags()
    vectors.requires_grad_()
    _build(instances)(vectors, known).pow(2).sum().backward()
    assert vectors.grad is not None, "no gradient reaches the vectors"
    assert bool(torch.isfinite(vectors.grad).all()), "a gradient is not finite"
    assert float(vectors.grad[~known].abs().max()) == 0, "padding has a gradient"


def _build(instances: Instances) -> nn.Module:
    import torch

    torch.manual_seed(0)
    return instances.build(8).eval()


def _bags() -> tuple[Tensor, Tensor]:
    """Returns three bags of 5, 3 and 1 instances of 8 features, and their mask."""
    import torch

    vectors = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    known = torch.arange(5) < torch.tensor([[5], [3], [1]])
    return vectors.masked_fill(~known[:, :, None], 0.0), known
