"""Row facts: a report's facts on a member's out-of-fold rows and on the classes, and pictures of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A small JPEG as a data address, and its description in words."""

    uri: str
    text: str
    width: int
    height: int


@dataclass(frozen=True)
class ClassScore:
    """How well one class is predicted. A score is None if the class has no row or is never predicted."""

    name: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None
    confused_with: str = ""  # the class that its wrong rows are most often predicted as
    confused_rows: int = 0


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence is above `low` and at most `high`."""

    low: float
    high: float
    rows: int
    confidence: float  # their mean
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The difference of confidence and accuracy: the non-empty bins, and the expected calibration error."""

    bins: tuple[Bin, ...]
    error: float


@dataclass(frozen=True)
class Confused:
    """How many rows of one class are predicted as another."""

    truth: str
    predicted: str
    rows: int
    share: float  # of the true class's rows


@dataclass(frozen=True)
class ColumnScore:
    """How well one column of numbers or shares is predicted."""

    name: str
    rmse: float
    mae: float
    bias: float  # the mean error
    r2: float | None  # None if the column is constant
    points: tuple[tuple[float, float], ...]  # of some rows: the true and the predicted value
    errors: tuple[int, ...]  # rows by their error, in equal bins from -reach to reach
    reach: float


@dataclass(frozen=True)
class PartEvaluation:
    """The evaluation of one part of an answer, or of one column of a part with yes and no or with numbers."""

    name: str
    kind: str  # softmax, sigmoid or number
    rows: int  # those with a label
    scores: Mapping[str, float]  # by the metrics of this part in the competition's metric
    accuracy: float | None  # None of numbers
    classes: tuple[ClassScore, ...]  # none of numbers; no and yes of a sigmoid part
    confusion: tuple[tuple[int, ...], ...]  # a true class a row
    column: ColumnScore | None  # of numbers


@dataclass(frozen=True)
class MemberEvaluation:
    """One member's out-of-fold rows: its scores, by fold and by class, and its confusions."""

    member: str
    rows: int
    scores: Mapping[str, float]
    fold_scores: Mapping[str, float | None]  # the metric, by fold
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]  # one row per true class; empty if rows may have several labels
    confused: tuple[Confused, ...]
    calibration: Calibration | None  # None if labels are numbers or shares
    columns: tuple[ColumnScore, ...] = ()  # of numbers or shares
    answer_parts: tuple[PartEvaluation, ...] = ()  # of answers with several parts


@dataclass(frozen=True)
class Mistake:
    """A row that the model which never saw it predicts wrongly, the highest cost first."""

    id: str
    fold: int
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    confidence: float | None  # of the predictions; None for numbers and shares
    of_truth: float | None  # the probability of the labels that the row has
    loss: float
    picture: Picture | None
    cam: Picture | None = None  # the same with the support for the predicted class highlighted


@dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong. `likely` names a class; for rows with several labels also `not ant`."""

    id: str
    fold: int
    labels: tuple[str, ...]
    likely: tuple[str, ...]
    of_label: float  # the probability of the given label
    of_likely: float
    picture: Picture | None


@dataclass(frozen=True)
class LabelErrorSection:
    """The labels that are probably wrong, the most certain first, and how many are expected in all."""

    member: str
    expected: float
    suspected: int
    rows: tuple[Suspect, ...]
