"""The kinds of plugin: one base class a kind, whose one method is the plugin's work.

One word a kind everywhere: the folder, the config key, the entry-point group. Shapes: N rows, K classes, M members,
H and W pixels, C channels, T tokens. Labels and truth are class numbers (N,), or multi-hot (N, K) for plugins whose
`label_kinds` say so: then a row may have several labels, or none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from kit.kinds.classes import Classes, LabelKind
from kit.kinds.decision import Decision
from kit.kinds.executor import Ended, Executor, Function, Said, Told
from kit.kinds.plugin import Plugin, is_known, known
from kit.kinds.retrieval import Neighbours, Reranker, Scorer
from kit.kinds.tracker import Log, Tracked, Tracker

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from kit.data.predictions import Predictions
    from kit.data.table import Table

__all__ = [
    "KINDS", "Augmenter", "Backbone", "Classes", "Ended", "Ensembler", "Executor", "Format", "Function", "Head",
    "LabelKind", "Log", "Loss", "Metric", "Neighbours", "Optimizer", "Outputs", "Plugin", "Pooling", "Reranker",
    "Said", "Sampler", "Scheduler", "Scorer", "Splitter", "Told", "Tracked", "Tracker", "Views", "known",
]  # fmt: skip

Outputs = Literal["logits", "cosines", "joint"]  # joint: logits, then unit vectors
HEADS: dict[Outputs, str] = {"logits": "linear", "cosines": "cosine", "joint": "joint"}


# --------------------------------------------------------------------------------------------- data


class Splitter(Plugin):
    """Says which rows each fold holds out."""

    kind: ClassVar[str] = "splitter"
    needs_groups: ClassVar[bool] = False
    holds_out: ClassVar[bool] = True  # False: every row is -1, and one model trains on all

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        """Fold numbers, int64 of shape (rows, repeats). -1 means never held out. Rows are sorted by id.

        Numbers run from 0 over all repeats, so that each number names one model.
        """
        raise NotImplementedError

    def train_rows(self, folds: np.ndarray, fold: int) -> np.ndarray:
        """The training rows of a fold's model, bool of shape (rows,). Default: all rows that it does not hold out."""
        return (folds != fold).all(axis=1)

    def asks_for_groups(self) -> bool:
        """Whether it cannot do without the competition's groups; a splitter around another one asks that one."""
        return self.needs_groups


class Sampler(Plugin):
    """Says which rows an epoch sees, in which order."""

    kind: ClassVar[str] = "sampler"

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Indices into `labels` (N,) or (N, K), int64 of shape (rows of one epoch,), in training order."""
        raise NotImplementedError


class Augmenter(Plugin):
    """Turns a training image into a variant of itself."""

    kind: ClassVar[str] = "augmenter"

    def __call__(self, image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """uint8 RGB of shape (height, width, 3) to uint8 RGB of shape (size, size, 3)."""
        raise NotImplementedError


# ------------------------------------------------------------------------------------------ network


class Backbone(Plugin):
    """Builds the network that turns images into features."""

    kind: ClassVar[str] = "backbone"
    home: Path | None = known(None)  # the workspace, where options that are relative paths begin

    def build(self) -> nn.Module:
        """A module from float (N, 3, H, W) to a feature map (N, C, h, w) or tokens (N, T, C)."""
        raise NotImplementedError

    def within(self, home: Path | None) -> Self:
        """The same recipe, in a workspace: options that are relative paths begin there."""
        return self.model_copy(update={"home": home})

    def bare(self) -> Self:
        """The same recipe without starting weights, for a network whose weights come from a checkpoint."""
        return self

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation per channel, for pixels from 0 to 1, that the weights expect."""
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def fixed_size(self) -> int | None:
        """The only input side the network takes, in pixels, or None if it takes any."""
        return None


class Pooling(Plugin):
    """Turns a feature map or tokens into one vector an image."""

    kind: ClassVar[str] = "pooling"

    def build(self) -> nn.Module:
        """A module from (N, C, h, w) or (N, T, C) to (N, C)."""
        raise NotImplementedError


class Head(Plugin):
    """Turns an image's vector into one output a class."""

    kind: ClassVar[str] = "head"
    gives: ClassVar[Outputs] = "logits"

    def build(self, features: int, classes: int) -> nn.Module:
        """A module from (N, features) to (N, outputs)."""
        raise NotImplementedError


# ---------------------------------------------------------------------------------------------- fit


class Loss(Plugin):
    """Says how wrong each row is."""

    kind: ClassVar[str] = "loss"
    takes: ClassVar[Outputs] = "logits"
    splittable: ClassVar[bool] = True  # False: it compares rows within the batch, so no micro-batches

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        """Mixes a whole effective batch. `progress` [0, 1) is the part of the run's steps that is done.

        Returns the mixed images, and label sets with shares that sum to 1.
        """
        base = self.nested()
        return base.mix(images, labels, rng, progress) if base else (images, [(1.0, labels)])

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each row (N,), for outputs (N, K) and class numbers (N,) or multi-hot float32 (N, K)."""
        raise NotImplementedError

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Outputs (N, K) as probabilities (N, K). A wrapper calls its base."""
        return base.probabilities(outputs) if (base := self.nested()) else outputs.softmax(dim=1)

    def width(self, classes: int) -> int:
        """How many outputs of the head it takes: one a class, unless it says otherwise; a wrapper asks its base."""
        return base.width(classes) if (base := self.nested()) else classes

    def is_by_class(self) -> bool:
        """Whether output k is that of class k, as a margin needs it; a wrapper asks its base."""
        return (base := self.nested()) is None or base.is_by_class()

    def nested(self) -> Loss | None:
        """The loss that this one wraps, in its field `base`, if any."""
        base = getattr(self, "base", None)
        return base if isinstance(base, Loss) else None

    def outputs(self) -> Outputs:
        """What the network must give: logits, unless the loss says otherwise; a wrapper that does not asks its base."""
        base = None if self.takes != "logits" else self.nested()
        return base.outputs() if base else self.takes

    def head(self) -> str:
        """The head used where the config names none; what takes logits asks its base."""
        base = None if self.takes != "logits" else self.nested()
        return base.head() if base else HEADS[self.takes]

    def can_be_split(self) -> bool:
        """Whether micro-batches leave the loss of a batch as it is."""
        base = self.nested()
        return self.splittable and (base is None or base.can_be_split())

    def bind(self, classes: Classes) -> Self:
        """The same loss, knowing the competition's classes; nested ones are bound too."""
        names = [name for name, field in type(self).model_fields.items() if is_known(field)]
        updates: dict[str, Any] = {name: getattr(classes, name) for name in names}
        base = self.nested()
        return self.model_copy(update={**updates, **({"base": base.bind(classes)} if base else {})})


