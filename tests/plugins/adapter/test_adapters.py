"""Adapters: the formula by hand, plain weights in checkpoints, exact resume, and what cannot be adapted."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.errors import ConfigError, KitWarning, PluginError
from kit.experiment.prediction_file import load_for_prediction, prediction_batches
from kit.experiment.run_context import prepare_run
from kit.kinds import Adapter
from kit.model import adapters, checkpoints
from kit.model.network import Network, freeze
from kit.plugins.adapter.bitfit import Bitfit
from kit.plugins.adapter.lora import Lora
from kit.runs.run import find_run
from kit.stages.training.soup import make_soup
from kit.stages.training.train import train
from tests.drawing import draw_competition
from tests.stages.training.test_train import Killed, kill_after, logged, oof, same, weights

pytestmark = pytest.mark.filterwarnings("ignore:W71")
LORA = ["adapter=lora", "adapter.rank=2", "backbone.weights=runs/before", "save_every_steps=2"]


def backbone() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 1))


def network() -> Network:
    model = Network(
        backbone(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(8, 3), torch.ones(2, 3)
    )
    return model


def move(model: nn.Module) -> None:
    """Gives every number that trains another value."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=draws))


def test_a_changed_weight_is_that_of_the_formula() -> None:
    model = backbone()
    Lora(rank=4, alpha=6.0).adapt(model)
    move(model)
    for at in (0, 3):
        parts: Any = model[at].parametrizations.weight  # type: ignore[union-attr]
        before = parts.original.detach()
        down, up = parts[0].down.detach(), parts[0].up.detach()
        change = torch.einsum("or,rc->oc", up, down).reshape(before.shape)
        assert torch.allclose(model[at].weight, before + 6.0 / 4 * change, atol=1e-6)  # type: ignore[arg-type]
        bound = math.sqrt(6 / ((1 + 5) * math.prod(before.shape[1:])))  # kaiming_uniform_ with a = sqrt(5)
        Lora(rank=4).adapt(fresh := backbone())
        drawn: Any = fresh[at].parametrizations.weight  # type: ignore[union-attr]
        assert drawn[0].down.abs().max() <= bound


def test_gradients_are_those_of_the_two_layers_that_lora_puts_beside_one() -> None:
    torch.manual_seed(3)
    given, layer = torch.randn(5, 7), nn.Linear(7, 6)
    outer = nn.Sequential(layer)
    Lora(rank=2, alpha=4.0).adapt(outer)
    move(outer)
    parts: Any = outer[0].parametrizations.weight[0]  # type: ignore[union-attr, index]
    outer(given).square().sum().backward()
    down, up = (each.detach().clone().requires_grad_() for each in (parts.down, parts.up))
    original: Any = outer[0].parametrizations.weight.original  # type: ignore[union-attr]
    beside = nn.functional.linear(given, original.detach(), layer.bias.detach()) + 4.0 / 2 * (
        given @ down.T @ up.T
    )
    beside.square().sum().backward()
    assert torch.allclose(parts.down.grad, down.grad, rtol=1e-4)
    assert torch.allclose(parts.up.grad, up.grad, rtol=1e-4)


def test_an_attention_is_changed_however_it_reads_its_matrix() -> None:
    torch.manual_seed(0)
    attention, tokens = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)
    outer = nn.ModuleDict({"attention": attention})
    trained = Lora(rank=2).adapt(outer)
    assert "attention.parametrizations.in_proj_weight.0.up" in trained
    before = attention(tokens, tokens, tokens)[0]
    move(outer)
    assert not torch.allclose(attention(tokens, tokens, tokens)[0], before)


def test_layers_are_chosen_by_the_parts_of_their_names() -> None:
    model = nn.ModuleDict({"block": nn.ModuleDict({"qkv": nn.Linear(9, 9), "proj": nn.Linear(9, 9)})})
    assert {name.split(".")[1] for name in Lora(rank=2, layers=("qkv",)).adapt(model)} == {"qkv"}
    with pytest.raises(ConfigError, match="no layer 'qvk'.*did you mean") as caught:
        Lora(rank=2, layers=("qvk",)).adapt(nn.ModuleDict({"qkv": nn.Linear(9, 9)}))
    assert caught.value.code == "C07"


def test_only_what_the_adapter_names_and_the_head_train() -> None:
    model = network()
    adapters.adapt(model, Bitfit())
    freeze(model, ())
    named = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert named == {"backbone.0.bias", "backbone.1.bias", "backbone.3.bias", "head.weight", "head.bias"}
    assert not model.backbone[1].training  # type: ignore[index]
    freeze(model, ["head"])
    assert not model.head.weight.requires_grad


def test_a_merged_copy_predicts_the_same_and_leaves_the_network_as_it_is() -> None:
    model, images = network(), torch.rand(2, 3, 8, 8)
    adapters.adapt(model, Lora(rank=2))
    move(model)
    model.eval()
    merged = adapters.merge(model)
    assert torch.equal(merged(images), model(images))
    assert merged.state_dict().keys() == network().state_dict().keys()
    move(model)
    assert not torch.equal(merged(images), model(images))
    plain = network().eval()
    plain.load_state_dict(adapters.plain_weights(model))
    assert torch.equal(plain(images), model(images))


class Nothing(Adapter):
    """Names nothing."""

    @classmethod
    def plugin_name(cls) -> str:
        return cls.__name__.lower()

    def adapt(self, backbone: nn.Module) -> list[str]:
        return []


