"""The network's parts fit, its pixels are normalised, its weights come from where they should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kit.config.models import Experiment
from kit.device import torch_internals
from kit.errors import CheckpointError, ConfigError, KitWarning
from kit.kinds import Backbone, Classes, Optimizer
from kit.model import network
from kit.model.network import check_frozen, freeze, set_layerwise_lr

CLASSES = Classes(("a", "b", "c"), (5, 3, 2))


def built(**keys: object) -> network.Network:
    experiment = Experiment.model_validate({"image_size": 32, **keys})
    return network.build(network.open_parts(experiment, None, CLASSES), 3, experiment.image_size)


def test_pixels_are_normalised_by_the_backbones_mean_and_deviation() -> None:
    model = built(backbone="small")
    model.backbone, model.pooling, model.head = torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity()
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images / 255 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-5)


def test_timms_normalisation_is_that_of_its_weights() -> None:
    assert Backbone.open({"name": "timm", "arch": "resnet18"}).normalisation() == (
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    mean, deviation = Backbone.open({"name": "timm", "arch": "vit_tiny_patch16_224"}).normalisation()
    assert mean == deviation == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    "backbone",
    [
        "small",
        {"name": "timm", "arch": "resnet10t"},
        {"name": "timm", "arch": "mobilenetv3_small_050"},
        {"name": "timm", "arch": "vit_tiny_patch16_224", "img_size": 32},
        {"name": "timm", "arch": "swin_tiny_patch4_window7_224", "img_size": 32},
    ],
    ids=str,
)
@pytest.mark.parametrize("pooling", ["average", "gem"])
def test_every_family_gives_an_output_a_class(backbone: object, pooling: str) -> None:
    model = built(backbone=backbone, pooling=pooling).eval()
    outputs = model(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    assert outputs.shape == (2, 3)
    assert torch.isfinite(outputs).all()


def test_the_loss_names_the_head_and_a_conflicting_one_is_an_error() -> None:
    parts = network.open_parts(
        Experiment.model_validate({"backbone": "small", "loss": "arcface"}), None, CLASSES
    )
    assert parts.head.plugin_name() == "cosine"
    wrapped = {"name": "cutmix", "base": {"name": "arcface"}}
    parts = network.open_parts(
        Experiment.model_validate({"backbone": "small", "loss": wrapped}), None, CLASSES
    )
    assert parts.head.plugin_name() == "cosine"
    with pytest.raises(
        ConfigError, match=r"C08 loss 'arcface' needs cosines, but head 'linear' returns logits"
    ):
        network.open_parts(
            Experiment.model_validate({"backbone": "small", "loss": "arcface", "head": "linear"}),
            None,
            CLASSES,
        )


def test_a_network_of_fixed_input_refuses_another_size() -> None:
    spec = {"name": "timm", "arch": "vit_tiny_patch16_224"}
    with pytest.raises(ConfigError, match=r"C09 .* needs images of 224 px, but image_size is 32"):
        built(backbone=spec)


def test_an_unknown_network_of_timm_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no network 'resnet81'; did you mean 'resnet1"):
        Backbone.open({"name": "timm", "arch": "resnet81"}).build()


def test_weights_that_hold_code_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("executed",)

    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="D50 cannot read"):
        built(backbone={"name": "timm", "arch": "resnet10t", "weights": str(tmp_path / "evil.pt")})


def test_a_bare_recipe_forgets_where_its_weights_came_from() -> None:
    recipe = Backbone.open({"name": "timm", "arch": "resnet10t", "pretrained": True, "weights": "x.pt"})
    assert recipe.without_pretrained() == Backbone.open({"name": "timm", "arch": "resnet10t"})


def test_a_small_network_starts_from_a_file(tmp_path: Path) -> None:
    wanted = built(backbone="small").backbone.state_dict()
    torch.save(wanted, tmp_path / "w.pt")
    state = built(backbone={"name": "small", "weights": str(tmp_path / "w.pt")}).backbone.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


TEAMS = """
from torch import nn
from kit.kinds import Backbone

class Mine(Backbone):
    def build(self):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
"""
OWN = (
    TEAMS
    + """
class Mine(Mine):
    weights: float = 2.0

    def build(self):
        built = super().build()
        nn.init.constant_(built[0].weight, self.weights)
        return built
