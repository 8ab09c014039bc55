"""timm's published weights come from the hub's cache or the network, or the message says how to get the file."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from kit.device.torch_internals import import_timm
from kit.errors import ConfigError, KitWarning, RunError
from kit.plugins.backbone import _hub
from kit.plugins.backbone._timm import Features
from kit.plugins.backbone.timm import Timm

timm = import_timm()


UNREACHABLE = r"R19 cannot fetch the weights of 'resnet10t': huggingface\.co does not answer"
WRONG_TAG = r"C07 timm has no weights 'c4_in1k' of resnet10t; did you mean 'c3_in1k'"


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError("no route to host")


def test_without_a_network_the_message_says_how_to_get_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(RunError, match=UNREACHABLE) as caught:
        Timm(arch="resnet10t", pretrained=True).build()
    assert "https://huggingface.co/timm/resnet10t.c3_in1k/resolve/main/model.safetensors" in caught.value.hint
    assert "models--timm--resnet10t.c3_in1k" in caught.value.hint
    assert "backbone.weights=/kaggle/input/NAME/FILE" in caught.value.hint


def test_a_host_whose_name_is_looked_up_for_ever_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for_ever = threading.Event()
    monkeypatch.setattr(socket, "create_connection", lambda *_: for_ever.wait() and refuse())
    monkeypatch.setattr(_hub, "TIMEOUT_S", 0.01)
    with pytest.raises(RunError, match="R19"):
        Timm(arch="resnet10t", pretrained=True).build()
    for_ever.set()


def test_without_a_network_the_hubs_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    wanted = timm.create_model("resnet10t").state_dict()
    repository = tmp_path / "models--timm--resnet10t.c3_in1k"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    safetensors.torch.save_file(wanted, repository / "snapshots" / "abc" / "model.safetensors")
    state = Timm(arch="resnet10t", pretrained=True).build().state_dict()
    assert all(torch.equal(value, wanted[name.removeprefix("model.")]) for name, value in state.items())


def test_the_final_norm_is_filled_from_fc_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    arch, side = "eva02_tiny_patch14_224", 28
    wanted = timm.create_model(arch, img_size=side).state_dict()
    wanted |= {name: wanted[name] + torch.rand(192) for name in ("fc_norm.weight", "fc_norm.bias")}
    monkeypatch.setattr(_hub, "_answers", lambda *_: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(wanted))
    state = Timm(arch=arch, pretrained=True, img_size=side).build().state_dict()
    assert torch.equal(state["model.norm.weight"], wanted["fc_norm.weight"])
    assert torch.equal(state["model.norm.bias"], wanted["fc_norm.bias"])


def test_what_lies_behind_the_last_map_of_published_weights_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = timm.create_model("levit_128s").state_dict()
    monkeypatch.setattr(_hub, "_answers", lambda *_: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(wanted))
    with pytest.warns(KitWarning, match="W71 timm/levit_128s: 8 weights not used: head, head_dist"):
        Timm(arch="levit_128s", pretrained=True).build()


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(RunError, match="R19 timm publishes no weights of 'densenet264d'"):
        Timm(arch="densenet264d", pretrained=True).build()


def test_a_wrong_tag_names_the_tags() -> None:
    for ask in (Timm.input_size, Timm.normalisation, Timm.build):
        with pytest.raises(ConfigError, match=WRONG_TAG) as caught:
            ask(Timm(arch="resnet10t.c4_in1k"))
        assert caught.value.hint == "backbone.arch=resnet10t, or with one of its tags: c3_in1k"


def test_layer_decay_on_a_network_without_layers_is_refused() -> None:
    network = Timm(arch="pit_ti_224").build()
    assert isinstance(network, Features)
    with pytest.raises(ConfigError, match="C08 layer_decay: timm does not say which weights of pit_ti_224"):
        network.layer_groups()
