"""Poolings over instances equal loops over the instances of each bag, and torch's own layers on one bag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kit.errors import ConfigError
from kit.kinds import Instances
from kit.model.instance_network import InstanceNetwork, PooledInstances

SIZES = (5, 1, 3)


def bags() -> tuple[Tensor, Tensor]:
    vectors = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))
    known = torch.arange(5) < torch.tensor(SIZES)[:, None]
    return vectors.masked_fill(~known[:, :, None], 0.0), known


def build(spec: Any) -> nn.Module:
    torch.manual_seed(0)
    return Instances.open(spec).build(8).eval()


def numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def test_mean_max_and_top_k_equal_numpy_on_each_bag() -> None:
    vectors, known = bags()
    outputs = {name: numbers(build(name)(vectors, known)) for name in ("mean", "max", "top_k")}
    for bag, size in enumerate(SIZES):
        own = numbers(vectors[bag, :size])
        np.testing.assert_allclose(outputs["mean"][bag], own.mean(0), atol=1e-6)
        np.testing.assert_allclose(outputs["max"][bag], own.max(0), atol=1e-6)
        np.testing.assert_allclose(outputs["top_k"][bag], np.sort(own, 0)[-3:].mean(0), atol=1e-6)


@pytest.mark.parametrize("gated", [False, True])
def test_attention_equals_the_papers_equations_by_a_loop(gated: bool) -> None:
    module, (vectors, known) = build({"name": "attention", "hidden": 4, "gated": gated}), bags()
    outputs = numbers(module(vectors, known))
    weights = {name: numbers(value) for name, value in module.named_parameters()}
    for bag, size in enumerate(SIZES):
        scores = []
        for vector in numbers(vectors[bag, :size]):
            hidden = np.tanh(weights["values.weight"] @ vector + weights["values.bias"])
            if gated:
                hidden = hidden / (1 + np.exp(-(weights["gate.weight"] @ vector + weights["gate.bias"])))
            scores.append(float(weights["score.weight"][0] @ hidden))
        shares = np.exp(scores) / np.exp(scores).sum()
        expected = sum(share * numbers(vectors[bag, at]) for at, share in enumerate(shares))
        np.testing.assert_allclose(outputs[bag], expected, atol=1e-5)


@pytest.mark.parametrize("take", ["mean", "last"])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_layers_equal_torchs_on_each_bag_alone(name: str, take: str) -> None:
    module, (vectors, known) = build({"name": name, "hidden": 3, "take": take}), bags()
    plain = (nn.LSTM if name == "lstm" else nn.GRU)(8, 3, batch_first=True, bidirectional=True)
    plain.load_state_dict({key.removeprefix("cells."): value for key, value in module.state_dict().items()})
    for bag, size in enumerate(SIZES):
        outputs, state = plain(vectors[bag : bag + 1, :size])
        last = state[0] if name == "lstm" else state
        expected = outputs[0].mean(0) if take == "mean" else torch.cat([last[0, 0], last[1, 0]])
        torch.testing.assert_close(module(vectors, known)[bag], expected, atol=1e-5, rtol=0)


def test_a_transformer_equals_torchs_encoder_on_each_bag_alone() -> None:
    options = {"name": "transformer", "dim": 8, "heads": 2, "positions": True}
    module, (vectors, known) = build(options), bags()
    for bag, size in enumerate(SIZES):
        places, rate = torch.arange(float(size))[:, None], 10_000 ** (-torch.arange(0, 8, 2) / 8)
        waves = torch.stack([torch.sin(places * rate), torch.cos(places * rate)], dim=2).flatten(1)
        entered = module.enter(vectors[bag : bag + 1, :size]) + waves  # type: ignore[operator]
        expected = module.encoder(entered)[0].mean(0)  # type: ignore[operator]
        torch.testing.assert_close(module(vectors, known)[bag], expected, atol=1e-5, rtol=0)
    plain = build({**options, "positions": False})
    moved = torch.tensor([4, 2, 0, 1, 3])
    args = vectors[:1], known[:1]
    torch.testing.assert_close(plain(*args), plain(args[0][:, moved], args[1]), atol=1e-5, rtol=0)
    assert not torch.allclose(module(*args), module(args[0][:, moved], args[1]), atol=1e-3)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="not a multiple of heads"):
        Instances.open({"name": "transformer", "dim": 10, "heads": 4})


@pytest.mark.parametrize("name", ["mean", "max", "attention"])
def test_a_network_on_bags_equals_a_loop_over_single_bags(name: str) -> None:
    torch.manual_seed(0)
    pooled = PooledInstances(Instances.open({"name": name, "width": 6}), 8)
    mean, deviation = np.linspace(-1, 1, 8), np.linspace(0.5, 2, 8)
    head = nn.Linear(pooled.count_features(8), 2)
    network = InstanceNetwork(head, mean, deviation, pooled).eval()
    vectors, _ = bags()
    together = network(vectors)
    more = network(torch.cat([vectors, torch.zeros(3, 4, 8)], dim=1))
    torch.testing.assert_close(together, more, atol=1e-6, rtol=0)
    for bag, size in enumerate(SIZES):
        own = vectors[bag, :size]
        scaled = torch.as_tensor((own.numpy() - mean) / deviation, dtype=torch.float32)
        hidden = torch.relu(pooled.layer[0](scaled))
        expected = head(pooled.pool(hidden[None], torch.ones(1, size, dtype=torch.bool)))[0]
        torch.testing.assert_close(together[bag], expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(own.flip(0)[None])[0], expected, atol=1e-5, rtol=0)
