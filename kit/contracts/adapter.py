"""Contract tests of adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Adapter

if TYPE_CHECKING:
    from torch import nn

CHANNELS = 40


def _backbone() -> nn.Module:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3, padding=1),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 1),
    ).eval()


def law_it_changes_nothing_before_the_first_step(adapter: Adapter) -> None:
    """An adapted backbone gives the features that it gave before."""
    import torch

    backbone, images = _backbone(), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    before = backbone(images).detach()
    adapter.adapt(backbone)
    worst = float((backbone(images).detach() - before).abs().max())
    assert worst < 1e-5, f"features change by up to {worst:.3g}"


def law_some_weights_train(adapter: Adapter) -> None:
    """It names some weights of the adapted backbone, and fewer numbers than the backbone has."""
    backbone = _backbone()
    whole = sum(weight.numel() for weight in backbone.parameters())
    trained_names = set(adapter.adapt(backbone))
    sizes = {name: weight.numel() for name, weight in backbone.named_parameters()}
    assert trained_names, "it names none"
    assert trained_names <= set(sizes), f"there is no {sorted(trained_names - set(sizes))[0]}"
    trained = sum(sizes[name] for name in trained_names)
    assert trained < whole, f"{trained} numbers train, and the backbone has {whole}"


def law_plain_weights_have_the_names_and_shapes_of_before(adapter: Adapter) -> None:
    """Its plain weights have the names and shapes that the backbone's had before."""
    from kit.model.adapters import plain_weights

    backbone = _backbone()
    before = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    adapter.adapt(backbone)
    after = {name: tuple(value.shape) for name, value in plain_weights(backbone).items()}
    wrong = sorted({*before, *after} - {name for name in before if before[name] == after.get(name)})
    assert not wrong, f"{len(wrong)} differ, such as {wrong[0]}: change weights by torch's parametrizations"
