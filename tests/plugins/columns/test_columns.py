"""Late fusions against torch and numbers by hand."""

from __future__ import annotations

import pytest
import torch

from kit.kinds import ColumnLayout, Columns, ColumnSpan
from kit.model.network import SideInput
from kit.plugins.columns._side import SideFeatures, embedding_size

NUMBERS = ColumnLayout((ColumnSpan("a", "number", 0, 1, True), ColumnSpan("b", "number", 2, 3, True)))
VECTORS, SIDE = torch.randn(5, 6), torch.randn(5, 4)


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [weight.detach() for weight in module.parameters()]


def test_concat_puts_side_values_behind_the_image() -> None:
    module = Columns.open("concat").build(6, NUMBERS)
    torch.testing.assert_close(module(VECTORS, SIDE), torch.cat([VECTORS, SIDE], dim=1))


def test_mlp_is_two_layers_of_torch() -> None:
    module = Columns.open({"name": "mlp", "hidden": 3}).build(6, NUMBERS).eval()
    one, bias, other, shift = weights(module)
    wanted = torch.relu(torch.relu(SIDE @ one.T + bias) @ other.T + shift)
    torch.testing.assert_close(module(VECTORS, SIDE), torch.cat([VECTORS, wanted], dim=1))


def test_film_begins_as_the_image_alone_and_scales_and_shifts() -> None:
    module = Columns.open({"name": "film", "hidden": 3}).build(6, NUMBERS).eval()
    torch.testing.assert_close(module(VECTORS, SIDE), VECTORS)
    with torch.no_grad():
        module.get_parameter("affine.bias").copy_(torch.cat([torch.full((6,), 0.5), torch.full((6,), 2.0)]))
    torch.testing.assert_close(module(VECTORS, SIDE), 1.5 * VECTORS + 2)


def test_gated_is_equation_1_of_its_paper() -> None:
    module = Columns.open({"name": "gated", "hidden": 3}).build(6, NUMBERS).eval()
    image, b_image, side, b_side, gate, b_gate = weights(module)
    z = torch.sigmoid(torch.cat([VECTORS, SIDE], dim=1) @ gate.T + b_gate)
    wanted = z * torch.tanh(VECTORS @ image.T + b_image) + (1 - z) * torch.tanh(SIDE @ side.T + b_side)
    torch.testing.assert_close(module(VECTORS, SIDE), wanted)


def test_an_embedding_is_torchs_and_zero_for_an_unseen_value() -> None:
    layout = ColumnLayout(
        (ColumnSpan("a", "number", 0, 1, True), ColumnSpan("site", "category", 2, 22, True))
    )
    module = SideFeatures(layout, embed_above=10)
    side = torch.zeros(3, layout.width)
    side[0, 2 + 4] = side[1, 2 + 19] = 1
    (table,) = weights(module)
    looked_up = torch.nn.functional.embedding(torch.tensor([4, 19]), table.T)
    torch.testing.assert_close(module(side)[:2, 3:], looked_up)
    assert not module(side)[2].any()
    assert module(side).shape == (3, module.width) == (3, 3 + embedding_size(20))


@pytest.mark.parametrize(("values", "size"), [(2, 2), (10, 6), (1000, 77), (10**6, 600)])
def test_sizes_of_embeddings_are_fastais(values: int, size: int) -> None:
    assert embedding_size(values) == size


def test_dropped_cells_are_as_missing_ones_and_only_while_training() -> None:
    layout = ColumnLayout(
        (ColumnSpan("a", "number", 0, 1, True), ColumnSpan("site", "category", 2, 4, False))
    )
    module = SideInput(Columns.open("concat").build(1, layout), layout, drop=0.3)
    side = torch.tensor([[7.0, 0, 1, 0, 0]]).expand(4000, -1)
    torch.manual_seed(0)
    seen = module(torch.zeros(4000, 1), side)[:, 1:]
    dropped = seen[:, 1] == 1
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert not seen[dropped, 0].any()
    # a column whose flag training never shows has none
    assert (seen[:, 2] == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert not seen[:, 4].any()
    torch.testing.assert_close(module.eval()(torch.zeros(4000, 1), side)[:, 1:], side)
    assert module(torch.zeros(2, 1), None)[:, 1:].tolist() == [[0, 1, 0, 0, 0]] * 2
