"""The module around timm's networks: one shape of features for all families."""

from __future__ import annotations

from torch import Tensor, nn


class Features(nn.Module):
    """timm's network, giving (N, C, h, w), or tokens (N, T, C) without the class and register tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model(images)
        if features.dim() == 4:
            return features.permute(0, 3, 1, 2) if self.channels_last else features
        return features[:, self.prefix :]

    def layer_groups(self) -> dict[str, int]:
        """The layer of each weight, 0 at the pixels, as timm's own group_matcher has it."""
        from timm.models import group_parameters

        found = group_parameters(self.model, self.model.group_matcher(coarse=False), reverse=True)  # type: ignore[operator]
        return {f"model.{name}": int(layer) for name, layer in found.items()}
