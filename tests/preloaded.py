"""What a command that trains imports, for a fork server: the processes that it forks need not import it again."""

import torch

import kit.commands._menu
import kit.stages.blending.blend
import kit.stages.prediction.tta
import kit.stages.training.train
from kit.device.torch_internals import import_timm

__all__ = ["kit"]

import_timm()
# the first optimizer of a process imports a good part of torch
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
