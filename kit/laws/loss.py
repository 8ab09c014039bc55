"""The laws of losses, on outputs drawn from the kind of head that each names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Classes, Loss

if TYPE_CHECKING:
    from torch import Tensor

ROWS, COUNTS = 24, (12, 6, 3, 2, 1)
FACTORS = (("p", "u"), ("p", "v"), ("q", "u"), ("r", "v"), ("s", "u"))
CLASSES = Classes(("a", "b", "c", "d", "e"), COUNTS, ("x", "x", "x", "y", "z"), FACTORS)


def _case(loss: Loss) -> tuple[Loss, Tensor, Tensor]:
    """The loss bound to five classes, outputs as its head gives them, and labels in which every class occurs."""
    import torch

    bound, draws = loss.bind(CLASSES), torch.Generator().manual_seed(0)
    outputs = torch.randn(ROWS, bound.width(len(COUNTS)), generator=draws)
    if loss.outputs() == "cosines":
        outputs = torch.tanh(outputs)
    labels = torch.arange(ROWS) % len(COUNTS)
    return bound, outputs, labels


def law_every_row_has_a_finite_loss(loss: Loss) -> None:
    """rows gives one finite number a row, at extreme outputs too."""
    import torch

    bound, outputs, labels = _case(loss)
    edge = 1.0 if loss.outputs() == "cosines" else 30.0
    extreme = torch.where(outputs > 0, edge, -edge)
    for given in (outputs, extreme):
        found = bound.rows(given, labels)
        assert found.shape == (ROWS,), f"the shape is {tuple(found.shape)}, not ({ROWS},)"
        assert torch.isfinite(found).all(), (
            f"{int((~torch.isfinite(found)).sum())} of {ROWS} rows are not finite"
        )


def law_its_gradient_is_finite(loss: Loss) -> None:
    """The gradient of the mean is finite, at extreme outputs too."""
    import torch

    bound, outputs, labels = _case(loss)
    edge = 1.0 if loss.outputs() == "cosines" else 30.0
    for given in (outputs, torch.where(outputs > 0, edge, -edge)):
        leaf = given.clone().requires_grad_()
        bound.rows(leaf, labels).mean().backward()
        assert leaf.grad is not None, "no gradient reaches the outputs"
        wrong = int((~torch.isfinite(leaf.grad)).sum())
        assert wrong == 0, f"{wrong} of {leaf.numel()} gradients are not finite"


def law_the_right_answer_costs_less(loss: Loss) -> None:
    """A sure right answer costs less than a sure wrong one, for every class, where outputs are those of classes."""
    import torch

    bound, _, _ = _case(loss)
    if not bound.is_by_class():
        return
    labels = torch.arange(len(COUNTS))
    size = 0.9 if loss.outputs() == "cosines" else 6.0
    right = size * (2 * torch.eye(len(COUNTS)) - 1)
    costs, wrongs = bound.rows(right, labels), bound.rows(right.roll(1, dims=1), labels)
    assert bool((costs < wrongs).all()), f"right {costs.tolist()}, wrong {wrongs.tolist()}"


def law_down_its_gradient_the_true_class_is_likeliest(loss: Loss) -> None:
    """From outputs that know nothing, a step against the gradient makes the true class the likeliest one."""
    import torch

    bound, outputs, labels = _case(loss)
    leaf = torch.zeros_like(outputs, requires_grad=True)
    bound.rows(leaf, labels).sum().backward()
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    found = bound.probabilities(leaf.detach() - 0.01 * gradient).argmax(1)
    wrong = int((found != labels).sum())
    assert wrong == 0, f"{wrong} of {ROWS} rows end at another class"


def law_rows_do_not_see_each_other_unless_it_says_so(loss: Loss) -> None:
    """A splittable loss gives a row the same cost in any batch."""
    import torch

    if not loss.can_be_split():
        return
    bound, outputs, labels = _case(loss)
    whole, alone = (
        bound.rows(outputs, labels),
        torch.cat([bound.rows(o[None], y[None]) for o, y in zip(outputs, labels, strict=True)]),
    )
    worst = float((whole - alone).abs().max())
    assert worst < 1e-4, f"a row's cost differs by {worst} between a batch and alone"


def law_probabilities_are_probabilities(loss: Loss) -> None:
    """Outputs become rows of probabilities of classes, in the order of the outputs where those are of classes."""
    import torch

    bound, outputs, _ = _case(loss)
    found = bound.probabilities(outputs)
    wanted = (ROWS, len(COUNTS))
    assert found.shape == wanted, f"the shape is {tuple(found.shape)}, not {wanted}"
    assert bool(((found >= 0) & (found <= 1)).all()), "some are below 0 or above 1"
    worst = float((found.sum(1) - 1).abs().max())
    assert worst < 1e-4, f"a row's sum is off by {worst}"
    assert not bound.is_by_class() or torch.equal(found.argmax(1), outputs.argmax(1)), (
        "the likeliest class is not that of the largest output"
    )


def law_mixed_shares_sum_to_one(loss: Loss) -> None:
    """mix keeps the shape of any batch, its shares sum to 1, and the same draws give the same mixture."""
    import torch

    from kit.randomness import generator

    bound, _, _ = _case(loss)
    for count in (1, 2, 7):
        images = torch.randint(
            0, 256, (count, 3, 9, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
        )
        before = images.clone()
        mixed, shares = bound.mix(images, torch.arange(count) % 5, generator(0, "law"))
        again, _ = bound.mix(images, torch.arange(count) % 5, generator(0, "law"))
        assert mixed.shape == images.shape, (
            f"{count} images of {tuple(images.shape)} became {tuple(mixed.shape)}"
        )
        assert torch.equal(images, before), "the images that were given are changed in place"
        assert torch.equal(mixed, again), "the same draws give another mixture"
        total = sum(share for share, _ in shares)
        assert abs(total - 1) < 1e-9, f"the shares sum to {total}"
        assert all(labels.shape == (count,) for _, labels in shares), "a share's labels are not one a row"
