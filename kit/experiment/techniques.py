"""OpenPlugins: an experiment's plugins and stages, opened and checked against each other, and their learner."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from kit.config.models import Experiment, OneKind
from kit.config.models import Stage as Section
from kit.config.workspace import Workspace
from kit.core.files import fingerprint, sha256
from kit.core.pixel_types import PixelType
from kit.core.randomness import generator
from kit.data.table import Table
from kit.device.precision import Precision
from kit.device.ranks import ALONE, Ranks
from kit.engine.learner import Learner, learner
from kit.engine.step import mix_with_side
from kit.errors import Case, ConfigError, DataError, KitWarning
from kit.kinds import (
    Adapter,
    Augmenter,
    Classes,
    Loss,
    Metric,
    Optimizer,
    Plugin,
    Sampler,
    Scheduler,
    Splitter,
)
from kit.kinds.executor import Executor
from kit.kinds.label_kinds import check_takes
from kit.model import network
from kit.model.network import Parts, check_frozen, set_layerwise_lr

SPECS = ("augmenter", "sampler", "loss", "scheduler")  # plugins that a stage may name


@dataclass(frozen=True)
class OpenStage:
    """A stage's part of the config, its experiment, and its opened plugins."""

    section: Section
    experiment: Experiment
    sampler: Sampler
    augmenter: Augmenter
    loss: Loss
    scheduler: Scheduler

    @property
    def epochs(self) -> int:
        """The epochs of the stage."""
        return self.experiment.epochs

    def with_batch(self, count: int) -> OpenStage:
        """Returns the same stage, with a number of rows in place of "auto"."""
        if self.experiment.batch_size != "auto":
            return self
        return replace(self, experiment=self.experiment.model_copy(update={"batch_size": count}))

    def plugins(self) -> list[Plugin]:
        """Returns every plugin of the stage."""
        return [self.sampler, self.augmenter, self.loss, self.scheduler]

    def resolve_config(self) -> dict[str, Any]:
        """Returns the stage in the form of config.json, with every option of the plugins that it names."""
        own_plugins = {kind: getattr(self, kind) for kind in SPECS if getattr(self.section, kind) is not None}
        return {
            **self.section.model_dump(mode="json"),
            **{kind: plugin.model_dump() for kind, plugin in own_plugins.items()},
        }


def open_stages(
    experiment: Experiment, root: Path | None, classes: Classes, parts: Parts
) -> tuple[OpenStage, ...]:
    """Opens every stage of a run.

    Raises PluginError and ConfigError: C08 for a loss that takes other outputs than the experiment's, C09 for an image
    size that the network does not take.
    """
    return tuple(
        _open_stage(number, section, within, root, classes, parts)
        for number, (section, within) in enumerate(experiment.plan())
    )


def _open_stage(
    number: int, section: Section, within: Experiment, root: Path | None, classes: Classes, parts: Parts
) -> OpenStage:
    def open_kind(base: type[OneKind]) -> OneKind:
        is_of_stage = getattr(section, base.kind) is not None
        return within.open(base, root, f"stages.{number}.{base.kind}" if is_of_stage else base.kind)

    augmenter, sampler = open_kind(Augmenter), open_kind(Sampler)
    loss, scheduler = open_kind(Loss), open_kind(Scheduler)
    check_takes([loss, sampler], classes.label_kind, root)
    bound = loss.with_classes(classes)
    _check_loss(number, bound, parts.loss, len(classes.names))
    _check_size(number, within, parts)
    return OpenStage(section, within, sampler, augmenter, bound, scheduler)


def _check_loss(number: int, loss: Loss, other: Loss, classes: int) -> None:
    if (loss.outputs(), loss.width(classes)) != (other.outputs(), other.width(classes)):
        raise ConfigError(
            f"stages.{number}.loss {loss.plugin_name()!r} needs {loss.width(classes)} {loss.outputs()}, "
            f"but the run's loss {other.plugin_name()!r} needs {other.width(classes)} {other.outputs()}",
            code="C08",
            hint="all losses of a run share its head",
        )


def _check_size(number: int, within: Experiment, parts: Parts) -> None:
    fixed = parts.backbone.input_size()
    if fixed is not None and fixed != within.image_size:
        raise ConfigError(
            f"stages.{number}: backbone {parts.backbone.plugin_name()!r} needs images of {fixed} px, but "
            f"image_size is {within.image_size}",
            code="C09",
            hint="use the same image_size in all stages",
        )


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
    adapter: Adapter | None = None

    def of_config(self) -> list[Plugin]:
        """Returns the plugins at the top of the config."""
        return [
            self.splitter,
            self.sampler,
            self.augmenter,
            self.optimizer,
            self.scheduler,
            *self.parts.all(),
            *([self.adapter] if self.adapter else []),
        ]

    def all(self) -> list[Plugin]:
        """Returns all plugins, including the stages'."""
        return [*self.of_config(), *(plugin for stage in self.stages for plugin in stage.plugins())]


