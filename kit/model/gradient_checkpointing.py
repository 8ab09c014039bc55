"""Gradient checkpointing: the backward pass computes a backbone's blocks again, instead of keeping their tensors."""

from __future__ import annotations

from kit.errors import ConfigError
from kit.kinds import Backbone
from kit.model.network import Network


def enable_gradient_checkpointing(network: Network, backbone: Backbone) -> None:
    """Makes a network's backbone keep only the inputs of its blocks for the backward pass.

    Raises ConfigError C89 for a backbone without `set_grad_checkpointing`, or whose network does not support it.

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"; torch.utils.checkpoint, by timm.
    """
    try:
        network.backbone.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError, NotImplementedError) as error:
        arch = getattr(backbone, "arch", None)
        name = f"{backbone.plugin_name()!r}" + (f" with arch {arch!r}" if arch else "")
        raise ConfigError(
            f"backbone {name} does not support gradient_checkpointing",
            code="C89",
            hint="gradient_checkpointing=false with a smaller micro_batch_size, or another backbone.arch of timm",
        ) from error
    network.recomputes = True
