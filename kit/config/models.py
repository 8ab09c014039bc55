"""config.json: Competition (light: what blend and submit need) and Experiment (plugins as specs).

Both are read from the one flat object; a key belongs to the model that has it. Plugins stay specs here, and are
opened by the stage that uses them, so that blending never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from kit.config.data_section import Data, Strict
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
    "Stage",
    "Strict",
    "keys",
    "split",
]  # fmt: skip


def _plugin_name(spec: Any) -> Any:
    return {"name": spec} if isinstance(spec, str) else spec


STAGED = ("augmenter", "sampler", "loss", "scheduler")  # the plugins that a stage may change
OneKind = TypeVar("OneKind", bound=Plugin)
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Spec = Annotated[dict[str, Any], BeforeValidator(_plugin_name)]
Specs = Annotated[tuple[Spec, ...] | Spec | None, BeforeValidator(_plugin_name)]  # none, one or several


def _spec(name: str, **options: Any) -> Any:
    return Field(default_factory=lambda: {"name": name, **options})


class DecisionRule(Strict):
    """Which labels a row is given, if rows may have several: scores and the submission use the same rule."""

    threshold: float = Field(0.5, ge=0, le=1, description="probability from which a row is given a label")
    min_labels: int | None = Field(
        None,
        ge=0,
        description="labels that a row is given at least, the most probable ones; null: 0 if a training row has no "
        "label, else 1",
    )


class Competition(Strict):
    """What does not change from one experiment to the next."""

    data: Data = Data()
    metric: Spec = _spec("macro_f1")
    decision: DecisionRule = DecisionRule()
    ensembler: Spec = _spec("mean")
    format: Spec | None = Field(None, description="the submission's format; by default the sample decides")
    public_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the test rows that the public leaderboard scores, where it is known",
    )
    kaggle: str | None = Field(
        None, pattern=r"^[\w-]+$", description="the competition's name in its address, for the upload command"
    )


class Stage(Strict):
    """Some of a run's epochs, and what is different in them; what is left out is the experiment's."""

    epochs: int | None = Field(
        None, ge=1, description="of this stage; one stage may take what the others leave"
    )
    image_size: int | None = Field(None, ge=8, le=4096, description="side of the network's input, pixels")
    batch_size: int | None = Field(None, ge=1, description="rows of one optimizer step")
    augmenter: Spec | None = Field(None, description="by default the experiment's")
    sampler: Spec | None = Field(None, description="by default the experiment's")
    loss: Spec | None = Field(
        None, description="of as many outputs as the experiment's, and of the same kind"
    )
    scheduler: Spec | None = Field(
        None, description="runs over this stage; by default the experiment's goes on"
    )
    lr_scale: float = Field(1.0, gt=0, description="the learning rate is multiplied by it")
    freeze: tuple[str, ...] = Field(
        (), description="parts that do not learn: backbone, pooling, head, or one within"
    )


class Experiment(Strict):
    """One experiment's hyperparameters; plugins are specs, `{"name": ..., options}`."""

    seed: int = Field(0, ge=0, description="of every draw but the folds'")
    split_seed: int = Field(0, ge=0, description="of the folds, so that members of other seeds share them")
    splitter: Spec = _spec("stratified_kfold")
    sampler: Spec = _spec("shuffled")
    augmenter: Spec = _spec("light")
    backbone: Spec = _spec("timm")
    pooling: Spec = _spec("average")
    head: Spec | None = Field(None, description="by default the one that the loss names")
    loss: Spec = _spec("cross_entropy")
    optimizer: Spec = _spec("adamw")
    scheduler: Spec = _spec("cosine")
    image_size: int = Field(224, ge=8, le=4096, description="side of the network's input, pixels")
    cache_size: int | None = Field(
        None, ge=8, le=8192, description="short side in the cache; 1.25 times image_size"
    )
    resize: Literal["short_side", "squash", "pad"] = Field(
        "short_side", description="how images enter the cache"
    )
    crop_share: float = Field(
        1.0, gt=0, le=1, description="share of the side that prediction crops, at the centre"
    )
    epochs: int = Field(20, ge=1)
    stages: tuple[Stage, ...] = Field(
        (), description="parts of the run that differ in size, augmentation, frozen parts; `epochs` is of all"
    )
    start_from: str | None = Field(
        None, description="a run, fold or checkpoint of the same folds, whose weights the folds begin with"
    )
    pseudo: str | None = Field(
        None,
        description="a folder of kit pseudo: test rows that each fold trains on too, by its own teachers",
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        32,
        description="rows of one optimizer step; auto: the most that fit, with optimizer.lr scaled from 32",
    )
    micro_batch_size: int | None = Field(None, ge=1, description="rows at a time, gradients are accumulated")
    clip_grad_norm: float | None = Field(None, gt=0, description="largest gradient norm")
    sync_batch_norm: bool = Field(
        False, description="batch norm over the rows of all ranks, on GPUs; by default each rank's own"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of a layer, times that of the one above it"
    )
    lr_scales: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description='learning rate of parts, times the optimizer\'s: {"backbone": 0.1}'
    )
    ema_decay: float = Field(0.998, ge=0, lt=1, description="of the averaged weights, which predict; 0 = off")
    swa_start: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of the epochs after which weights are averaged equally, not by ema_decay",
    )
    precision: Dtype = Field("auto", description="of training; auto follows the device and the network")
    predict_precision: Dtype = Field("auto", description="of predicting; auto likewise, or as precision says")
    layout: Literal["auto", "contiguous", "channels_last"] = Field("auto", description="of images in memory")
    compile: bool = Field(
        False,
        description="torch.compile in training, where kit bench network --compile says that it pays off",
    )
    validate_every: int = Field(
        1, ge=1, description="epochs between scores on held-out rows; the last counts"
    )
    save_every: int = Field(1, ge=1, description="epochs between checkpoints")
    save_every_steps: int | None = Field(
        None, ge=1, description="steps between checkpoints within an epoch, for epochs of hours"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1; no part of a run's identity")
    workers: int | Literal["auto"] = Field(
        "auto", description="loader processes; no part of a run's identity"
    )
    tracker: Specs = Field(
        None,
        description="one or a list, where a run's numbers are shown beside log.jsonl; no part of its identity",
    )

    executor: Spec | None = Field(
        None,
        description="where folds are trained and rows predicted, several at a time; by default here, in turn; "
        "no part of a run's identity",
    )

    @model_validator(mode="before")
    @classmethod
    def _stages_keep_options(cls, values: Any) -> Any:
        """A stage that names the experiment's own plugin means it with its options."""
        if not isinstance(values, Mapping) or not isinstance(values.get("stages"), list | tuple):
            return values
        own = {kind: values[kind] for kind in STAGED if kind in values}
        stages = [
            respecify(dict(stage), own)[0] if isinstance(stage, Mapping) else stage
            for stage in values["stages"]
        ]
        return {**values, "stages": stages}

    @model_validator(mode="after")
    def _stages_fill_the_run(self) -> Self:
        given = [stage.epochs for stage in self.stages]
        known = sum(epochs for epochs in given if epochs is not None)
        if given.count(None) > 1:
            raise ValueError("stages: only one may leave out its epochs, and takes those that are left")
        if given and (known >= self.epochs if None in given else known != self.epochs):
            raise ValueError(f"stages name {known} epochs, `epochs` is {self.epochs}")
        return self

    def plan(self) -> list[tuple[Stage, Experiment]]:
        """The stages with their epochs, and what the experiment is in each; one stage where none are named."""
        named = self.stages or (Stage(),)
        left = self.epochs - sum(stage.epochs or 0 for stage in named)
        whole = [stage.model_copy(update={"epochs": stage.epochs or left}) for stage in named]
        return [(stage, self.model_copy(update=_differences(stage))) for stage in whole]

    def batch_rows(self, unknown: int = 32) -> int:
        """`batch_size`, or a number in its place where it is "auto" and not measured yet."""
        return unknown if self.batch_size == "auto" else self.batch_size

    def micro_batch_rows(self, unknown: int = 32) -> int:
        """What is in memory at once: `micro_batch_size`, else the batch."""
        rows = self.batch_rows(unknown)
        return min(rows, self.micro_batch_size or rows)

    def open(self, base: type[OneKind], root: StrPath | None = None, where: str = "") -> OneKind:
        """The plugin of a kind, such as `Loss`, opened with the workspace's own.

        `where` is the config key that errors name, by default the kind's. Raises PluginError and ConfigError.
        """
        return base.open(getattr(self, base.kind), root, where=where or base.kind)

    def trackers(self) -> tuple[dict[str, Any], ...]:
        """The specs of the trackers, none or several."""
        if self.tracker is None:
            return ()
        return (self.tracker,) if isinstance(self.tracker, dict) else self.tracker


def _differences(stage: Stage) -> dict[str, Any]:
    """The experiment's keys that a stage sets."""
    names = ("epochs", "image_size", "batch_size", "augmenter", "sampler", "loss", "scheduler")
    return {name: getattr(stage, name) for name in names if getattr(stage, name) is not None}


SECTIONS: tuple[type[Strict], ...] = (Competition, Experiment)
# keys that do not make another experiment
NOT_IN_IDENTITY = frozenset(
    {"device", "workers", "validate_every", "save_every", "save_every_steps", "tracker", "executor"}
)


def keys() -> tuple[str, ...]:
    """Every key that config.json may have at its top."""
    return tuple(name for model in SECTIONS for name in model.model_fields)


def split(raw: Mapping[str, Any], model: type[Strict]) -> dict[str, Any]:
    """The keys of config.json's object that belong to a model."""
    return {key: raw[key] for key in raw if key in model.model_fields}
