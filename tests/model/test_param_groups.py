"""Learning rates by depth and by part; frozen parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kit.config.models import Experiment
from kit.device import torchvision_ops
from kit.errors import ConfigError
from kit.kinds import Classes, Optimizer
from kit.model import network
from kit.model.param_groups import check_frozen, freeze, set_layerwise_lr

HEAD = "head.1.weight"
CLASSES = Classes(("a", "b", "c"), (5, 3, 2))


def built(backbone: str | dict) -> network.Network:
    experiment = Experiment.model_validate({"image_size": 32, "backbone": backbone})
    return network.build(network.open_parts(experiment, None, CLASSES), 3, experiment.image_size)


def rates(made: nn.Module, **options: object) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each weight, by name."""
    optimizer = Optimizer.open({"name": "adamw", "lr": 1.0}).build(list(made.named_parameters()))
    set_layerwise_lr(optimizer, made, **options)
    names = {id(weight): name for name, weight in made.named_parameters()}
    found = {
        names[id(weight)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert sorted(found) == sorted(names.values())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)
    return {name: found[name] for name in names.values()}


@pytest.mark.parametrize(
    ("arch", "head", "size"),
    [
        ("resnet10t", "fc", {}),
        ("mobilenetv3_small_050", "classifier", {}),
        ("vit_tiny_patch16_224", "head", {"img_size": 32}),
    ],
)
def test_layer_decay_is_timms(arch: str, head: str, size: dict[str, int]) -> None:
    torchvision_ops.prepare()
    import timm
    from timm.optim import param_groups_layer_decay

    ours = rates(built({"name": "timm", "arch": arch, **size}), layer_decay=0.7)
    whole = timm.create_model(arch, num_classes=3, **size)
    names = {id(weight): name for name, weight in whole.named_parameters()}
    groups = param_groups_layer_decay(whole, layer_decay=0.7)
    theirs = {names[id(weight)]: group["lr_scale"] for group in groups for weight in group["params"]}
    shared = {name for name in theirs if f"backbone.model.{name}" in ours}
    assert len(shared) > 10
    if arch != "mobilenetv3_small_050":  # whose last convolution timm keeps with its classifier: a layer less
        assert theirs[f"{head}.weight"] == ours[HEAD][0] == 1
        for name in shared:
            assert ours[f"backbone.model.{name}"][0] == pytest.approx(theirs[name]), name
    for one, other in zip(sorted(shared), sorted(shared)[1:], strict=False):
        ratio = ours[f"backbone.model.{one}"][0] / ours[f"backbone.model.{other}"][0]
        assert ratio == pytest.approx(theirs[one] / theirs[other])


def test_a_network_of_a_teams_own_has_a_layer_a_child_with_kernels() -> None:
    found = rates(
        built({"name": "small", "stages": 2}), layer_decay=0.5
    )  # four convolutions, each with its norm
    assert found[HEAD][0] == 1
    kernels = [value for name, (value, _) in found.items() if name.startswith("backbone.")]
    assert kernels == [1 / 16] * 3 + [1 / 8] * 3 + [1 / 4] * 3 + [1 / 2] * 3


def test_a_part_has_its_own_rate_and_the_longest_one_counts() -> None:
    found = rates(built("small"), lr_scales={"backbone": 0.1, "backbone.0": 0.01})
    assert {value for name, (value, _) in found.items() if name.startswith("backbone.0.")} == {0.01}
    assert {value for name, (value, _) in found.items() if name.startswith("backbone.1.")} == {0.1}
    assert found[HEAD][0] == 1


def test_weight_decay_stays_where_it_was() -> None:
    plain, spread = rates(built("small")), rates(built("small"), layer_decay=0.5, lr_scales={"head": 2})
    assert {name: decay for name, (_, decay) in plain.items()} == {
        name: decay for name, (_, decay) in spread.items()
    }
    assert {decay for _, decay in plain.values()} == {0.0, 0.05}


def test_weights_that_thaw_at_different_times_share_no_group() -> None:
    made = built("small")
    optimizer = Optimizer.open("sgd").build(list(made.named_parameters()))
    set_layerwise_lr(optimizer, made, freezes=[("backbone",), ()])
    backbone = {id(weight) for weight in made.backbone.parameters()}
    for group in optimizer.param_groups:
        assert len({id(weight) in backbone for weight in group["params"]}) == 1


def test_a_part_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    made = built("small")
    with pytest.raises(
        ConfigError, match=r"lr_scales: the network has no part 'bakbone'; did you mean 'backbone'"
    ):
        rates(made, lr_scales={"bakbone": 0.1})
    with pytest.raises(ConfigError, match=r"stages.0.freeze: the network has no part 'haed'"):
        check_frozen(made, ("haed",), "stages.0.freeze")
    with pytest.raises(ConfigError, match="freezes all parts of the network"):
        check_frozen(made, ("backbone", "pooling", "head"), "stages.0.freeze")


def test_what_is_frozen_can_thaw() -> None:
    made = built("small")
    freeze(made, ("backbone",))
    assert {weight.requires_grad for weight in made.backbone.parameters()} == {False}
    assert not any(module.training for module in made.backbone.modules())
    assert all(weight.requires_grad for weight in made.head.parameters())
    freeze(made, ())
    assert all(weight.requires_grad for weight in made.parameters())
    assert all(module.training for module in made.modules())
    assert isinstance(made(torch.zeros(2, 3, 32, 32)), torch.Tensor)
