"""Aggregation: predictions of several images that share one answer, and the kind of plugin that joins them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from kit.kinds.decision import Decision
from kit.kinds.plugin import Plugin, bound_field
from kit.kinds.targets import ONE_CLASS, Target

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Probabilities, RowNumbers, Targets

MAX_STACK_VALUES = 2**22  # values that are joined together; 32 MiB as float64


@dataclass(frozen=True, eq=False)
class AnswerImages:
    """Predictions of the images of A answers, each of which has at least one image."""

    predictions: Probabilities  # (N, K)
    rows: RowNumbers  # row numbers of the first answer's images, then of the second's, ...
    counts: np.ndarray  # (A,) int64: the number of images of each answer

    @classmethod
    def of(cls, predictions: Probabilities, answers: RowNumbers) -> Self:
        """Groups predictions (N, K) by the answer numbers (N,) of their images: each of 0 to A - 1 at least once."""
        import numpy as np

        return cls(predictions, np.argsort(answers, kind="stable"), np.bincount(answers))

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def starts(self) -> np.ndarray:
        """The start of each answer's images in `rows`, (A,)."""
        import numpy as np

        return np.asarray(np.cumsum(self.counts) - self.counts)

    def take(self, answers: np.ndarray) -> AnswerImages:
        """Returns the images of the answers at these positions or in this mask."""
        import numpy as np

        starts, counts = self.starts[answers], self.counts[answers]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return AnswerImages(self.predictions, self.rows[np.repeat(starts, counts) + within], counts)

    def join(self, combine: Callable[[Probabilities], Probabilities]) -> Probabilities:
        """Returns one prediction per answer, (A, K) float64, by a function that joins (A, n, K) to (A, K)."""
        import numpy as np

        answers_joined: np.ndarray | None = None
        for answers, stack in self._stacks():
            combined = combine(stack)
            answers_joined = (
                np.empty((len(self), combined.shape[1])) if answers_joined is None else answers_joined
            )
            answers_joined[answers] = combined
        return np.empty((0, self.predictions.shape[1])) if answers_joined is None else answers_joined

    def _stacks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields answers with equal numbers of images, as positions and float64 (A, n, K), in stacks of
        limited size.
        """
        import numpy as np

        for count in np.unique(self.counts):
            same = np.flatnonzero(self.counts == count)
            size = max(1, MAX_STACK_VALUES // (int(count) * self.predictions.shape[1]))
            for begin in range(0, len(same), size):
                some = same[begin : begin + size]
                rows = self.rows[self.starts[some][:, None] + np.arange(count)]
                yield some, self.predictions[rows].astype(np.float64)


class Aggregator(Plugin):
    """Joins the predictions of the images that share one answer."""

    kind: ClassVar[str] = "aggregator"
    target: Target = bound_field(ONE_CLASS)  # the meaning of the rows' labels and predictions
    decision: Decision = bound_field(Decision())  # the rule that assigns labels if a row may have several

    def needs_fit(self) -> bool:
        """Whether `fit` chooses an option, so that scores are cross-fitted."""
        return False

    def fit(self, images: AnswerImages, truth: Targets) -> Self:
        """Fits on out-of-fold images of A answers and their truth (A,) or (A, K), and returns the result.

        Default: self.
        """
        return self

    def combine(self, images: Probabilities) -> Probabilities:
        """Joins predictions (A, n, K) of the n images of each of A answers to one prediction per answer (A, K).

        Rows sum to 1 if `target.sums_to_one` is true.
        """
        raise NotImplementedError

    def normalise(self, joined: Probabilities) -> Probabilities:
        """Scales rows (A, K) to sum 1 if they are distributions."""
        return self.target.normalise(joined)
