"""Contract tests of the kind `columns`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import ColumnLayout, Columns, ColumnSpan

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = 16
# a number, a category of 3 values and one of 30, which may be embedded
LAYOUT = ColumnLayout(
    (
        ColumnSpan("age", "number", 0, 1, True),
        ColumnSpan("site", "category", 2, 5, True),
        ColumnSpan("camera", "category", 6, 36, True),
    )
)


def _rows(count: int) -> tuple[Tensor, Tensor]:
    """Returns vectors (N, FEATURES) and side values (N, W); all cells of the first row are missing."""
    import torch

    draws = torch.Generator().manual_seed(0)
    vectors, side = torch.randn(count, FEATURES, generator=draws), torch.zeros(count, LAYOUT.width)
    side[:, 0] = torch.randn(count, generator=draws)
    for start, values in ((2, 3), (6, 30)):
        side[torch.arange(count), start + torch.arange(count) % values] = 1
    side[0] = torch.tensor(LAYOUT.blank())
    return vectors, side


def law_rows_stay_apart(columns: Columns) -> None:
    """(N, features) and (N, W) become finite (N, any), also for one row, and a row does not depend on the others."""
    import torch

    module = columns.build(FEATURES, LAYOUT).eval()
    vectors, side = _rows(6)
    whole = module(vectors, side)
    assert whole.ndim == 2, f"the shape is {tuple(whole.shape)}, not (6, any)"
    assert len(whole) == 6, f"6 rows became {len(whole)}"
    assert bool(torch.isfinite(whole).all()), "values are not finite"
    alone = module(vectors[2:3], side[2:3])
    worst = float((whole[2:3] - alone).abs().max().detach())
    assert worst < 1e-5, f"other rows change a value by {worst}"


def law_any_number_of_columns(columns: Columns) -> None:
    """A single constant column is enough to build it."""
    import torch

    layout = ColumnLayout((ColumnSpan("only", "category", 0, 0, True),))
    outputs = columns.build(FEATURES, layout).eval()(torch.randn(2, FEATURES), torch.ones(2, 1))
    assert bool(torch.isfinite(outputs).all()), "values are not finite"


def law_gradients_reach_image_and_columns(columns: Columns) -> None:
    """After one step the gradient reaches the image's vector and each column, and is finite."""
    import torch

    torch.manual_seed(0)
    module = columns.build(FEATURES, LAYOUT).eval()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1) if list(module.parameters()) else None
    vectors, side = _rows(64)
    vectors, side = vectors.requires_grad_(), side.requires_grad_()
    for _ in range(2):
        vectors.grad = side.grad = None
        module(vectors, side).square().sum().sqrt().backward()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()
    for name, gradient in (("the image's vector", vectors.grad), ("the side columns", side.grad)):
        assert gradient is not None, f"no gradient reaches {name}"
        assert bool(torch.isfinite(gradient).all()), f"a gradient of {name} is not finite"
        assert bool(gradient.any()), f"all gradients of {name} are 0"
