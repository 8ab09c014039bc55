"""The module of heads that return cosines."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Cosines(nn.Module):
    """(N, features) to cosines (N, classes) with the rows of `weight` (classes, features); float32 under AMP."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            return functional.linear(
                functional.normalize(vectors.float()), functional.normalize(self.weight.float())
            )


class SubCentres(nn.Module):
    """(N, features) to the largest cosine (N, classes) over `centres` vectors per class."""

    def __init__(self, features: int, classes: int, centres: int) -> None:
        super().__init__()
        self.centres = centres
        self.cosines = Cosines(features, classes * centres)

    def forward(self, vectors: Tensor) -> Tensor:
        cosines: Tensor = self.cosines(vectors)
        return cosines.view(len(cosines), -1, self.centres).amax(2)