class Wrong(Nothing):
    """Names what is not there."""

    def adapt(self, backbone: nn.Module) -> list[str]:
        return ["nose"]


def test_an_adapter_that_names_nothing_or_something_unknown_is_refused() -> None:
    with pytest.raises(ConfigError, match="finds nothing to train") as nothing:
        adapters.adapt(network(), Nothing())
    with pytest.raises(PluginError, match="does not have: nose") as wrong:
        adapters.adapt(network(), Wrong())
    assert (nothing.value.code, wrong.value.code) == ("C85", "P07")
    with pytest.raises(ConfigError, match="finds nothing"):
        adapters.adapt(network(), Lora(rank=1000))


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition with a network of other classes to start from, and a run with LoRA."""
    root = tmp_path_factory.mktemp("adapters")
    other = draw_competition(root / "other", train=24, epochs=1)
    table = other / "data" / "train.csv"
    table.write_text(table.read_text().replace(",ring", ",circle"))
    train(other, name="before", folds=[0])
    (root / "here").mkdir()
    space = draw_competition(root / "here", train=48)
    (space / "runs").symlink_to(other / "runs", target_is_directory=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="W71")
        train(space, LORA, name="r")
    return space


def test_checkpoints_hold_plain_weights_and_predict_what_training_predicted(space: Path) -> None:
    before, after = (
        checkpoints.latest(space / "runs/before/fold-0"),
        checkpoints.latest(space / "runs/r/fold-0"),
    )
    assert before is not None
    assert after is not None
    assert after.weights.keys() == before.weights.keys()
    changed = {
        name
        for name in after.weights
        if not torch.equal(after.weights[name], before.prediction_weights[name])
    }
    kernels = {
        name for name, value in after.weights.items() if name.startswith("backbone.") and value.dim() == 4
    }
    assert changed == kernels | {"head.1.weight", "head.1.bias"}
    for name in kernels:  # the change of a kernel has rank 2
        change = (after.weights[name] - before.prediction_weights[name]).flatten(1)
        assert torch.linalg.matrix_rank(change, rtol=1e-4) <= 2
    predictions = oof(space, "r")
    setting = finish(prepare_run(Workspace.of(space, LORA), find_run(Workspace.open(space), "r")))
    rows = setting.oof_rows(0)[:8]
    predictor = load_for_prediction(after.path, space, torch.device("cpu"))
    assert not adapters.is_adapted(predictor.network)
    batch = next(iter(prediction_batches(setting.loaded, setting.experiment, rows)))
    expected = predictor.probabilities(batch.images).numpy()
    assert np.array_equal(
        predictions.align(setting.loaded.table.ids[rows].tolist(), allow_extra=True), expected
    )


@pytest.mark.parametrize("start", ["backbone.weights=runs/before", "init_from=runs/r"])
def test_a_run_that_is_killed_resumes_to_the_same_bits(
    space: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    overrides = [*LORA, start] if start in LORA else [*(key for key in LORA if "weights" not in key), start]
    name = start.partition("/")[2]
    train(space, overrides, name=f"whole-{name}", folds=[0])
    with monkeypatch.context() as context:
        kill_after(context, 4)
        with pytest.raises(Killed):
            train(space, overrides, name=f"killed-{name}", folds=[0])
    train(space, overrides, name=f"killed-{name}", folds=[0])
    assert same(weights(space, f"whole-{name}", 0), weights(space, f"killed-{name}", 0))
    assert logged(space, f"whole-{name}", 0) == logged(space, f"killed-{name}", 0)


def value_trains(name: str) -> bool:
    return name.endswith(("weight", "bias"))


def test_a_run_starts_from_an_adapted_one_and_a_soup_is_cooked_of_two(space: Path) -> None:
    train(space, [*LORA[:2], "init_from=runs/r", "epochs=1", "optimizer.lr=1e-9"], name="next")
    one, other = weights(space, "r", 0), weights(space, "next", 0)
    assert one.keys() == other.keys()
    plain = [name for name in one if not name.startswith("average") and value_trains(name)]
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in plain)
    make_soup(space, ["runs/r", "runs/next"], name="soup")
    assert weights(space, "soup", 0).keys() == one.keys()


def test_a_linear_probe_comes_before_fine_tuning(space: Path) -> None:
    stages = 'stages=[{"epochs":1,"freeze":["backbone"],"scheduler":"cosine"},{"lr_scale":0.1,"scheduler":"cosine"}]'
    train(space, ["backbone.weights=runs/before", stages, "ema_decay=0"], name="lpft", folds=[0])
    start = checkpoints.latest(space / "runs" / "before" / "fold-0")
    assert start is not None
    moved = [
        {
            name.partition(".")[0]
            for name, value in checkpoints.load(space / "runs/lpft/fold-0" / number).weights.items()
            if not torch.equal(value, start.prediction_weights[name])
        }
        for number in ("0001", "0002")
    ]
    assert moved == [{"head"}, {"head", "backbone"}]


def test_an_adapter_on_random_weights_is_warned_of(space: Path) -> None:
    with pytest.warns(KitWarning, match="W86 adapter 'bitfit' trains few weights"):
        train(space, ["adapter=bitfit", "epochs=1"], name="random", folds=[0])


def test_cached_embeddings_take_no_adapter(space: Path) -> None:
    with pytest.raises(ConfigError, match="does not support adapter") as caught:
        train(space, ["backbone=embeddings", "backbone.run=bare", "adapter=lora"], name="vectors")
    assert caught.value.code == "C83"
