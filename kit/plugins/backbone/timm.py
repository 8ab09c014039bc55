"""Every network of timm, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from kit.device.torch_internals import import_timm
from kit.errors import ConfigError, did_you_mean
from kit.kinds import Backbone
from kit.kinds.network import Original
from kit.model.initial_weights import fill

if TYPE_CHECKING:
    from torch import nn


class Timm(Backbone):
    """A timm network without its classifier. `arch` is its name in timm.

    Source: Wightman 2019, "PyTorch Image Models", timm.create_model(num_classes=0, global_pool="").
    """

    arch: str = Field(
        "resnet18", description="name of the network in timm, such as resnet18 or efficientnet_b0"
    )
    pretrained: bool = Field(False, description="start from timm's weights, fetched once from its hub")
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="stochastic depth: fraction of the residual paths that is dropped"
    )
    img_size: int | None = Field(
        None, ge=8, description="input side in pixels, for transformers with a fixed input size"
    )

    def build(self) -> nn.Module:
        from kit.plugins.backbone._hub import fetch
        from kit.plugins.backbone._timm import build_features

        self._config()
        options = self._options()
        try:
            features = build_features(self.arch, **options)
        except (AssertionError, TypeError, ValueError) as error:
            raise ConfigError(
                f"timm cannot build {self.arch!r} with {options}: {error}", code="C07"
            ) from error
        if self.pretrained:
            fill(self.original(features), fetch(import_timm(), self.arch, options))
        return features

    def original(self, built: Any) -> Original:
        from kit.plugins.backbone._timm import OwnNetwork, classifiers

        network = built.model
        own = OwnNetwork(self.arch, self._options())
        return Original(network, self.arch, classifiers(network), lambda: own.names, own.convert)

    def _options(self) -> dict[str, Any]:
        """Returns the arguments for timm beside the name."""
        options: dict[str, Any] = {"drop_path_rate": self.drop_path} if self.drop_path else {}
        options |= {"in_chans": self.channels} if self.channels != 3 else {}
        return {**options, "img_size": self.img_size} if self.img_size else options

    def without_pretrained(self) -> Self:
        return self.model_copy(update={"pretrained": False, "weights": None})

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        config = self._config()
        return (tuple(config.mean), tuple(config.std)) if config else super().normalisation()

    def input_size(self) -> int | None:
        config = self._config()
        if self.img_size:
            return self.img_size
        return int(config.input_size[1]) if config and config.fixed_input_size else None

    def _config(self) -> Any:
        """Returns timm's record of the network's weights. Raises ConfigError C07 for an unknown network or tag."""
        timm = import_timm()
        if not timm.is_model(self.arch):
            known = timm.list_models()
            raise ConfigError(
                f"timm has no network {self.arch!r}{did_you_mean(self.arch, known)}", code="C07"
            )
        network, _, tag = self.arch.partition(".")
        tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{network}.*")]
        try:
            return timm.get_pretrained_cfg(self.arch, allow_unregistered=True)
        except RuntimeError:
            raise ConfigError(
                f"timm has no weights {tag!r} of {network}{did_you_mean(tag, tags)}",
                code="C07",
                hint=f"backbone.arch={network}, or with one of its tags: {', '.join(sorted(tags)) or 'none'}",
            ) from None
