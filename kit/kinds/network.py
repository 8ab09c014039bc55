"""Kinds of the network: backbone, adapter, pooling, instances, columns and head."""

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


EMBEDDINGS = "embeddings"  # the backbone of runs whose rows are vectors
Outputs = Literal["logits", "cosines", "logits_and_embedding"]  # logits, then unit vectors


DEFAULT_HEAD: dict[Outputs, str] = {"logits": "linear", "cosines": "cosine", "logits_and_embedding": "joint"}


def find_outputs_fault(name: str, value: object) -> str:
    """Returns the error of a constant for the network's outputs; empty if it is one of `Outputs`."""
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
    """A network that loads weights by name, and what its library knows about names in weight files."""

    network: nn.Module
    architecture: str = ""
    # its classifier modules
    classifiers: tuple[str, ...] = ()
    # all names of the library's own network, whose head kit replaces
    names: Callable[[], Collection[str]] = tuple
    # converts weight files of the network's authors
    convert: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class CachedVectors:
    """Embedded runs, such as `bare@hflip`, whose vectors replace images."""

    runs: tuple[str, ...]
    standardise: bool


class Backbone(Plugin):
    """Builds the network that turns images into features."""

    kind: ClassVar[str] = "backbone"
    home: Path | None = bound_field(None)  # the workspace, which relative paths in options start from
    channels: int = bound_field(3)  # of an image: from the config
    weights: str | None = Field(
        None,
        description="start from a weights file, a Hugging Face folder or a run of kit, relative to the workspace",
    )

    def build(self) -> nn.Module:
        """Returns a module from float (N, channels, H, W) to a feature map (N, C, h, w) or tokens (N, T, C).

        If it has a method `set_grad_checkpointing(enable)`, as networks of timm do, `gradient_checkpointing` calls it.
        """
        raise NotImplementedError

    def cached_vectors(self) -> CachedVectors | None:
        """Returns the vectors that replace images; None if it reads images. With vectors `build` raises."""
        return None

    def in_workspace(self, home: Path | None) -> Self:
        """Returns the same recipe in a workspace, which relative paths in options start from."""
        return self.model_copy(update={"home": home})

    def without_pretrained(self) -> Self:
        """Returns the same recipe without pretrained weights, for a network whose weights come from a checkpoint."""
        return self.model_copy(update={"weights": None}) if self.initial_weights() else self

    def initial_weights(self) -> Path | None:
        """Returns the file of weights that kit loads into the network, or None.

        A backbone with an option `weights` loads it itself, in `build`.
        """
        own = any("weights" in vars(base).get("__annotations__", {}) for base in _below(type(self), Backbone))
        return None if own or not self.weights else (self.home or Path()) / Path(self.weights).expanduser()

    def original(self, built: nn.Module) -> Original:
        """Returns the result of `build` with the names of weight files.

        A backbone around a library's network returns that network.
        """
        return Original(built, self.plugin_name())

    def input_files(self) -> tuple[Path, ...]:
        path = self.initial_weights()
        return (path,) if path else ()

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Returns mean and standard deviation per colour, for pixels from 0 to 1, that the weights expect."""
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns the normalisation of each channel.

        If there are not three channels, the colours' values are repeated in turn.

        timm repeats the colours of a pretrained stem in the same way
        (timm.models._manipulate.adapt_input_conv).
        """
        mean, deviation = self.normalisation()
        turns = [channel % 3 for channel in range(self.channels)]
        return tuple(mean[turn] for turn in turns), tuple(deviation[turn] for turn in turns)

    def input_size(self) -> int | None:
        """Returns the only input side that the network takes, in pixels, or None if it takes any."""
        return None


def _below(cls: type, base: type) -> Iterator[type]:
    """Yields a class and its base classes, up to `base`."""
    return takewhile(lambda each: each is not base, cls.__mro__)


class Adapter(Plugin):
    """Selects the few parameters of a pretrained backbone that train."""

    kind: ClassVar[str] = "adapter"

    def adapt(self, backbone: nn.Module) -> Collection[str]:
        """Changes the backbone in place. Returns the names of its weights that train.

        Names are those of `named_parameters()` afterwards. All other weights of the backbone stay as they
        are. A weight may only be changed by torch's parametrizations. Draws come from torch's global
        generator.
        """
        raise NotImplementedError


class Pooling(Plugin):
    """Turns a feature map or tokens into one vector per image."""

    kind: ClassVar[str] = "pooling"

    def build(self) -> nn.Module:
        """Returns a module from (N, C, h, w) or (N, T, C) to (N, C)."""
        raise NotImplementedError


class Instances(Plugin):
    """Turns the vectors of a bag of images into one vector."""

    kind: ClassVar[str] = "instances"
    width: int | None = Field(
        None, ge=1, le=16384, description="width of a linear layer with ReLU that each instance passes first"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before pooling")
    max_instances: int | None = Field(
        None,
        ge=1,
        description="instances of a bag in a training step, others in each epoch; prediction uses all vectors, and "
        "of images as many at even distances",
    )

    def build(self, features: int) -> nn.Module:
        """Returns a module from vectors (N, T, features) and a mask bool (N, T), true for instances, to (N, any)."""
        raise NotImplementedError

    def uses_order(self) -> bool:
        """Whether the order of the instances matters. Default: no."""
        return False


@dataclass(frozen=True)
class ColumnSpan:
    """The position of a column in a row of side values: numbers from `start` to `stop`, then its missing flag.

    The values of a category are its one-hot code. The flag is 1 if the cell is missing. If no training cell
    is missing, the flag is always 0, because its weights would stay random.
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
        """The number of values beside the flag."""
        return self.stop - self.start


@dataclass(frozen=True)
class ColumnLayout:
    """The side columns of a row, in order."""

    spans: tuple[ColumnSpan, ...]

    @property
    def width(self) -> int:
        """The number of values of a row, W."""
        return self.spans[-1].flag + 1 if self.spans else 0

    def column_of_value(self) -> list[int]:
        """Returns the column number of each of the W values."""
        return [number for number, span in enumerate(self.spans) for _ in range(span.width + 1)]

    def blank(self) -> list[float]:
        """Returns the W values of a row with all cells missing."""
        return [
            float(span.has_flag) * (index == span.width)
            for span in self.spans
            for index in range(span.width + 1)
        ]


class Columns(Plugin):
    """Joins a row's side columns, such as age and site, with the vector of its image."""

    kind: ClassVar[str] = "columns"

    drop: float = Field(
        0.1, ge=0, lt=1, description="share of the cells that count as missing while training"
    )

    def build(self, features: int, layout: ColumnLayout) -> nn.Module:
        """Returns a module from (N, features) and side values (N, layout.width) to (N, any number of features)."""
        raise NotImplementedError


class Head(Plugin):
    """Turns an image's vector into one output per class."""

    kind: ClassVar[str] = "head"
    gives: ClassVar[Outputs] = "logits"

    @classmethod
    def find_fault(cls) -> str:
        """Returns the error of `gives`; empty if it is valid."""
        return find_outputs_fault("gives", cls.gives)

    def build(self, features: int, classes: int) -> nn.Module:
        """Returns a module from (N, features) to (N, outputs)."""
        raise NotImplementedError
