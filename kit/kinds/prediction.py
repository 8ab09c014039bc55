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
    """Defines the views of an image whose predictions are averaged."""

    kind: ClassVar[str] = "views"

    def views(self) -> list[Any]:
        """Returns ttach's transforms. kit applies their product, skips duplicates and merges the probabilities."""
        raise NotImplementedError

    def sizes(self, size: int) -> list[int]:
        """Returns the image sides of the views for an input side, in pixels."""
        return [size]


class Metric(Plugin):
    """Scores predictions against the truth."""

    kind: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    decision: Decision = bound_field(Decision())  # the rule that assigns labels if a row may have several
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # the lowest and highest possible score
    wants: ClassVar[tuple[Wanted, ...]] = ()  # the information that `context` must hold
    context: ScoreContext = bound_field(ScoreContext())  # information about the classes and the scored rows
    home: Path | None = bound_field(None)  # the workspace, which relative paths in options start from

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        """Returns the score of probabilities (N, K) for class numbers (N,), or for multi-hot truth (N, K)."""
        raise NotImplementedError

    def check_context(self) -> None:
        """Raises ConfigError C47 if the options do not fit `context.classes`; kit calls it before training."""
        for inner in self.inner_plugins():
            if isinstance(inner, Metric):
                inner.check_context()

    def all_wants(self) -> frozenset[Wanted]:
        """Returns the context that it and the metrics nested in it need."""
        inner = [plugin.all_wants() for plugin in self.inner_plugins() if isinstance(plugin, Metric)]
        return frozenset(self.wants).union(*inner)

    def excluded_shortcuts(self) -> tuple[type, ...]:
        """Returns the protocols of kit.kinds.metric_shortcuts that its options rule out although it has their
        methods.
        """
        return ()


class Ensembler(Plugin):
    """Blends the predictions of several members."""

    kind: ClassVar[str] = "ensembler"
    fitted: ClassVar[bool] = False  # True: fit learns from the truth, so its scores are cross-fitted
    sums_to_one: ClassVar[bool] = True  # False: rows are not distributions, because columns keep their order
    target: Target = bound_field(ONE_CLASS)  # the meaning of the blended rows
    decision: Decision = bound_field(Decision())  # the rule that assigns labels to a multi-label row

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels. Each class is then a separate question."""
        return self.target.multi_label

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        """Fits on out-of-fold probabilities (M, N, K) and truth (N,) or (N, K), and returns the result.

        Default: self.
        """
        return self

    def blend(self, members: Probabilities) -> Probabilities:
        """Blends probabilities (M, N, K) of M members into one set (N, K).

        Rows sum to 1 if those of `target` do, unless `sums_to_one` is False.
        """
        raise NotImplementedError

    def gives_distributions(self) -> bool:
        """Whether each row of a blend sums to 1. A recipe around another one also asks the inner one."""
        values = [getattr(self, name) for name in self.option_fields()]
        inner = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
        nested = [item for item in inner if isinstance(item, Ensembler)]
        own = self.sums_to_one and self.target.sums_to_one
        return own and all(item.gives_distributions() for item in nested)

    def needs_fit(self) -> bool:
        """Whether its options, or those of a recipe within, are fitted on out-of-fold rows."""
        return self.fitted

    def row_columns(self) -> tuple[str, ...]:
        """Returns the columns of the training and test tables that `finish` reads; empty if it has no rule for them."""
        return ()

    def finish(self, blended: Probabilities, context: ScoreContext) -> Probabilities:
        """Applies a rule for related rows to (N, K), after the mean over folds. Default: returns them as they are.

        `context.columns` has the values of `row_columns` for the N rows.
        """
        return blended

    def blend_rows(self, members: Probabilities) -> Probabilities:
        """Returns the blend (N, K) of rows whose columns are known, by `blend` and `finish`."""
        context, blended = self.row_context(), self.blend(members)
        return blended if context is None else self.finish(blended, context)

    def find_used(self, count: int) -> tuple[int, ...]:
        """Returns the positions, among `count` members, of those that the blend depends on.

        Default: all; members without weight may be left out.
        """
        return tuple(range(count))

    def restrict(self, places: Sequence[int]) -> Self:
        """Returns the fitted recipe for only the members at these positions, ascending.

        The blend is the same if they include all used ones.
        """
        return self

    def normalise(self, blended: Probabilities) -> Probabilities:
        """Scales rows (N, K) to sum 1 if the blended rows are distributions."""
        return self.target.normalise(blended)


class Format(Plugin):
    """Writes predictions in the competition's format."""

    kind: ClassVar[str] = "format"
    several_rows: ClassVar[bool] = False  # True: an id may have several rows of the sample
    any_count: ClassVar[bool] = False  # True: an id may have more or fewer rows than in the sample
    holds_decisions: ClassVar[bool] = False  # True: the file has labels, given by `output_of`
    decision: Decision = bound_field(Decision())  # the rule that assigns labels if a row may have several

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        """Whether the sample submission (all cells text, the id first) has this format."""
        raise NotImplementedError

    def ids(self, sample: pd.DataFrame, classes: Sequence[str]) -> list[str]:
        """Returns the id of the answer that each row of a sample belongs to, by default its first cell.

        The distinct ids, in this order, are the rows to predict.
        """
        return list(map(str, sample.iloc[:, 0]))

    def empty_cells(self) -> tuple[str, ...]:
        """Returns cells that look like missing values but are valid, such as an empty one for no label."""
        return ()

    def output_of(self, probabilities: Probabilities) -> Probabilities:
        """Returns the values that the file holds for rows (N, K), as probabilities: by default unchanged; 0
        and 1 for decisions.
        """
        return probabilities

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        """Returns the positions of submission rows that do not have this format, and why. None: `matches` decides."""
        return None

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        """Returns the submission with the sample's columns, ids and order. All cells are text."""
        raise NotImplementedError
