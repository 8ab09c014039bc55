"""A network of each timm family, filled with timm's own weights, gives the features of timm's own network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from packaging.version import Version
from torch import Tensor, nn

from kit.device.torch_internals import import_timm
from kit.errors import CheckpointError, KitWarning
from kit.kinds.network import Original
from kit.model.initial_weights import fill
from kit.model.weight_files import WeightFile
from kit.plugins.backbone._timm import Features, OwnNetwork, build_features, classifiers

timm = import_timm()

# a small network of each family, whose options make it smaller still where it has some
FAMILIES: dict[str, dict[str, Any]] = {
    "aimv2_large_patch14_224": {"depth": 1, "img_size": 28},
    "beit3_base_patch16_224": {"depth": 1, "img_size": 32},
    "beit_base_patch16_224": {"depth": 1, "img_size": 32}, "caformer_s18": {},
    "cait_xxs24_224": {"depth": 2, "img_size": 32}, "coat_lite_tiny": {},
    "coatnet_pico_rw_224": {"img_size": 64}, "convit_tiny": {}, "convmixer_768_32": {}, "convnext_atto": {},
    "cpubone_nano": {}, "crossvit_tiny_240": {}, "cs3darknet_focus_s": {}, "cspnext_tiny": {},
    "davit_tiny": {"depths": (1, 1, 1, 1), "embed_dims": (24, 48, 96, 192)},
    "deit3_small_patch16_224": {"depth": 1, "img_size": 32},
    "deit_tiny_distilled_patch16_224": {"depth": 1, "img_size": 32}, "densenet121": {}, "dla46_c": {},
    "dpn48b": {}, "edgenext_xx_small": {}, "efficientformer_l1": {}, "efficientformerv2_s0": {},
    "efficientnet_b0": {}, "efficientvim_m1": {}, "efficientvit_b0": {},
    "efficientvit_l1": {"depths": (1, 1, 1, 1)}, "efficientvit_m0": {}, "ese_vovnet19b_slim_dw": {},
    "eva02_tiny_patch14_224": {"depth": 1, "img_size": 28}, "fasternet_t0": {}, "fastvit_t8": {},
    "flexivit_small": {"depth": 1, "img_size": 32}, "focalnet_tiny_srf": {"mlp_ratio": 0.05},
    "gcvit_xxtiny": {}, "ghostnet_050": {}, "halonet26t": {}, "hardcorenas_a": {}, "hgnetv2_b0": {},
    "hiera_tiny_224": {"embed_dim": 24}, "hrnet_w18_small": {}, "iformer_t": {}, "inception_next_atto": {},
    "inception_v3": {}, "lcnetv2_small": {}, "legacy_seresnet18": {}, "levit_128s": {}, "lowformer_b0": {},
    "maxvit_pico_rw_256": {}, "mixer_s32_224": {"mlp_ratio": 0.05}, "mobilenetv3_small_050": {},
    "mobilenetv4_conv_small_035": {}, "mobilevit_xxs": {}, "mvitv2_tiny": {},
    "naflexvit_base_patch16_gap": {"depth": 1}, "naflexvit_base_patch16_map": {"depth": 1}, "nest_tiny": {},
    "nextvit_small": {}, "nf_regnet_b0": {}, "pit_ti_224": {}, "pit_ti_distilled_224": {}, "pvt_v2_b0": {},
    "qwen3_vit_88m_enc": {"depth": 1}, "rdnet_tiny": {}, "regnetx_002": {}, "repghostnet_050": {},
    "repvgg_a0": {}, "repvit_m0_9": {}, "res2net50_26w_4s": {"layers": (1, 1, 1, 1)}, "resmlp_12_224": {},
    "resnest14d": {}, "resnet10t": {}, "resnet50_clip": {}, "resnetv2_18": {}, "rexnet_100": {},
    "sam2_hiera_tiny": {"embed_dim": 24}, "samvit_base_patch16_224": {"depth": 1, "img_size": 64},
    "selecsls42": {}, "sequencer2d_s": {"layers": (1, 1, 1, 1)}, "shvit_s1": {}, "skresnet18": {},
    "starnet_s050": {}, "swiftformer_xs": {}, "swin_tiny_patch4_window7_224": {"embed_dim": 24},
    "swinv2_cr_tiny_224": {"embed_dim": 24}, "swinv2_tiny_window8_256": {"embed_dim": 24}, "test_byobnet": {},
    "test_convnext": {}, "test_efficientnet": {}, "test_mambaout": {}, "test_nfnet": {}, "test_vit": {},
    "test_vit2": {}, "test_vit3": {}, "test_vit4": {}, "test_vit_relpos": {},
    "tiny_vit_5m_224": {"depths": (1, 1, 1, 1)}, "tnt_s_patch16_224": {"depth": 1, "img_size": 32},
    "tresnet_m": {"layers": (1, 1, 1, 1)},
    "twins_svt_small": {"depths": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 80)},
    "vgg11_bn": {"mlp_ratio": 0.05}, "visformer_tiny": {},
    "vit_base_patch16_clip_224": {"depth": 1, "img_size": 32},
    "vit_base_patch16_siglip_224": {"depth": 1, "img_size": 32},
    "vit_pe_core_tiny_patch16_384": {"depth": 1, "img_size": 32},
    "vit_small_patch14_dinov2": {"depth": 1, "img_size": 28}, "vit_small_patch16_dinov3": {"depth": 1},
    "vit_tiny_r_s16_p8_224": {"depth": 1, "img_size": 64}, "vitamin_small_224": {"mlp_ratio": 0.05},
    "volo_d1_224": {"mlp_ratio": 0.05}, "xception41": {}, "xcit_nano_12_p16_224": {"depth": 1},
}  # fmt: skip

# several last maps, or class tokens alone: kit takes the features that timm pools
POOLED = ("coat_lite_tiny", "crossvit_tiny_240", "efficientvim_m1", "pit_ti_distilled_224")
# heads that always pool, and an encoder without a classifier: kit takes what lies before the head
UNPOOLED = (
    "deit_tiny_distilled_patch16_224", "efficientvit_b0", "efficientvit_l1", "inception_next_atto", "qwen3_vit_88m_enc",
)  # fmt: skip
OTHERWISE_BEFORE_1_0_31 = ("pit_ti_224", "vit_pe_core_tiny_patch16_384", "volo_d1_224")
WHOLE = ("halonet26t", "inception_v3")  # too deep for 64 px


def timms_network(arch: str, **options: Any) -> nn.Module:
    """timm's own network, whose norms have moved from where they start."""
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(arch, **options)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dim() <= 1 and value.is_floating_point():
                value.add_(
                    torch.rand_like(value) if name.endswith("running_var") else 0.1 * torch.randn_like(value)
                )
    return model.eval()


