"""The module around timm's networks: one shape of features for all families."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from kit.device.torch_internals import build_without_memory
from kit.errors import ConfigError

Filter = Callable[..., Mapping[str, Any]]
# timm's classes of networks that return a list of maps if they do not pool
SEVERAL_MAPS = ("EfficientViM", "EfficientViMDistilled")
_BUILDER = threading.Lock()  # timm's builder is replaced during the call


class Features(nn.Module):
    """timm's network, which returns (N, C, h, w), or tokens (N, T, C) without the class and register tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        if features.dim() == 4:
            return features.permute(0, 3, 1, 2) if self.channels_last else features
        return features[:, self.prefix :]

    def features(self, images: Tensor) -> Tensor:
        """Returns the features as timm's network returns them."""
        features: Tensor = self.model(images)
        return features

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether blocks are computed again in the backward pass. Raises AssertionError if timm does not support it."""
        self.model.set_grad_checkpointing(enable)  # type: ignore[operator]

    def layer_groups(self) -> dict[str, int]:
        """Returns the layer number of each weight, 0 at the pixels, by timm's own group_matcher.

        Raises ConfigError C08 if the network has none.
        """
        from timm.models import group_parameters

        if not hasattr(self.model, "group_matcher"):
            name = (getattr(self.model, "pretrained_cfg", None) or {}).get("architecture", "this network")
            raise ConfigError(
                f"layer_decay: timm does not say which weights of {name} form a layer",
                code="C08",
                hint="layer_decay=1, and lr_scales for a rate a part",
            )
        layers = group_parameters(self.model, self.model.group_matcher(coarse=False), reverse=True)  # type: ignore[operator]
        return {f"model.{name}": int(layer) for name, layer in layers.items()}


class LastMap(Features):
    """The last feature map or tokens of a network whose head always pools. The head is left out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        for name in {name.partition(".")[0] for name in classifiers(model)}:
            setattr(model, name, nn.Identity())

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.model.forward_features(images)  # type: ignore[operator]
        return features


class OwnPooling(Features):
    """The pooled features (N, C, 1, 1) of a network with several last maps, or with only class tokens."""

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)[:, :, None, None]


def build_features(arch: str, **options: Any) -> Features:
    """Returns a network without its classifier. Raises timm's errors for a network that it cannot build."""
    import timm

    try:
        model = timm.create_model(arch, num_classes=0, global_pool="", **options)
    except AssertionError:  # a network that cannot leave out its pooling
        wrapper = build_without_memory(
            lambda: _choose_wrapper(_create_pooled(arch, options), options.get("in_chans", 3))
        )
    else:
        if type(model).__name__ not in SEVERAL_MAPS:
            return Features(model)
        wrapper = OwnPooling
    return wrapper(_create_pooled(arch, options))


def _create_pooled(arch: str, options: Mapping[str, Any]) -> nn.Module:
    """Returns timm's pooling network without classes. Before timm 1.0.31 some have a last layer without outputs."""
    import timm

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        model: nn.Module = timm.create_model(arch, num_classes=0, **options)
    return model


def _choose_wrapper(model: Any, channels: int) -> type[Features]:
    """Chooses the wrapper for the features of a network that pools, by trying one on torch's default device."""
    size = (
        getattr(getattr(model, "patch_embed", None), "img_size", None)
        or model.pretrained_cfg["input_size"][1:]
    )
    with torch.no_grad():
        features = model.eval().forward_features(torch.zeros(1, channels, *size))
    has_prefix = bool(getattr(model, "num_prefix_tokens", None))
    is_usable = isinstance(features, Tensor) and (features.dim() == 4 or has_prefix)
    return LastMap if is_usable else OwnPooling


def classifiers(model: nn.Module) -> tuple[str, ...]:
    """Returns the names of a network's classifiers, such as `head.fc`, as timm records them."""
    names = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


class OwnNetwork:
    """timm's network with its own pooling and head: the names of its weights, and timm's filter for authors' files.

    It is built on first use, without memory for its weights.
    """

    def __init__(self, arch: str, options: Mapping[str, Any]) -> None:
        self.arch, self.options = arch, dict(options)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all its weights."""
        return frozenset(self._original[0].state_dict())

    def convert(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Converts weights by timm's filter, with the arguments that timm binds; without a filter they are unchanged.

        Raises the filter's errors: it was written for files of its family, and these may be any files.
        """
        model, convert = self._original
        if convert is None:
            return dict(state)
        try:
            converted = convert(dict(state), model)
        except TypeError:  # a filter with one argument
            converted = convert(dict(state))
        return {
            key: value for key, value in converted.items() if not (torch.is_tensor(value) and value.is_meta)
        }

    @cached_property
    def _original(self) -> tuple[nn.Module, Filter | None]:
        return build_without_memory(self._intercept_builder)

    def _intercept_builder(self) -> tuple[nn.Module, Filter | None]:
        """Returns the network, and the filter that timm's builder would have applied to the pretrained weights.

        timm binds the arguments of filters while it builds a network, so they are taken from there.
        """
        import timm
        from timm.models import _builder

        passed: dict[str, Any] = {}

        def load_pretrained(model: nn.Module, *_: Any, **keywords: Any) -> None:
            passed.update(keywords)

        with (
            _BUILDER,
            torch.random.fork_rng(devices=[]),
            patch.object(_builder, "load_pretrained", load_pretrained),
        ):
            model = timm.create_model(self.arch, pretrained=True, **self.options)
        return model, passed.get("filter_fn")