"""
)


def test_a_teams_backbone_starts_from_a_file_by_the_same_option(tmp_path: Path) -> None:
    wanted = opened_team(TEAMS, tmp_path).backbone.state_dict()
    torch.save({"module." + name: value for name, value in wanted.items()}, tmp_path / "w.pt")
    with pytest.warns(KitWarning, match=r"W71 .*w\.pt: without the prefix module\.$"):
        state = opened_team(TEAMS, tmp_path, weights="w.pt").backbone.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def test_a_teams_backbone_may_have_an_option_of_that_name(tmp_path: Path) -> None:
    state = opened_team(OWN, tmp_path, weights=3.0).backbone.state_dict()
    assert bool((state["0.weight"] == 3).all())


def opened_team(source: str, root: Path, **options: object) -> network.Network:
    (root / "plugins" / "backbone").mkdir(parents=True, exist_ok=True)
    (root / "plugins" / "backbone" / "mine.py").write_text(source)
    keys = {"image_size": 32, "backbone": {"name": "mine", **options}}
    return network.build(network.open_parts(Experiment.model_validate(keys), root, CLASSES), 3, 32)


def test_a_file_trained_with_another_mean_says_so(tmp_path: Path) -> None:
    wanted = built(backbone={"name": "timm", "arch": "resnet10t"}).backbone.state_dict()
    torch.save(
        {name.removeprefix("model."): value for name, value in wanted.items()}, tmp_path / "pytorch_model.bin"
    )
    for mean, detail in (
        ([0.5, 0.5, 0.5], "; trained with mean"),
        ([0.485, 0.456, 0.406], "file pytorch_model.bin$"),
    ):
        config = {"architecture": "resnet10t", "pretrained_cfg": {"mean": mean, "std": [0.229, 0.224, 0.225]}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.warns(KitWarning, match=f"W71 .*{detail}"):
            built(backbone={"name": "timm", "arch": "resnet10t", "weights": str(tmp_path)})


HEAD = "head.1.weight"
CLASSES_PARAM_GROUPS = Classes(("a", "b", "c"), (5, 3, 2))


def built_param_groups(backbone: str | dict[str, Any]) -> network.Network:
    experiment = Experiment.model_validate({"image_size": 32, "backbone": backbone})
    return network.build(network.open_parts(experiment, None, CLASSES_PARAM_GROUPS), 3, experiment.image_size)


def rates(
    model: nn.Module, layer_decay: float = 1.0, lr_scales: Mapping[str, float] | None = None
) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each weight, by name."""
    optimizer = Optimizer.open({"name": "adamw", "lr": 1.0}).build(list(model.named_parameters()))
    set_layerwise_lr(optimizer, model, layer_decay, lr_scales)
    names = {id(weight): name for name, weight in model.named_parameters()}
    group_rates = {
        names[id(weight)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert sorted(group_rates) == sorted(names.values())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)
    return {name: group_rates[name] for name in names.values()}


@pytest.mark.parametrize(
    ("arch", "head", "size"),
    [
        ("resnet10t", "fc", {}),
        ("mobilenetv3_small_050", "classifier", {}),
        ("vit_tiny_patch16_224", "head", {"img_size": 32}),
    ],
)
def test_layer_decay_is_timms(arch: str, head: str, size: dict[str, int]) -> None:
    torch_internals.prepare_torchvision()
    import timm
    from timm.optim import param_groups_layer_decay

    ours = rates(built_param_groups({"name": "timm", "arch": arch, **size}), layer_decay=0.7)
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
    group_rates = rates(
        built_param_groups({"name": "small", "stages": 2}), layer_decay=0.5
    )  # four convolutions, each with its norm
    assert group_rates[HEAD][0] == 1
    kernels = [value for name, (value, _) in group_rates.items() if name.startswith("backbone.")]
    assert kernels == [1 / 16] * 3 + [1 / 8] * 3 + [1 / 4] * 3 + [1 / 2] * 3


def test_a_part_has_its_own_rate_and_the_longest_one_counts() -> None:
    group_rates = rates(built_param_groups("small"), lr_scales={"backbone": 0.1, "backbone.0": 0.01})
    assert {value for name, (value, _) in group_rates.items() if name.startswith("backbone.0.")} == {0.01}
    assert {value for name, (value, _) in group_rates.items() if name.startswith("backbone.1.")} == {0.1}
    assert group_rates[HEAD][0] == 1


def test_weight_decay_stays_where_it_was() -> None:
    plain, spread = (
        rates(built_param_groups("small")),
        rates(built_param_groups("small"), layer_decay=0.5, lr_scales={"head": 2}),
    )
    assert {name: decay for name, (_, decay) in plain.items()} == {
        name: decay for name, (_, decay) in spread.items()
    }
    assert {decay for _, decay in plain.values()} == {0.0, 0.05}


def test_weights_that_thaw_at_different_times_share_no_group() -> None:
    model = built_param_groups("small")
    optimizer = Optimizer.open("sgd").build(list(model.named_parameters()))
    set_layerwise_lr(optimizer, model, freezes=[("backbone",), ()])
    backbone = {id(weight) for weight in model.backbone.parameters()}
    for group in optimizer.param_groups:
        assert len({id(weight) in backbone for weight in group["params"]}) == 1


def test_a_part_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    model = built_param_groups("small")
    with pytest.raises(
        ConfigError, match=r"lr_scales: the network has no part 'bakbone'; did you mean 'backbone'"
    ):
        rates(model, lr_scales={"bakbone": 0.1})
    with pytest.raises(ConfigError, match=r"stages.0.freeze: the network has no part 'haed'"):
        check_frozen(model, ("haed",), "stages.0.freeze")
    with pytest.raises(ConfigError, match="freezes all parts of the network"):
        check_frozen(model, ("backbone", "pooling", "head"), "stages.0.freeze")


def test_what_is_frozen_can_thaw() -> None:
    model = built_param_groups("small")
    freeze(model, ("backbone",))
    assert {weight.requires_grad for weight in model.backbone.parameters()} == {False}
    assert not any(module.training for module in model.backbone.modules())
    assert all(weight.requires_grad for weight in model.head.parameters())
    freeze(model, ())
    assert all(weight.requires_grad for weight in model.parameters())
    assert all(module.training for module in model.modules())
    assert isinstance(model(torch.zeros(2, 3, 32, 32)), torch.Tensor)


class Patches(Backbone):
    """Tokens of 16 px, for sides that are multiples of it."""

    def build(self) -> nn.Module:
        class Strict(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed = nn.Conv2d(3, 4, 16, 16)

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                assert images.shape[-1] % 16 == 0, f"{images.shape[-1]} px is no multiple of 16"
                features: torch.Tensor = self.embed(images)
                return features

        return Strict()


def test_sides_of_views_that_a_network_does_not_take_are_refused_before_any_image() -> None:
    network.check_view_sizes(Patches(), "scale", [32, 48])
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with pytest.raises(ConfigError, match=r"C12 views 'scale' return 40 px.*40 px is no multiple of 16"):
        network.check_view_sizes(Patches(), "scale", [32, 40])
    assert torch.equal(torch.rand(3), expected)
