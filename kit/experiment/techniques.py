"""OpenPlugins: an experiment's plugins, opened and checked against each other, and the learner that they make."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.device.precision import Precision
from kit.device.ranks import ALONE, Ranks
from kit.engine.learner import Learner, learner
from kit.experiment.stages import OpenStage, open_stages
from kit.kinds import Augmenter, Classes, Loss, Metric, Optimizer, Plugin, Sampler, Scheduler, Splitter
from kit.kinds.label_kinds import check_takes
from kit.model import network
from kit.model.param_groups import check_frozen, set_layerwise_lr


@dataclass(frozen=True)
class OpenPlugins:
    """An experiment's opened plugins."""

    splitter: Splitter
    sampler: Sampler
    augmenter: Augmenter
    optimizer: Optimizer
    scheduler: Scheduler
    parts: network.Parts
    stages: tuple[OpenStage, ...]

    def of_config(self) -> list[Plugin]:
        """Those that the config names at its top."""
        return [
            self.splitter,
            self.sampler,
            self.augmenter,
            self.optimizer,
            self.scheduler,
            *self.parts.all(),
        ]

    def all(self) -> list[Plugin]:
        """Every one of them, the stages' too."""
        return [*self.of_config(), *(plugin for stage in self.stages for plugin in stage.plugins())]


def open_techniques(workspace: Workspace, classes: Classes, metric: Metric) -> OpenPlugins:
    """Every plugin that an experiment names. Raises PluginError, ConfigError (C17 for labels not taken)."""
    experiment, root = workspace.experiment, workspace.root
    loss = experiment.open(Loss, root)
    splitter = experiment.open(Splitter, root)
    sampler = experiment.open(Sampler, root)
    check_takes([loss, splitter, sampler, metric], classes.label_kind, root)
    parts = network.open_parts(experiment, root, classes)
    return OpenPlugins(
        splitter,
        sampler,
        experiment.open(Augmenter, root),
        experiment.open(Optimizer, root),
        experiment.open(Scheduler, root),
        parts,
        open_stages(experiment, root, classes, parts),
    )


def build_learner(
    techniques: OpenPlugins,
    experiment: Experiment,
    classes: int,
    precision: Precision,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Learner:
    """A learner before its first step; its weights are drawn from torch's global generator."""
    built = network.build(techniques.parts, classes, experiment.image_size)
    if experiment.sync_batch_norm and ranks.count > 1:
        network.convert_sync_batch_norm(built, device)
    placed = precision.to_device(built, device)
    for number, stage in enumerate(techniques.stages):
        check_frozen(built, stage.section.freeze, f"stages.{number}.freeze")
    optimizer = techniques.optimizer.build(list(placed.named_parameters()))
    freezes = [stage.section.freeze for stage in techniques.stages]
    set_layerwise_lr(optimizer, built, experiment.layer_decay, experiment.lr_scales, freezes)
    return learner(placed, optimizer, precision, experiment.ema_decay, experiment.swa_start, ranks)