def open_techniques(workspace: Workspace, classes: Classes, metric: Metric) -> OpenPlugins:
    """Opens every plugin that an experiment names.

    Raises PluginError, ConfigError (C17 for labels not taken, C82, C88).
    """
    experiment, root = workspace.experiment, workspace.root
    loss = experiment.open(Loss, root)
    splitter = experiment.open(Splitter, root)
    sampler = experiment.open(Sampler, root)
    check_takes([loss, splitter, sampler, metric], classes.label_kind, root)
    parts = network.open_parts(experiment, root, classes)
    opened = OpenPlugins(
        splitter,
        sampler,
        experiment.open(Augmenter, root),
        experiment.open(Optimizer, root),
        experiment.open(Scheduler, root),
        parts,
        open_stages(experiment, root, classes, parts),
        _open_adapter(experiment, root, parts),
    )
    if opened.optimizer.averages_weights():
        check_averaging(opened.optimizer, experiment, [stage.scheduler for stage in opened.stages])
    if parts.columns is not None:
        for stage in opened.stages:
            check_mixing(stage.loss, experiment.channels)
    check_augmenters([stage.augmenter for stage in opened.stages], workspace.competition.data.pixel_type)
    return opened


def _open_adapter(experiment: Experiment, root: Path | None, parts: Parts) -> Adapter | None:
    """Opens the adapter, if the config names one. Warns (W86) if the backbone starts from random weights."""
    if experiment.adapter is None:
        return None
    adapter = experiment.open(Adapter, root)
    backbone = parts.backbone
    if backbone.without_pretrained() == backbone and experiment.init_from is None:
        text = (
            f"W86 adapter {adapter.plugin_name()!r} trains few weights of a backbone that starts from random ones; "
            "set backbone.pretrained=true, backbone.weights or init_from"
        )
        warnings.warn(KitWarning(text), stacklevel=2)
    return adapter


def check_averaging(optimizer: Optimizer, experiment: Experiment, schedulers: Sequence[Scheduler]) -> None:
    """Raises ConfigError C88 for an optimizer that averages, beside another average or a rate that falls."""
    falling = [scheduler for scheduler in schedulers if _falls(scheduler)]
    wrong = {
        "ema_decay=0": f"ema_decay {experiment.ema_decay}" if experiment.ema_decay else "",
        "swa_start=null": f"swa_start {experiment.swa_start}" if experiment.swa_start is not None else "",
        "scheduler=constant scheduler.warmup=0.05": (
            f"scheduler {falling[0].plugin_name()!r}, whose rate falls" if falling else ""
        ),
    }
    faults = {fix: text for fix, text in wrong.items() if text}
    if faults:
        name = optimizer.plugin_name()
        raise ConfigError(
            f"optimizer {name!r} averages all steps at a constant rate, and does not go with "
            f"{', '.join(faults.values())}",
            code="C88",
            hint=" ".join(faults),
        )


def _falls(scheduler: Scheduler) -> bool:
    """Whether a schedule lowers the rate somewhere."""
    factors = [scheduler.factor(step / 200) for step in range(1, 200)]
    return any(later < earlier for earlier, later in pairwise(factors))


def check_mixing(loss: Loss, channels: int) -> None:
    """Raises ConfigError C87 for a loss whose mixing does not work with side columns, by a batch of blank images."""
    images, labels = torch.zeros(4, channels, 16, 16), torch.zeros(4, dtype=torch.int64)
    for draw in range(8):  # some mix only occasionally
        mix_with_side(loss, images, labels, torch.zeros(4, 1), generator(draw, "mix"), 0.0)


def check_augmenters(augmenters: Sequence[Augmenter], pixel_type: PixelType) -> None:
    """Raises ConfigError C82 for an augmenter that does not take pixels of more than 8 bits."""
    for augmenter in augmenters:
        if pixel_type != "uint8" and not augmenter.takes_floats():
            raise ConfigError(
                f"augmenter {augmenter.plugin_name()!r} takes 8-bit pixels, and data.pixel_type is {pixel_type}",
                code="C82",
                hint="augmenter=light, or data.pixel_type=uint8",
            )


def build_learner(
    techniques: OpenPlugins,
    experiment: Experiment,
    classes: int,
    precision: Precision,
    device: torch.device,
    ranks: Ranks = ALONE,
    statistics: tuple[np.ndarray, np.ndarray] | None = None,
) -> Learner:
    """Returns a learner before its first step. Its weights are drawn from torch's global generator.

    `statistics` are the mean and deviation of each channel, by default the backbone's.
    """
    built = network.build(techniques.parts, classes, experiment.image_size)
    if statistics is not None:
        built.normalise_by(*statistics)
    if experiment.sync_batch_norm and ranks.count > 1:
        network.convert_sync_batch_norm(built, device)
    if techniques.adapter is not None:
        from kit.model.adapters import adapt

        adapt(built, techniques.adapter)
    if experiment.gradient_checkpointing:
        from kit.model.gradient_checkpointing import enable_gradient_checkpointing

        enable_gradient_checkpointing(built, techniques.parts.backbone)
    placed = precision.to_device(built, device)
    for number, stage in enumerate(techniques.stages):
        check_frozen(built, stage.section.freeze, f"stages.{number}.freeze")
    optimizer = techniques.optimizer.build(list(placed.named_parameters()))
    freezes = [stage.section.freeze for stage in techniques.stages]
    set_layerwise_lr(optimizer, built, experiment.layer_decay, experiment.lr_scales, freezes)
    return learner(placed, optimizer, precision, experiment.ema_decay, experiment.swa_start, ranks)


