"""config.json: Competition (light: what blend and submit need) and Experiment (plugins as specs).

Both are read from the one flat object; a key belongs to the model that has it. Plugins stay specs here, and are
opened by the stage that uses them, so that blending never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kit.kinds import KINDS
from kit.plugin import Plugin


def _named(spec: Any) -> Any:
    return {"name": spec} if isinstance(spec, str) else spec


def _tab(sep: Any) -> Any:
    return "\t" if sep == r"\t" else sep  # as a shell hands it over


Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Spec = Annotated[dict[str, Any], BeforeValidator(_named)]
Specs = Annotated[tuple[Spec, ...] | Spec | None, BeforeValidator(_named)]  # none, one or several


def _spec(name: str, **options: Any) -> Any:
    return Field(default_factory=lambda: {"name": name, **options})


class Strict(BaseModel):
    """A part of the config: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Strict):
    """Where the rows, the labels and the images are; paths are relative to the workspace."""

    train: str = Field(
        "data/train.csv", description="the labelled rows: a CSV, or a folder with a folder a class"
    )
    test: str | None = Field(None, description="the rows to predict, a CSV; by default the sample's ids")
    sample: str | None = Field("data/sample_submission.csv", description="the sample submission")
    id: str = Field(
        "id", description="column that names a row; where a row has several images, a name for the row"
    )
    label: str | None = Field(
        "label",
        description="the label's column, or a pattern such as {file}_{gender}_{age}; null: each class has a column of "
        "0 and 1 (as data.classes lists them, else the sample's columns), and a row may be of several",
    )
    label_separator: Annotated[str | None, BeforeValidator(_tab)] = Field(
        None, min_length=1, description="what separates a row's labels in their cell; null: one label a row"
    )
    images: str = Field(
        "data/images/{id}",
        description="path of a row's image, columns in braces; without an ending the known ones are tried; "
        "ending in /* every image of the folder is a row",
    )
    test_images: str | None = Field(None, description="the same for test rows, where it differs")
    extensions: tuple[str, ...] = Field(
        (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
        description="endings tried, in this order, where `images` has none",
    )
    group: str | None = Field(
        None,
        description="column, or pattern such as {prefix}, whose equal values must share a fold (a person, an object); "
        "auto: near copies, by groups.csv",
    )
    average_group: str | None = Field(
        None, description="test column: predictions of equal values are averaged, a fold's rows in memory"
    )
    classes: str | None = Field(None, description="CSV whose first column lists the classes in order")
    class_groups: str | None = Field(
        None, description="column of data.classes that names each class's group of look-alikes"
    )
    label_factors: tuple[str, ...] = Field(
        (), description="columns of data.classes, else parts of `label`, whose values make up a class"
    )
    file_labels: dict[str, str] = Field(
        {}, description="for {file} in `label`: word by pattern of the file's stem"
    )
    bins: dict[str, tuple[float, ...]] = Field(
        {}, description="for {column} in `label`: inner edges of number ranges"
    )
    rename: dict[str, str] = Field({}, description="made label -> the label that the submission wants")
    sep: Annotated[str, BeforeValidator(_tab)] = Field(
        ",", min_length=1, max_length=1, description="what separates a CSV's fields"
    )
    encoding: str = Field("utf-8", description="the CSVs' encoding")
    max_pixels: int = Field(100_000_000, gt=0, description="images that claim more pixels are refused")
    bit_depth: Literal[8, 16, 32] = Field(
        8,
        description="bits a channel of the deepest images; 16, or 32 for floats, are brought to 8 by max_value",
    )
    max_value: float | None = Field(
        None, gt=0, description="value of white in images of more than 8 bits; by default 65535, of floats 1"
    )
    page: int | None = Field(
        None, ge=0, description="which page of a multi-page TIFF is the image; null: such files are refused"
    )
    decode: Literal["reduced", "whole"] = Field(
        "whole",
        description="reduced: JPEGs at least twice the cache's size at 1/2, 1/4 or 1/8, faster, other pixels",
    )
    alpha_fill: str = Field("white", description="colour under transparent pixels, as Pillow names colours")
    follow_symlinks: bool = Field(False, description="allow links that leave the image folder")
    bad_train: Literal["stop", "drop"] = Field("stop", description="what unreadable training images do")
    bad_test: Literal["stop", "prior"] = Field("stop", description="what unreadable test images do")

    @property
    def is_multi_label(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.label is None or self.label_separator is not None


class Competition(Strict):
    """What does not change from one experiment to the next."""

    data: Data = Data()
    metric: Spec = _spec("macro_f1")
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
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        32,
        description="rows of one optimizer step; auto: the most that fit, with optimizer.lr scaled from 32",
    )
    micro_batch_size: int | None = Field(None, ge=1, description="rows at a time, gradients are accumulated")
    clip_grad_norm: float | None = Field(None, gt=0, description="largest gradient norm")
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

    def rows_of_a_step(self, unknown: int = 32) -> int:
        """`batch_size`, or a number in its place where it is "auto" and not measured yet."""
        return unknown if self.batch_size == "auto" else self.batch_size

    def images_at_a_time(self, unknown: int = 32) -> int:
        """What is in memory at once: `micro_batch_size`, else the batch."""
        rows = self.rows_of_a_step(unknown)
        return min(rows, self.micro_batch_size or rows)

    def open(self, kind: str, root: Path | None = None) -> Plugin:
        """The plugin of a kind, opened with the workspace's own. Raises PluginError and ConfigError."""
        return KINDS[kind].open(getattr(self, kind), root, where=kind)

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
UNIDENTIFYING = frozenset(
    {"device", "workers", "validate_every", "save_every", "save_every_steps", "tracker"}
)


def keys() -> tuple[str, ...]:
    """Every key that config.json may have at its top."""
    return tuple(name for model in SECTIONS for name in model.model_fields)


def split(raw: Mapping[str, Any], model: type[Strict]) -> dict[str, Any]:
    """The keys of config.json's object that belong to a model."""
    return {key: raw[key] for key in raw if key in model.model_fields}
