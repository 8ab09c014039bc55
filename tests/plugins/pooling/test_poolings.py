"""Poolings against torch and numbers by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.preprocessing import Normalizer, StandardScaler
from torch.nn import functional

from kit.kinds import Pooling


def test_average_is_torchs_for_maps_and_the_mean_for_tokens() -> None:
    features = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    pooling = Pooling.open("average").build()
    torch.testing.assert_close(pooling(features), functional.adaptive_avg_pool2d(features, 1).flatten(1))
    torch.testing.assert_close(pooling(features.flatten(2).transpose(1, 2)), pooling(features))


def test_gem_is_average_at_one_and_nears_the_maximum_at_a_hundred() -> None:
    features = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    one = Pooling.open({"name": "gem", "power": 1, "learned": False}).build()
    many = Pooling.open({"name": "gem", "power": 100, "learned": False}).build()
    torch.testing.assert_close(one(features), features.mean((2, 3)))
    torch.testing.assert_close(many(features), features.amax((2, 3)), rtol=0.03, atol=0)


def test_gem_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, -5.0]]]])
    pooling = Pooling.open("gem").build()
    assert pooling(features).item() == pytest.approx(((1 + 8 + 27 + 1e-18) / 4) ** (1 / 3), rel=1e-6)


def test_gem_is_float32_under_amp_where_half_precision_would_overflow() -> None:
    pooling = Pooling.open("gem").build()
    with torch.autocast("cpu", dtype=torch.float16):
        assert pooling(torch.full((1, 2, 2, 2), 41.0, dtype=torch.float16)).max().item() == pytest.approx(
            41, rel=1e-4
        )


def test_gem_learns_its_power_only_where_asked() -> None:
    assert [name for name, _ in Pooling.open("gem").build().named_parameters()] == ["power"]
    assert not list(Pooling.open({"name": "gem", "learned": False}).build().parameters())


def test_average_max_is_timms() -> None:
    from kit.device import torch_internals

    torch_internals.prepare_torchvision()
    from timm.layers import SelectAdaptivePool2d

    features = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    reference = SelectAdaptivePool2d(pool_type="avgmax", flatten=True)
    torch.testing.assert_close(Pooling.open("average_max").build()(features), reference(features))


def test_max_is_torchs_for_maps_and_tokens() -> None:
    features = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    pooling = Pooling.open("max").build()
    torch.testing.assert_close(pooling(features), functional.adaptive_max_pool2d(features, 1).flatten(1))
    torch.testing.assert_close(pooling(features.flatten(2).transpose(1, 2)), pooling(features))


def test_attention_starts_as_the_mean_and_weighs_by_its_scores() -> None:
    features = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    pooling = Pooling.open("attention").build()
    torch.testing.assert_close(pooling(features), features.mean((2, 3)))
    weight = pooling.get_parameter("score.weight")
    torch.nn.init.normal_(weight)
    tokens = features.flatten(2).transpose(1, 2)
    shares = (tokens @ weight[0]).softmax(1)
    torch.testing.assert_close(pooling(features), torch.einsum("nt,ntc->nc", shares, tokens))
    assert len(list(pooling.parameters())) == 2


def test_standardised_is_scikit_learns_normalizer_then_its_scaler() -> None:
    features = torch.randn(20, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    pooling = Pooling.open({"name": "standardised", "base": "max", "features": 5}).build()
    unit = Normalizer().fit_transform(features.amax((2, 3)).numpy())
    torch.testing.assert_close(pooling(features), torch.from_numpy(unit))
    scaler = StandardScaler().fit(unit)
    pooling.load_state_dict(
        {"mean": torch.from_numpy(scaler.mean_), "scale": torch.from_numpy(1 / scaler.scale_)}
    )
    torch.testing.assert_close(
        pooling(features), torch.from_numpy(scaler.transform(unit)), atol=1e-5, rtol=1e-5
    )
