"""config.json: Competition (small: only the keys for blend and submit) and Experiment (plugins as specs).

Both are read from the same flat object; each key belongs to one model. Plugins stay specs here, and the stage
that uses them opens them, so that blending never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from kit.config.data_blocks import (
    External,
    JoinedTable,
    LabelFrom,
    LongTable,
    Strict,
    TableFormat,
    TileChoice,
    plugin_name,
)
from kit.config.data_section import Data
from kit.config.specs import respecify
from kit.core.files import StrPath
from kit.kinds.plugin import Plugin

__all__ = [
    "NOT_IN_IDENTITY",
    "SECTIONS",
    "Competition",
    "Data",
    "DecisionRule",
    "Experiment",
    "External",
    "JoinedTable",
    "LabelFrom",
    "LongTable",
    "Stage",
    "Strict",
    "TableFormat",
    "TileChoice",
    "keys",
    "split",
]  # fmt: skip


STAGED = ("augmenter", "sampler", "loss", "scheduler")  # the plugins that a stage may change
OneKind = TypeVar("OneKind", bound=Plugin)
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Spec = Annotated[dict[str, Any], BeforeValidator(plugin_name)]
Specs = Annotated[tuple[Spec, ...] | Spec | None, BeforeValidator(plugin_name)]  # none, one or several


def _spec(name: str, **options: Any) -> Any:
    return Field(default_factory=lambda: {"name": name, **options})


class DecisionRule(Strict):
    """The rule that assigns labels if rows may have several. Scores and the submission use the same rule."""

    threshold: float = Field(0.5, ge=0, le=1, description="minimum probability of a predicted label")
    min_labels: int | None = Field(
        None,
        ge=0,
        description="minimum number of predicted labels per row; null: 0 if a training row has no label, "
        "otherwise 1",
    )
    max_labels: int | None = Field(
        None, ge=1, description="maximum number of predicted labels per row, the most probable ones"
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.max_labels is not None and (self.min_labels or 0) > self.max_labels:
            raise ValueError(f"min_labels is {self.min_labels}, which is more than max_labels")
        return self


class Competition(Strict):
    """The settings that stay the same in all experiments."""

    data: Data = Data()
    metric: Spec = _spec("macro_f1")
    decision: DecisionRule = DecisionRule()
    aggregator: Spec = _spec("mean")
    ensembler: Spec = _spec("mean")
    format: Spec | None = Field(
        None, description="format of the submission; by default inferred from the sample"
    )
    public_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="fraction of the test rows on the public leaderboard, if known",
    )
    cache_folder: str = Field(
        "cache",
        min_length=1,
        description="folder of decoded images, relative to the workspace; the environment's KIT_CACHE replaces it",
    )
    kaggle: str | None = Field(
        None,
        pattern=r"^[\w-]+$",
        description="name of the competition in its Kaggle URL, for uploads and scores",
    )


class Stage(Strict):
    """Some of a run's epochs, and their settings. Settings that are left out are the experiment's."""

    epochs: int | None = Field(
        None, ge=1, description="epochs of this stage; one stage may omit it and gets the remaining epochs"
    )
    image_size: int | None = Field(None, ge=8, le=4096, description="side of the network's input in pixels")
    batch_size: int | None = Field(None, ge=1, description="rows per optimizer step")
    augmenter: Spec | None = Field(None, description="by default as in the experiment")
    sampler: Spec | None = Field(None, description="by default as in the experiment")
    loss: Spec | None = Field(
        None, description="with as many outputs as the loss of the experiment, and of the same kind"
    )
    scheduler: Spec | None = Field(
        None, description="schedule of this stage alone; by default the schedule of the experiment continues"
    )
    lr_scale: float = Field(1.0, gt=0, description="factor of the learning rate")
    freeze: tuple[str, ...] = Field(
        (), description="frozen parts: backbone, pooling, columns, head, or a module inside them"
    )


class Statistics(Strict):
    """Mean and standard deviation of each channel, of pixels from 0 to 1."""

    mean: tuple[float, ...] = Field(min_length=1, description="mean of each channel")
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, description="standard deviation of each channel"
    )


class Experiment(Strict):
    """One experiment's hyperparameters; plugins are specs, `{"name": ..., options}`."""

    seed: int = Field(0, ge=0, description="seed of all random draws except the folds")
    split_seed: int = Field(
        0, ge=0, description="seed of the folds, so that members with other seeds share folds"
    )
    splitter: Spec = _spec("stratified_kfold")
    sampler: Spec = _spec("shuffled")
    augmenter: Spec = _spec("light")
    backbone: Spec = _spec("timm")
    adapter: Spec | None = Field(
        None, description="trains few parameters of a pretrained backbone; by default all weights are trained"
    )
    pooling: Spec = _spec("average")
    instances: Spec | None = Field(
        None,
        description="how the vectors of a bag, the images of one data.answer, become one vector; "
        "null: a row is an image",
    )
    columns: Spec | None = Field(
        None,
        description="joins data.columns with the image's features: mlp, concat, film, gated; null: images alone",
    )
    head: Spec | None = Field(None, description="by default the head that the loss needs")
    loss: Spec = _spec("cross_entropy")
    optimizer: Spec = _spec("adamw")
    scheduler: Spec = _spec("cosine")
    image_size: int = Field(224, ge=8, le=4096, description="side of the network's input in pixels")
    channels: int = Field(
        3, ge=1, le=512, description="channels of the network's input; an image of another number is refused"
    )
    normalisation: Literal["auto", "backbone", "measured"] | Statistics = Field(
        "auto",
        description="mean and deviation of the channels: the backbone's, those measured on each fold's training "
        "rows, or given ones; auto: measured unless images have three channels",
    )
    cache_size: int | None = Field(
        None,
        ge=8,
        le=8192,
        description="short side of cached images in pixels; by default 1.25 times image_size",
    )
    resize: Literal["short_side", "stretch", "pad"] = Field(
        "short_side", description="how images are resized for the cache"
    )
    center_crop: float = Field(
        1.0, gt=0, le=1, description="fraction of the side that prediction crops at the centre"
    )
    epochs: int = Field(20, ge=1)
    stages: tuple[Stage, ...] = Field(
        (),
        description="stages that differ in image size, augmentation or frozen parts; `epochs` is the total",
    )
    init_from: str | None = Field(
        None, description="run, fold or checkpoint with the same folds, for the initial weights"
    )
    pseudo_labels: str | None = Field(
        None,
        description="folder of kit pseudo-labels: test rows that each fold also trains on, labelled by its own "
        "teachers",
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        32,
        description="rows per optimizer step; auto: the largest batch that fits, with optimizer.lr scaled from 32",
    )
    micro_batch_size: int | None = Field(None, ge=1, description="rows at a time, with accumulated gradients")
    gradient_checkpointing: bool = Field(
        False,
        description="compute the backbone's blocks again in the backward pass: less memory, more time, the same "
        "weights; not part of a run's identity",
    )
    clip_grad_norm: float | None = Field(None, gt=0, description="maximum gradient norm")
    sync_batch_norm: bool = Field(
        False,
        description="batch norm over the rows of all ranks, on GPUs; by default over the rows of each rank",
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="ratio of a layer's learning rate to that of the next layer"
    )
    lr_scales: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description='learning rates of parts as factors of the optimizer\'s lr: {"backbone": 0.1}'
    )
    ema_decay: float = Field(
        0.998, ge=0, lt=1, description="decay of the averaged weights, which are used for prediction; 0 = off"
    )
    swa_start: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="fraction of the epochs after which weights are averaged equally, not by ema_decay",
    )
    precision: Dtype = Field(
        "auto", description="precision of training; auto depends on the device and the network"
    )
    predict_precision: Dtype = Field(
        "auto", description="precision of prediction; auto is the same as precision, if that is set"
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="memory format of images"
    )
    compile: bool = Field(
        False,
        description="use torch.compile in training; kit bench network --compile measures whether it pays off",
    )
    validate_every: int = Field(
        1, ge=1, description="epochs between scores on held-out rows; the last score counts"
    )
    save_every: int = Field(1, ge=1, description="epochs between checkpoints")
    save_every_steps: int | None = Field(
        None, ge=1, description="steps between checkpoints within an epoch, for epochs that take hours"
    )
    save_every_minutes: float | None = Field(
        None, gt=0, description="minutes between checkpoints within an epoch, however many steps they have"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1; not part of a run's identity")
    workers: int | Literal["auto"] = Field(
        "auto", description="number of loader processes; not part of a run's identity"
    )
    tracker: Specs = Field(
        None,
        description="one or a list of services that receive a run's numbers beside log.jsonl; not part "
        "of a run's identity",
    )

    executor: Spec | None = Field(
        None,
        description="where folds are trained and rows predicted in parallel; by default in this process, "
        "one after the other; not part of a run's identity",
    )

    @model_validator(mode="before")
    @classmethod
    def _stages_keep_options(cls, values: Any) -> Any:
        """Gives a stage that names the experiment's own plugin the experiment's options."""
        if not isinstance(values, Mapping) or not isinstance(values.get("stages"), list | tuple):
            return values
        own = {kind: values[kind] for kind in STAGED if kind in values}
        stages = [
            respecify(dict(stage), own)[0] if isinstance(stage, Mapping) else stage
            for stage in values["stages"]
        ]
        return {**values, "stages": stages}

    @model_validator(mode="after")
    def _statistics_of_each_channel(self) -> Self:
        given = self.normalisation
        if isinstance(given, Statistics) and {len(given.mean), len(given.std)} != {self.channels}:
            raise ValueError(
                f"normalisation has {len(given.mean)} means and {len(given.std)} deviations for {self.channels} "
                "channels"
            )
        return self

    @model_validator(mode="after")
    def _stages_fill_the_run(self) -> Self:
        given = [stage.epochs for stage in self.stages]
        known = sum(epochs for epochs in given if epochs is not None)
        if given.count(None) > 1:
            raise ValueError("stages: only one stage may omit its epochs, and gets the remaining epochs")
        if given and (known >= self.epochs if None in given else known != self.epochs):
            raise ValueError(f"the stages have {known} epochs in total, but `epochs` is {self.epochs}")
        return self

    def plan(self) -> list[tuple[Stage, Experiment]]:
        """Returns the stages with their epochs, and the experiment in each; one stage if the config has none."""
        stages = self.stages or (Stage(),)
        left = self.epochs - sum(stage.epochs or 0 for stage in stages)
        whole = [stage.model_copy(update={"epochs": stage.epochs or left}) for stage in stages]
        return [(stage, self.model_copy(update=_differences(stage))) for stage in whole]

    def batch_rows(self, unknown: int = 32) -> int:
        """Returns `batch_size`, or `unknown` if it is "auto" and not measured yet."""
        return unknown if self.batch_size == "auto" else self.batch_size

    def micro_batch_rows(self, unknown: int = 32) -> int:
        """Returns the rows in memory at once: `micro_batch_size`, else the batch."""
        rows = self.batch_rows(unknown)
        return min(rows, self.micro_batch_size or rows)

    def open(self, base: type[OneKind], root: StrPath | None = None, where: str = "") -> OneKind:
        """Returns the plugin of a kind, such as `Loss`, opened with the workspace's own plugins.

        `where` is the config key that errors name, by default the kind's. Raises PluginError and ConfigError.
        """
        return base.open(getattr(self, base.kind), root, where=where or base.kind)

    def trackers(self) -> tuple[dict[str, Any], ...]:
        """Returns the specs of the trackers."""
        if self.tracker is None:
            return ()
        return (self.tracker,) if isinstance(self.tracker, dict) else self.tracker


def _differences(stage: Stage) -> dict[str, Any]:
    """Returns the experiment's keys that a stage sets."""
    names = ("epochs", "image_size", "batch_size", "augmenter", "sampler", "loss", "scheduler")
    return {name: getattr(stage, name) for name in names if getattr(stage, name) is not None}


SECTIONS: tuple[type[Strict], ...] = (Competition, Experiment)
# keys that do not change an experiment
NOT_IN_IDENTITY = frozenset(
    {
        *("device", "workers", "validate_every", "tracker", "executor", "gradient_checkpointing"),
        *("save_every", "save_every_steps", "save_every_minutes"),
    }
)


def keys() -> tuple[str, ...]:
    """Returns every key that config.json may have at its top."""
    return tuple(name for model in SECTIONS for name in model.model_fields)


def split(raw: Mapping[str, Any], model: type[Strict]) -> dict[str, Any]:
    """Returns the keys of config.json's object that belong to a model."""
    return {key: raw[key] for key in raw if key in model.model_fields}