def timms_features(arch: str, model: Any, images: Tensor) -> Tensor:
    """The features before timm's own pooling: (N, C, h, w), or tokens after the class and register tokens."""
    if arch in POOLED:
        model.reset_classifier(0)
        return cast(Tensor, model(images))[:, :, None, None]
    if arch not in UNPOOLED:
        model.reset_classifier(0, "")
    features: Tensor = model.forward_features(images) if arch in UNPOOLED else model(images)
    if features.dim() == 4:
        return features.permute(0, 3, 1, 2) if getattr(model, "output_fmt", "") == "NHWC" else features
    return features[:, getattr(model, "num_prefix_tokens", 0) or 0 :]


def filled(arch: str, state: Mapping[str, Any], **options: Any) -> Features:
    """kit's network with these weights."""
    model = build_features(arch, **options)
    own = OwnNetwork(arch, options)
    original = Original(model.model, arch, classifiers(model.model), lambda: own.names, own.convert)
    fill(original, WeightFile(Path("w.pth"), dict(state)))
    return model.eval()


def side_of(arch: str, options: dict[str, Any]) -> int:
    config = timm.get_pretrained_cfg(arch)
    assert config is not None
    fixed = config.fixed_input_size or arch in WHOLE
    return options.get("img_size") or (config.input_size[-1] if fixed else 64)


