"""Stages: the parts of a run, each with its plugins opened and checked against the network's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.config.models import Experiment, OneKind
from kit.config.models import Stage as Section
from kit.errors import ConfigError
from kit.kinds import Augmenter, Classes, Loss, Plugin, Sampler, Scheduler
from kit.kinds.label_kinds import check_takes
from kit.model.network import Parts

SPECS = ("augmenter", "sampler", "loss", "scheduler")  # what a stage may name


@dataclass(frozen=True)
class OpenStage:
    """A stage's share of the config, the experiment as it is in it, and its opened plugins."""

    section: Section
    experiment: Experiment
    sampler: Sampler
    augmenter: Augmenter
    loss: Loss
    scheduler: Scheduler

    @property
    def epochs(self) -> int:
        """Epochs of the stage."""
        return self.experiment.epochs

    def with_batch(self, count: int) -> OpenStage:
        """The same stage, with a number of rows in the place of "auto"."""
        if self.experiment.batch_size != "auto":
            return self
        return replace(self, experiment=self.experiment.model_copy(update={"batch_size": count}))

    def plugins(self) -> list[Plugin]:
        """Every plugin of the stage."""
        return [self.sampler, self.augmenter, self.loss, self.scheduler]

    def resolve_config(self) -> dict[str, Any]:
        """The stage as config.json would have it, with every option of the plugins that it names."""
        named = {kind: getattr(self, kind) for kind in SPECS if getattr(self.section, kind) is not None}
        return {
            **self.section.model_dump(mode="json"),
            **{kind: plugin.model_dump() for kind, plugin in named.items()},
        }


def open_stages(
    experiment: Experiment, root: Path | None, classes: Classes, parts: Parts
) -> tuple[OpenStage, ...]:
    """Every stage of a run, opened.

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
