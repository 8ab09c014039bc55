"""Adapters of a network: the weights that train, and the plain weights for checkpoints.

An adapter changes weights by torch's parametrizations: the network computes `weight` from the frozen original
and a few numbers that train. Checkpoints have the computed value under the plain name. So prediction, soups,
bundles and starts from a run read them as those of any network. The training state has the additional tensors
that a resumed run needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from kit.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from kit.kinds import Adapter
    from kit.model.network import Network

WITHIN, ORIGINAL = "parametrizations.", ".original"  # of torch's names: x.parametrizations.weight.original


def adapt(network: Network, adapter: Adapter) -> None:
    """Adapts the backbone in place, and freezes all of its weights that the adapter does not name.

    Raises ConfigError C85 if nothing of it would train, PluginError P07 for a name that the backbone does not
    have.
    """
    trained = set(adapter.adapt(network.backbone))
    weights = dict(network.backbone.named_parameters())
    if missing := sorted(trained - set(weights)):
        raise PluginError(
            f"adapter {adapter.plugin_name()!r} names weights that the backbone does not have: {missing[0]}",
            code="P07",
        )
    if not trained:
        raise ConfigError(
            f"adapter {adapter.plugin_name()!r} finds nothing to train in this backbone",
            code="C85",
            hint="take another adapter; for a head alone, set stages and freeze the backbone in one",
        )
    network.fixed = frozenset(f"backbone.{name}" for name in weights if name not in trained)
    for name, weight in weights.items():
        weight.requires_grad_(name in trained)


def plain_weights(network: nn.Module) -> dict[str, Tensor]:
    """Returns the network's tensors by name; adapted weights by their values."""
    state = network.state_dict()
    if not is_adapted(network):
        return state
    values: dict[str, Tensor] = {}
    with torch.no_grad():
        for key, tensor in state.items():
            name = _plain_name(key)
            if name == key:
                values[key] = tensor
            elif key.endswith(ORIGINAL):
                owner, _, last = name.rpartition(".")
                values[name] = getattr(network.get_submodule(owner), last).detach()
    return values


def is_adapted(network: nn.Module) -> bool:
    """Whether a weight of the network is computed by a parametrization."""
    return any(is_parametrized(module) for module in network.modules())


def adapter_weights(network: nn.Module) -> dict[str, Tensor]:
    """Returns the tensors that plain weights lack, by name: originals of adapted weights, and numbers of the
    adapters.
    """
    return {key: value for key, value in network.state_dict().items() if _plain_name(key) != key}


def load_plain(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads plain weights. Those of adapted weights become the originals, and the adapters' numbers stay."""
    network.load_state_dict(
        {
            key: weights[_plain_name(key)] if key.endswith(ORIGINAL) or _plain_name(key) == key else value
            for key, value in network.state_dict().items()
        }
    )


def merge(network: nn.Module) -> nn.Module:
    """Returns a copy with plain weights in place of adapted ones; the network itself if none is adapted."""
    if not is_adapted(network):
        return network
    merged = deepcopy(network)
    for module in list(merged.modules()):
        if is_parametrized(module):
            _merge_weights(module)
    return merged


@torch.no_grad()
def _merge_weights(module: nn.Module) -> None:
    """Works as torch's remove_parametrizations, which would take the weight from all copies of the module."""
    values = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
    del module._modules["parametrizations"]
    module.__class__ = type(module).__mro__[1]
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


def _plain_name(key: str) -> str:
    """Returns `x.weight` for `x.parametrizations.weight.original` and the like; other names are plain."""
    owner, is_within, rest = key.partition(WITHIN)
    return owner + rest.partition(".")[0] if is_within else key