class Optimizer(Plugin):
    """Moves the weights."""

    kind: ClassVar[str] = "optimizer"

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        """torch's optimizer over named parameters. Each group's `lr` is the peak that the scheduler scales."""
        raise NotImplementedError


class Scheduler(Plugin):
    """Says how the learning rate moves over a run."""

    kind: ClassVar[str] = "scheduler"

    def factor(self, progress: float) -> float:
        """The factor of the peak learning rate after `progress` (0, 1] of the run's steps."""
        raise NotImplementedError


# -------------------------------------------------------------------------------------- predictions


class Views(Plugin):
    """Says from which views of an image predictions are averaged."""

    kind: ClassVar[str] = "views"

    def views(self) -> list[Any]:
        """ttach's transforms. kit applies their product, skips duplicates and merges the probabilities."""
        raise NotImplementedError

    def sizes(self, size: int) -> list[int]:
        """The image sides of the views for an input side, in pixels."""
        return [size]


class Metric(Plugin):
    """Scores predictions against the truth."""

    kind: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    decision: Decision = known(Decision())  # which labels a row is given where it may have several
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # the lowest and highest possible score

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        """The score of probabilities (N, K) for class numbers (N,), or for multi-hot truth (N, K)."""
        raise NotImplementedError


class Ensembler(Plugin):
    """Blends the predictions of several members."""

    kind: ClassVar[str] = "ensembler"
    fitted: ClassVar[bool] = False  # True: fit learns from the truth, so its scores are cross-fitted
    sums_to_one: ClassVar[bool] = True  # False: rows are no distributions, because columns keep their order
    multi_label: bool = known(False)  # then each class is a question of its own, and rows need not sum to 1
    decision: Decision = known(Decision())  # the labels that a multi-label row is given by the blend

    def fit(self, members: np.ndarray, truth: np.ndarray) -> Self:
        """The ensembler fitted on out-of-fold probabilities (M, N, K) and truth (N,) or (N, K). Default: self."""
        return self

    def blend(self, members: np.ndarray) -> np.ndarray:
        """Probabilities (M, N, K) of M members as one set (N, K).

        Rows sum to 1, unless they are multi-label or `sums_to_one` is False.
        """
        raise NotImplementedError

    def gives_distributions(self) -> bool:
        """Whether each row of a blend sums to 1; a recipe with another one within asks that one too."""
        values = [getattr(self, name) for name in self.options()]
        inner = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
        nested = [one for one in inner if isinstance(one, Ensembler)]
        return self.sums_to_one and not self.multi_label and all(one.gives_distributions() for one in nested)

    def find_used(self, count: int) -> tuple[int, ...]:
        """The places, of `count` members, of those that the blend depends on: all, unless some have no weight."""
        return tuple(range(count))

    def restrict(self, places: Sequence[int]) -> Self:
        """The fitted recipe for the members at these places alone, ascending; the same blend if they have all used."""
        return self

    def closed(self, blended: np.ndarray) -> np.ndarray:
        """Rows (N, K) brought to sum 1, or as they are where a row may have several labels."""
        return blended if self.multi_label else blended / blended.sum(axis=1, keepdims=True)


class Format(Plugin):
    """Writes predictions as the competition wants them."""

    kind: ClassVar[str] = "format"
    several_rows: ClassVar[bool] = False  # True: an id may have several rows of the sample
    holds_decisions: ClassVar[bool] = False  # True: `written` says which, instead of probabilities
    decision: Decision = known(Decision())  # which labels a row is given where it may have several

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        """Whether the sample submission (all cells text, the id first) has this format."""
        raise NotImplementedError

    def blanks(self) -> tuple[str, ...]:
        """Cells that look like missing ones and are meant, such as an empty one for no label."""
        return ()

    def written(self, probabilities: np.ndarray) -> np.ndarray:
        """What the file holds of rows (N, K), as probabilities: by default those, of decisions 0 and 1."""
        return probabilities

    def faults(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        """Rows of a submission, by position, that are not of this format, and why; None: `matches` finds them."""
        return None

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        """The submission, with the sample's columns, ids and order. All cells are text."""
        raise NotImplementedError


KINDS: dict[str, type[Plugin]] = {
    base.kind: base
    for base in (
        Splitter, Sampler, Augmenter, Backbone, Pooling, Head, Loss, Optimizer, Scheduler, Views, Metric,
        Ensembler, Format, Tracker, Executor, Scorer, Reranker,
    )
}  # fmt: skip
