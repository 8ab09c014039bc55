"""Kinds of the network: backbone, pooling, instances, side columns and head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

from pydantic import Field

from kit.errors import did_you_mean
from kit.kinds.plugin import Plugin, bound_field

if TYPE_CHECKING:
    from torch import nn


EMBEDDINGS = "embeddings"  # the backbone in whose runs rows are vectors
Outputs = Literal["logits", "cosines", "logits_and_embedding"]  # logits, then unit vectors


DEFAULT_HEAD: dict[Outputs, str] = {"logits": "linear", "cosines": "cosine", "logits_and_embedding": "joint"}


def find_outputs_fault(name: str, value: object) -> str:
    """What is wrong with a constant that says what a network gives; empty if it is one of `Outputs`."""
    known = get_args(Outputs)
    if value in known:
        return ""
    means = next(
        (f"; head {value!r} gives {outputs!r}" for outputs, head in DEFAULT_HEAD.items() if head == value), ""
    )
    near = means or did_you_mean(str(value), known)
    return f"{name} = {value!r} is not one of {', '.join(map(repr, known))}{near}"


@dataclass(frozen=True)
class Original:
    """A network that takes weights by name, and what its library knows of its weights beyond its own names."""

    network: nn.Module
    architecture: str = ""
    # the modules that it classifies by
    classifiers: tuple[str, ...] = ()
    # all names of the library's own network, whose head kit replaces
    names: Callable[[], Collection[str]] = tuple
    # converts files of the network's authors
    convert: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class CachedVectors:
    """Embedded runs, such as `bare@hflip`, whose vectors take the place of images."""

    runs: tuple[str, ...]
    standardise: bool


class Backbone(Plugin):
    """Builds the network that turns images into features."""

    kind: ClassVar[str] = "backbone"
    home: Path | None = bound_field(None)  # the workspace, where options that are relative paths begin
    channels: int = bound_field(3)  # of an image: the config's
    weights: str | None = Field(
        None,
        description="start from a weights file, a Hugging Face folder or a run of kit, relative to the workspace",
    )

    def build(self) -> nn.Module:
        """A module from float (N, channels, H, W) to a feature map (N, C, h, w) or tokens (N, T, C)."""
        raise NotImplementedError

    def cached_vectors(self) -> CachedVectors | None:
        """The vectors that take the place of images; None if it reads images. With vectors `build` raises."""
        return None

    def in_workspace(self, home: Path | None) -> Self:
        """The same recipe, in a workspace: options that are relative paths begin there."""
        return self.model_copy(update={"home": home})

    def without_pretrained(self) -> Self:
        """The same recipe without starting weights, for a network whose weights come from a checkpoint."""
        return self.model_copy(update={"weights": None}) if self.initial_weights() else self

    def initial_weights(self) -> Path | None:
        """Where the weights are that kit puts into the network, or None.

        A backbone that declares an option `weights` itself loads it itself, in `build`.
        """
        own = any("weights" in vars(each).get("__annotations__", {}) for each in _below(type(self), Backbone))
        return None if own or not self.weights else (self.home or Path()) / Path(self.weights).expanduser()

    def original(self, built: nn.Module) -> Original:
        """What `build` gave, as the weights of files are named. A backbone around a library's network names that."""
        return Original(built, self.plugin_name())

    def input_files(self) -> tuple[Path, ...]:
        path = self.initial_weights()
        return (path,) if path else ()

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation per colour, for pixels from 0 to 1, that the weights expect."""
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The normalisation of each channel: of other than three channels, the colours' in turn.

        timm repeats the colours of a pretrained stem likewise (timm.models._manipulate.adapt_input_conv).
        """
        mean, deviation = self.normalisation()
        turns = [channel % 3 for channel in range(self.channels)]
        return tuple(mean[turn] for turn in turns), tuple(deviation[turn] for turn in turns)

    def input_size(self) -> int | None:
        """The only input side the network takes, in pixels, or None if it takes any."""
        return None


def _below(cls: type, base: type) -> Iterator[type]:
    """A class and those that it is derived from, up to a base."""
    return takewhile(lambda each: each is not base, cls.__mro__)


class Adapter(Plugin):
    """Says which few numbers of a pretrained backbone train."""

    kind: ClassVar[str] = "adapter"

    def adapt(self, backbone: nn.Module) -> Collection[str]:
        """Changes the backbone in place. Returns the names of those of its weights that train.

        Names are those of `named_parameters()` afterwards; all other weights of the backbone stay as they are. A weight
        may only be changed by torch's parametrizations. Draws come from torch's global generator.
        """
        raise NotImplementedError


class Pooling(Plugin):
    """Turns a feature map or tokens into one vector an image."""

    kind: ClassVar[str] = "pooling"

    def build(self) -> nn.Module:
        """A module from (N, C, h, w) or (N, T, C) to (N, C)."""
        raise NotImplementedError


class Instances(Plugin):
    """Turns the vectors of a bag of images into one vector."""

    kind: ClassVar[str] = "instances"
    width: int | None = Field(
        None, ge=1, le=16384, description="width of a linear layer with ReLU that each instance passes first"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the values dropped before pooling in training"
    )
    max_instances: int | None = Field(
        None,
        ge=1,
        description="instances of a bag in a training step, others in each epoch; prediction uses all",
    )

    def build(self, features: int) -> nn.Module:
        """A module from vectors (N, T, features) and a mask bool (N, T), true for instances, to (N, any)."""
        raise NotImplementedError

    def uses_order(self) -> bool:
        """Whether the order of the instances matters. Default: it does not."""
        return False


@dataclass(frozen=True)
class ColumnSpan:
    """Where a column stands in a row of side values: numbers from `start` to `stop`, then its missing flag.

    The values of a category are its one-hot code. The flag is 1 if the cell is missing, and always 0 if training
    shows no missing cell, as its weights would be random.
    """

    name: str
    kind: str
    start: int
    stop: int
    has_flag: bool

    @property
    def flag(self) -> int:
        """The position of the missing flag."""
        return self.stop

    @property
    def width(self) -> int:
        """How many values it has beside the flag."""
        return self.stop - self.start


@dataclass(frozen=True)
class ColumnLayout:
    """The side columns of a row, one behind the other."""

    spans: tuple[ColumnSpan, ...]

    @property
    def width(self) -> int:
        """Values of a row, W."""
        return self.spans[-1].flag + 1 if self.spans else 0

    def column_of_value(self) -> list[int]:
        """For each of the W values the number of its column."""
        return [number for number, span in enumerate(self.spans) for _ in range(span.width + 1)]

    def blank(self) -> list[float]:
        """The W values of a row whose cells are all missing."""
        return [
            float(span.has_flag) * (place == span.width)
            for span in self.spans
            for place in range(span.width + 1)
        ]


class Columns(Plugin):
    """Joins a row's side columns, such as age and site, with the vector of its image."""

    kind: ClassVar[str] = "columns"

    drop: float = Field(
        0.1, ge=0, lt=1, description="share of the cells that count as missing while training"
    )

    def build(self, features: int, layout: ColumnLayout) -> nn.Module:
        """A module from (N, features) and side values (N, layout.width) to (N, any number of features)."""
        raise NotImplementedError


class Head(Plugin):
    """Turns an image's vector into one output a class."""

    kind: ClassVar[str] = "head"
    gives: ClassVar[Outputs] = "logits"

    @classmethod
    def find_fault(cls) -> str:
        """What is wrong with `gives`."""
        return find_outputs_fault("gives", cls.gives)

    def build(self, features: int, classes: int) -> nn.Module:
        """A module from (N, features) to (N, outputs)."""
        raise NotImplementedError
