"""Kinds of prediction: views, metric, ensembler and submission format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kit.kinds.decision import Decision
from kit.kinds.plugin import Plugin, bound_field
from kit.kinds.score_context import ScoreContext, Wanted
from kit.kinds.targets import ONE_CLASS, Target

if TYPE_CHECKING:
    import pandas as pd

    from kit.core.arrays import Probabilities, Targets
    from kit.data.predictions import Predictions


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
    decision: Decision = bound_field(Decision())  # which labels a row is given where it may have several
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # the lowest and highest possible score
    wants: ClassVar[tuple[Wanted, ...]] = ()  # what `context` must hold
    context: ScoreContext = bound_field(ScoreContext())  # what is known of the classes and of the scored rows
    home: Path | None = bound_field(None)  # the workspace, where options that are relative paths begin

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        """The score of probabilities (N, K) for class numbers (N,), or for multi-hot truth (N, K)."""
        raise NotImplementedError

    def check_context(self) -> None:
        """Raises ConfigError C47 if the options do not fit `context.classes`; kit calls it before training."""
        for inner in self.inner_plugins():
            if isinstance(inner, Metric):
                inner.check_context()

    def all_wants(self) -> frozenset[Wanted]:
        """What it and the metrics nested in it want to know."""
        inner = [one.all_wants() for one in self.inner_plugins() if isinstance(one, Metric)]
        return frozenset(self.wants).union(*inner)

    def excluded_shortcuts(self) -> tuple[type, ...]:
        """Protocols of kit.kinds.metric_shortcuts that its options rule out although it has their methods."""
        return ()


class Ensembler(Plugin):
    """Blends the predictions of several members."""

    kind: ClassVar[str] = "ensembler"
    fitted: ClassVar[bool] = False  # True: fit learns from the truth, so its scores are cross-fitted
    sums_to_one: ClassVar[bool] = True  # False: rows are no distributions, because columns keep their order
    target: Target = bound_field(ONE_CLASS)  # what the rows that are blended are
    decision: Decision = bound_field(Decision())  # the labels that a multi-label row is given by the blend

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels: then each class is a question of its own."""
        return self.target.multi_label

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        """The ensembler fitted on out-of-fold probabilities (M, N, K) and truth (N,) or (N, K). Default: self."""
        return self

    def blend(self, members: Probabilities) -> Probabilities:
        """Probabilities (M, N, K) of M members as one set (N, K).

        Rows sum to 1 if those of `target` do, unless `sums_to_one` is False.
        """
        raise NotImplementedError

    def gives_distributions(self) -> bool:
        """Whether each row of a blend sums to 1; a recipe with another one within asks that one too."""
        values = [getattr(self, name) for name in self.option_fields()]
        inner = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
        nested = [one for one in inner if isinstance(one, Ensembler)]
        own = self.sums_to_one and self.target.sums_to_one
        return own and all(one.gives_distributions() for one in nested)

    def needs_fit(self) -> bool:
        """Whether its options, or those of a recipe within, are fitted on out-of-fold rows."""
        return self.fitted

    def row_columns(self) -> tuple[str, ...]:
        """Columns of the training table and of the test table that `finish` reads; none: it has no such rule."""
        return ()

    def finish(self, blended: Probabilities, context: ScoreContext) -> Probabilities:
        """Final rows (N, K), after the mean over folds, by a rule for rows that belong together. Default: as they are.

        `context.columns` has the values of `row_columns` for the N rows.
        """
        return blended

    def blend_rows(self, members: Probabilities) -> Probabilities:
        """The blend (N, K) of rows whose columns are known, by `blend` and `finish`."""
        context, blended = self.row_context(), self.blend(members)
        return blended if context is None else self.finish(blended, context)

    def find_used(self, count: int) -> tuple[int, ...]:
        """The places, of `count` members, of those that the blend depends on: all, unless some have no weight."""
        return tuple(range(count))

    def restrict(self, places: Sequence[int]) -> Self:
        """The fitted recipe for the members at these places alone, ascending; the same blend if they have all used."""
        return self

    def normalise(self, blended: Probabilities) -> Probabilities:
        """Rows (N, K) brought to sum 1 if the rows that are blended are distributions."""
        return self.target.normalise(blended)


class Format(Plugin):
    """Writes predictions as the competition wants them."""

    kind: ClassVar[str] = "format"
    several_rows: ClassVar[bool] = False  # True: an id may have several rows of the sample
    any_count: ClassVar[bool] = False  # True: an id may have more or fewer rows than in the sample
    holds_decisions: ClassVar[bool] = False  # True: `output_of` says which, instead of probabilities
    decision: Decision = bound_field(Decision())  # which labels a row is given where it may have several

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        """Whether the sample submission (all cells text, the id first) has this format."""
        raise NotImplementedError

    def ids(self, sample: pd.DataFrame, classes: Sequence[str]) -> list[str]:
        """For each row of a sample the id of the answer that it is a part of; by default its first cell.

        The different ids, in this order, are the rows to predict.
        """
        return list(map(str, sample.iloc[:, 0]))

    def empty_cells(self) -> tuple[str, ...]:
        """Cells that look like missing ones and are meant, such as an empty one for no label."""
        return ()

    def output_of(self, probabilities: Probabilities) -> Probabilities:
        """What the file holds of rows (N, K), as probabilities: by default those, of decisions 0 and 1."""
        return probabilities

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        """Rows of a submission, by position, that are not of this format, and why; None: `matches` finds them."""
        return None

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        """The submission, with the sample's columns, ids and order. All cells are text."""
        raise NotImplementedError
