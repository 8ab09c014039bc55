"""Contract tests of heads."""

from __future__ import annotations

from kit.kinds import Head


def law_one_output_a_class_of_the_kind_it_gives(head: Head) -> None:
    """(N, features) becomes (N, classes), with cosines from -1 to 1 if it gives cosines. Unit vectors may follow."""
    import torch

    module = head.build(16, 5).eval()
    outputs = module(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    wanted = (4, 5 + 16 * (head.gives == "logits_and_embedding"))
    assert outputs.shape == wanted, f"the shape is {tuple(outputs.shape)}, not {wanted}"
    lengths = outputs.detach()[:, 5:].norm(dim=1)
    assert head.gives != "logits_and_embedding" or bool(((lengths - 1).abs() < 1e-5).all()), (
        f"lengths are {lengths.tolist()}"
    )
    if head.gives == "cosines":
        largest = float(outputs.detach().abs().max())
        assert largest <= 1 + 1e-5, f"a cosine is {largest}"


def law_its_gradient_is_finite(head: Head) -> None:
    """The gradient reaches the features and is finite, also for a row of zeros."""
    import torch

    features = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    features[0] = 0
    features.requires_grad_()
    head.build(16, 5)(features).square().mean().backward()
    assert features.grad is not None, "no gradient reaches the features"
    assert bool(torch.isfinite(features.grad).all()), "a gradient is not finite"
