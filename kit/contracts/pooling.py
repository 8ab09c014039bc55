"""Contract tests of poolings."""

from __future__ import annotations

from kit.kinds import Pooling


def law_maps_and_tokens_become_vectors(pooling: Pooling) -> None:
    """(N, C, h, w) and (N, T, C) become finite (N, C)."""
    import torch

    module = pooling.build().eval()
    draws = torch.Generator().manual_seed(0)
    for shape in ((2, 6, 3, 4), (2, 12, 6), (2, 6, 1, 1)):
        pooled = module(torch.randn(shape, generator=draws))
        assert pooled.shape == (2, 6), f"{shape} became {tuple(pooled.shape)}, not (2, 6)"
        assert bool(torch.isfinite(pooled).all()), f"{shape} gives values that are not finite"


def law_places_do_not_matter(pooling: Pooling) -> None:
    """The order of positions does not change the vector."""
    import torch

    module = pooling.build().eval()
    features = torch.rand(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    moved = features.flatten(2)[:, :, torch.randperm(12, generator=torch.Generator().manual_seed(1))].view(
        2, 6, 3, 4
    )
    worst = float((module(features) - module(moved)).abs().max().detach())
    assert worst < 1e-5, f"another order changes a value by {worst}"


def law_its_gradient_is_finite(pooling: Pooling) -> None:
    """The gradient is finite, also for negative values and zeros."""
    import torch

    features = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    features[0] = 0
    features.requires_grad_()
    pooling.build()(features).sum().backward()
    assert features.grad is not None, "no gradient reaches the features"
    assert bool(torch.isfinite(features.grad).all()), "a gradient is not finite"
