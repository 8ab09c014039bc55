"""Kinds of the network: backbone, pooling and head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from kit.kinds.plugin import Plugin, bound_field

if TYPE_CHECKING:
    from torch import nn


Outputs = Literal["logits", "cosines", "joint"]  # joint: logits, then unit vectors


DEFAULT_HEAD: dict[Outputs, str] = {"logits": "linear", "cosines": "cosine", "joint": "joint"}


class Backbone(Plugin):
    """Builds the network that turns images into features."""

    kind: ClassVar[str] = "backbone"
    home: Path | None = bound_field(None)  # the workspace, where options that are relative paths begin

    def build(self) -> nn.Module:
        """A module from float (N, 3, H, W) to a feature map (N, C, h, w) or tokens (N, T, C)."""
        raise NotImplementedError

    def in_workspace(self, home: Path | None) -> Self:
        """The same recipe, in a workspace: options that are relative paths begin there."""
        return self.model_copy(update={"home": home})

    def without_pretrained(self) -> Self:
        """The same recipe without starting weights, for a network whose weights come from a checkpoint."""
        return self

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation per channel, for pixels from 0 to 1, that the weights expect."""
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def input_size(self) -> int | None:
        """The only input side the network takes, in pixels, or None if it takes any."""
        return None


class Pooling(Plugin):
    """Turns a feature map or tokens into one vector an image."""

    kind: ClassVar[str] = "pooling"

    def build(self) -> nn.Module:
        """A module from (N, C, h, w) or (N, T, C) to (N, C)."""
        raise NotImplementedError


class Head(Plugin):
    """Turns an image's vector into one output a class."""

    kind: ClassVar[str] = "head"
    gives: ClassVar[Outputs] = "logits"

    def build(self, features: int, classes: int) -> nn.Module:
        """A module from (N, features) to (N, outputs)."""
        raise NotImplementedError