@pytest.mark.filterwarnings("ignore:W71")
@pytest.mark.parametrize("arch", FAMILIES)
@torch.inference_mode()
def test_a_family_filled_with_timms_weights_gives_timms_features(arch: str) -> None:
    options = FAMILIES[arch]
    if not timm.is_model(arch):
        pytest.skip("this timm does not have the network")
    if arch in OTHERWISE_BEFORE_1_0_31 and Version(timm.__version__) < Version("1.0.31"):
        pytest.skip("this timm returns other features if it does not pool")
    model = timms_network(arch, **options)
    features = filled(arch, model.state_dict(), **options)
    side = side_of(arch, options)
    images = torch.randn(2, 3, side, side)
    assert torch.equal(features(images), timms_features(arch, model, images))


def test_a_last_layer_of_no_outputs_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As inception_next's before timm 1.0.31, which cannot leave out its pooling either."""
    create = timm.create_model

    def create_model(arch: str, global_pool: str = "avg", **options: Any) -> nn.Module:
        assert global_pool, "Cannot disable pooling"
        model: nn.Module = create(arch, global_pool=global_pool, **options)
        model.fc = nn.Linear(96, 0)
        return model

    with pytest.warns(UserWarning, match="zero-element"):
        nn.Linear(96, 0)
    monkeypatch.setattr(timm, "create_model", create_model)
    features = build_features("test_resnet")
    assert features(torch.zeros(1, 3, 64, 64)).shape == (1, 96, 2, 2)


def test_weights_behind_the_last_map_are_named() -> None:
    model = timms_network("levit_128s")
    with pytest.warns(KitWarning, match=r"W71 w\.pth: 8 weights not used: head, head_dist$"):
        filled("levit_128s", model.state_dict())


def test_weights_that_timms_network_does_not_have_are_refused() -> None:
    state = timms_network("levit_128s").state_dict() | {"blocks.another.weight": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r"D53(?s:.*)blocks\.another\.weight: left over"):
        filled("levit_128s", state)


def test_authors_files_are_converted_with_the_arguments_that_timm_binds() -> None:
    """DeiT III's filter renames the authors' layer scales, `gamma_1`, if it is bound to `adapt_layer_scale`."""
    options = {"depth": 1, "img_size": 32}
    arch = "deit3_small_patch16_224"
    wanted = timms_network(arch, **options).state_dict()
    authors = {re.sub(r"ls([12])\.gamma", r"gamma_\1", name): value for name, value in wanted.items()}
    assert authors.keys() != wanted.keys()
    features = filled(arch, authors, **options)
    assert all(torch.equal(value, wanted[name]) for name, value in features.model.state_dict().items())


def test_torchvisions_densenet_is_converted() -> None:
    wanted = timms_network("densenet121").state_dict()
    torchvisions = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): value for name, value in wanted.items()
    }
    assert torchvisions.keys() != wanted.keys()
    features = filled("densenet121", torchvisions)
    assert all(torch.equal(value, wanted[name]) for name, value in features.model.state_dict().items())


def test_a_flexible_networks_patches_are_resampled_to_its_image_size() -> None:
    """flexivit's filter is bound to bilinear positions, as timm's own network shows."""
    arch, small = "flexivit_small", {"depth": 1, "img_size": 32}
    large = timms_network(arch, depth=1, img_size=96).state_dict()
    features = filled(arch, large, **small)
    wanted = timm.create_model(
        arch,
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": dict(large), "custom_load": False},
        **small,
    ).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in features.model.state_dict().items())
