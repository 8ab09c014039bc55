"""Every network of timm, by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from kit.errors import ConfigError, RunError, did_you_mean
from kit.kinds import Backbone

if TYPE_CHECKING:
    from torch import nn


class Timm(Backbone):
    """A timm network without its classifier. `arch` is its name in timm.

    Source: Wightman 2019, "PyTorch Image Models", timm.create_model(num_classes=0, global_pool="").
    """

    arch: str = Field("resnet18", description="timm's name, such as resnet18 or efficientnet_b0")
    pretrained: bool = Field(False, description="start from timm's weights, fetched once from its hub")
    weights: str | None = Field(
        None, description="start from a local file, .safetensors or .pt, relative to the workspace"
    )
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="stochastic depth: share of the residual paths dropped"
    )
    img_size: int | None = Field(None, ge=8, description="input side, for transformers of a fixed one")

    def build(self) -> nn.Module:
        from kit.plugins.backbone._timm import Features
        from kit.plugins.backbone._weights import load_weights

        timm = _timm()
        if not timm.is_model(self.arch):
            known = timm.list_models()
            raise ConfigError(
                f"timm has no network {self.arch!r}{did_you_mean(self.arch, known)}", code="C07"
            )
        options: dict[str, Any] = {"drop_path_rate": self.drop_path} if self.drop_path else {}
        if self.img_size:
            options["img_size"] = self.img_size
        try:
            model = timm.create_model(
                self.arch, pretrained=self.pretrained, num_classes=0, global_pool="", **options
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"timm cannot build {self.arch!r} with {options}: {error}", code="C07"
            ) from error
        except (OSError, RuntimeError) as error:
            raise RunError(
                f"cannot fetch the weights of {self.arch!r}: {str(error).splitlines()[0]}",
                hint="backbone.weights=FILE for a local file, backbone.pretrained=false to train from scratch",
            ) from error
        for file in self.input_files():
            load_weights(model, file)
        return Features(model)

    def input_files(self) -> tuple[Path, ...]:
        return ((self.home or Path()) / self.weights,) if self.weights else ()

    def without_pretrained(self) -> Self:
        return self.model_copy(update={"pretrained": False, "weights": None})

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        found = _timm().get_pretrained_cfg(self.arch, allow_unregistered=True)
        return (tuple(found.mean), tuple(found.std)) if found else super().normalisation()

    def input_size(self) -> int | None:
        found = _timm().get_pretrained_cfg(self.arch, allow_unregistered=True)
        if self.img_size:
            return self.img_size
        return int(found.input_size[1]) if found and found.fixed_input_size else None


def _timm() -> Any:
    from kit.device import torchvision_ops

    torchvision_ops.prepare()
    import timm

    return timm