def open_executor(workspace: Workspace, device: str) -> Executor:
    """Opens the executor that the config names, by default this process.

    Raises PluginError and ConfigError: C31 if the device is one GPU, but each worker needs its own.
    """
    executor = Executor.open(workspace.experiment.executor or "in_process", workspace.root, "executor")
    executor.check()
    if not executor.in_process and device.startswith("cuda:"):
        raise ConfigError(
            f"device {device!r} is one GPU, but executor {executor.plugin_name()!r} gives each worker "
            "its own GPU",
            code="C31",
            hint="device=auto",
        )
    return executor


def worker_name() -> str:
    """Returns the name of the present process for errors."""
    return f"the worker on {platform.node()}"


def check_kit(kit: str) -> None:
    """Raises DataError D60 if this process has another kit than the one with that hash."""
    if kit != code():
        raise DataError(
            f"{worker_name()} has another version of kit than the command",
            code="D60",
            cases=[Case(f"{kit[:12]} in the command, {code()[:12]} in the worker", "kit's code")],
            hint="install the same version on every node",
        )


KIT = Path(__file__).parents[1]


@lru_cache
def code() -> str:
    """Returns 64 hex digits of every file of kit's code, as this process imports it."""
    files = sorted(KIT.rglob("*.py"))
    return fingerprint([[file.relative_to(KIT).as_posix(), sha256(file)] for file in files])


def check_row_weights(losses: Sequence[Loss], table: Table, pseudo_labels: str | None) -> None:
    """Raises ConfigError for losses that weigh rows: C08 without weights or inside another loss, C17 with teachers."""
    for loss in losses:
        inner = loss.base_loss()
        while inner is not None and not inner.weighs_rows:
            inner = inner.base_loss()
        if inner is not None:
            name = inner.plugin_name()
            text = f"loss {name!r} is the base of {loss.plugin_name()!r}, and must be the outermost loss"
            raise ConfigError(text, code="C08", hint=f"loss={name} loss.base={loss.plugin_name()}")
        if not loss.weighs_rows:
            continue
        if table.weights is None:
            text = f"loss {loss.plugin_name()!r} needs weights of rows, and the config names none"
            raise ConfigError(text, code="C08", hint="data.weight=COLUMN")
        if pseudo_labels is not None:
            text = f"loss {loss.plugin_name()!r} does not weigh pseudo-labelled rows"
            raise ConfigError(text, code="C17", hint=f"loss={getattr(loss, 'base', loss).plugin_name()}")


def check_unlabelled(losses: Sequence[Loss], workspace: Workspace, ranks: int = 1) -> bool:
    """Whether a loss reads views of test rows. Raises ConfigError C91 for what it cannot be combined with."""
    readers = [loss for loss in losses if _inner_reader(loss) is not None]
    if not readers:
        return False
    loss, experiment = readers[0], workspace.experiment
    name = cast(Loss, _inner_reader(loss)).plugin_name()
    mixing = _inner_mixer(loss)
    problems = [
        (name != loss.plugin_name(), f"it is the base of {loss.plugin_name()!r}", f"loss={name}"),
        (bool(mixing), f"its base {mixing!r} mixes images", "loss.base=cross_entropy"),
        (not workspace.competition.data.has_test_rows, "there are no test rows", "data.test=FILE"),
        (
            experiment.pseudo_labels is not None,
            "pseudo_labels gives labels to test rows",
            "pseudo_labels=null",
        ),
        (experiment.columns is not None, "columns is set", "columns=null"),
        (experiment.batch_size == "auto", "batch_size is auto", "batch_size=16"),
        (ranks > 1, f"{ranks} processes share a batch", "kit train without --devices"),
    ]
    for is_wrong, problem, hint in problems:
        if is_wrong:
            raise ConfigError(
                f"loss {name!r} adds views of test rows to each batch, but {problem}", code="C91", hint=hint
            )
    return True


def _inner_mixer(loss: Loss) -> str:
    """The name of a loss that mixes images among those that a loss wraps; empty if there is none."""
    inner = loss.base_loss()
    while inner is not None and type(inner).mix is Loss.mix:
        inner = inner.base_loss()
    return "" if inner is None else inner.plugin_name()


def _inner_reader(loss: Loss) -> Loss | None:
    """The loss that reads views of test rows: this one or one that it wraps."""
    inner: Loss | None = loss
    while inner is not None and not inner.reads_unlabelled:
        inner = inner.base_loss()
    return inner
