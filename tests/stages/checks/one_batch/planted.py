"""Plugins with one fault each, which `kit check --pipeline` must name."""

from __future__ import annotations

from pathlib import Path

BLACK = """
import numpy as np
from kit.kinds import Augmenter
class Black(Augmenter):
    def __call__(self, image, size, rng):
        return np.zeros((size, size, 3), np.uint8)
"""
ONE_PICTURE = """
import numpy as np
from kit.kinds import Augmenter
class OnePicture(Augmenter):
    def __call__(self, image, size, rng):
        return np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
"""
STALE = """
from kit.images.reader import center_crop
from kit.kinds import Augmenter
class Stale(Augmenter):
    def __call__(self, image, size, rng):
        return center_crop(image, size)[:, ::-1].copy()
"""
GLOBAL_DRAWS = """
import random
from kit.images.reader import center_crop
from kit.kinds import Augmenter
class GlobalDraws(Augmenter):
    def __call__(self, image, size, rng):
        return center_crop(image, size) // random.randint(2, 200)
"""
CONSTANT = """
import torch
from kit.kinds import Loss
class Constant(Loss):
    def rows(self, outputs, labels):
        return torch.ones(len(outputs))
"""
FLAT = """
from kit.kinds import Loss
class Flat(Loss):
    def rows(self, outputs, labels):
        return outputs.sum(1) * 0 + 2
"""
NOT_A_NUMBER = """
from kit.kinds import Loss
class NotANumber(Loss):
    def rows(self, outputs, labels):
        return outputs.sum(1) * float("nan")
"""
NEXT_LABEL = """
from kit.kinds import Loss
from torch.nn.functional import cross_entropy
class NextLabel(Loss):
    def rows(self, outputs, labels):
        return cross_entropy(outputs, (labels + 1) % outputs.shape[1], reduction="none")
"""
LOUD = """
from kit.kinds import Head
from torch import nn
class Loud(Head):
    def build(self, features, classes):
        layer = nn.Linear(features, classes)
        nn.init.normal_(layer.weight, std=100)
        return layer
"""
BLIND = """
from kit.kinds import Backbone
from torch import nn
class Dark(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)
    def forward(self, images):
        return self.layer(images * 0)
class Blind(Backbone):
    def build(self):
        return Dark()
"""
ONE_BIT = """
from kit.kinds import Backbone
from torch import nn
class Bit(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
    def forward(self, images):
        side = images.mean(dim=(1, 2, 3), keepdim=True)
        bit = (side > side.median()).float() if len(images) > 1 else side * 0
        return self.layer(bit.expand(-1, 3, 2, 2))
class OneBit(Backbone):
    def build(self):
        return Bit()
"""
DETACHED = """
from kit.kinds import Backbone
from torch import nn
class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)
    def forward(self, images):
        return self.layer(images).detach()
class Detached(Backbone):
    def build(self):
        return Cut()
"""
IDLE = """
import torch
from kit.kinds import Optimizer
class Nothing(torch.optim.SGD):
    def step(self, closure=None):
        return None
class Idle(Optimizer):
    lr: float = 0.01
    def build(self, parameters):
        return Nothing([weight for _, weight in parameters], lr=self.lr)
"""
HEAD_ALONE = """
import torch
from kit.kinds import Optimizer
class HeadAlone(Optimizer):
    lr: float = 0.01
    def build(self, parameters):
        return torch.optim.Adam([weight for name, weight in parameters if name.startswith("head")], lr=self.lr)
"""
FORGETFUL = """
import torch
from kit.kinds import Optimizer
class Counting(torch.optim.SGD):
    seen = 0
    def step(self, closure=None):
        self.seen += 1
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad *= 1 + 1 / self.seen
        return super().step(closure)
class Forgetful(Optimizer):
    lr: float = 0.1
    def build(self, parameters):
        return Counting([weight for _, weight in parameters], lr=self.lr)
"""
OVERFLOWING = """
from torch import nn
from kit.kinds import Backbone
class Overflow(nn.Module):
    def forward(self, features):
        return features if self.training else features * float("inf")
class Overflowing(Backbone):
    def build(self):
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Overflow())
"""
FAULTY: dict[str, dict[str, str]] = {
    "augmenter": {"black": BLACK, "one_picture": ONE_PICTURE, "stale": STALE, "global_draws": GLOBAL_DRAWS},
    "loss": {"constant": CONSTANT, "flat": FLAT, "not_a_number": NOT_A_NUMBER, "next_label": NEXT_LABEL},
    "head": {"loud": LOUD},
    "backbone": {"blind": BLIND, "one_bit": ONE_BIT, "detached": DETACHED, "overflowing": OVERFLOWING},
    "optimizer": {"idle": IDLE, "head_alone": HEAD_ALONE, "forgetful": FORGETFUL},
}


def plant(root: Path) -> None:
    """Writes all of them onto a workspace's plugins."""
    for kind, plugins in FAULTY.items():
        (root / "plugins" / kind).mkdir(parents=True)
        for name, text in plugins.items():
            (root / "plugins" / kind / f"{name}.py").write_text(text.lstrip())
