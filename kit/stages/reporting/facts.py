"""Facts: all content of a report, as plain values. A missing section names the command that fills it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from kit.evaluation.bootstrap import Gain
from kit.stages.checks.finding import Level
from kit.stages.reporting.row_facts import LabelErrorSection, MemberEvaluation, Mistake, Picture


@dataclass(frozen=True)
class Missing:
    """A missing section, and the command that fills it."""

    why: str
    hint: str = ""


@dataclass(frozen=True)
class FindingCase:
    """One case of a finding, with the pictures of the rows that it names."""

    text: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class FindingRow:
    """A finding of kit check with its first cases; those that name rows have pictures too."""

    code: str
    level: Level
    summary: str
    effect: str
    fix: str
    cases: tuple[str, ...]
    more: int  # cases that are not listed
    shown_cases: tuple[FindingCase, ...] = ()


@dataclass(frozen=True)
class AugmentedImage:
    """A training image from the cache, and variants of it side by side."""

    id: str
    labels: tuple[str, ...]
    original: Picture
    variants: Picture


@dataclass(frozen=True)
class DataSection:
    """The tables, and the findings about tables and images; Absent if they were not checked."""

    train: int
    test: int | None
    counts: Mapping[str, int]  # training rows by class, or training answers if images share them
    multi_label: bool
    sources: Mapping[str, str]  # the other sources of rows, with rows, licence and origin in words
    findings: tuple[FindingRow, ...] | Missing
    augmenter: str
    augmented: tuple[AugmentedImage, ...] | Missing
    has_classes: bool = True  # labels are classes, not numbers
    train_answers: int | None = None  # of the training images; None if each image is its own answer
    test_answers: int | None = None


@dataclass(frozen=True)
class EpochCurve:
    """One fold's numbers, by epoch; None for an epoch without one."""

    fold: int
    epochs: tuple[int, ...]
    values: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class TrainedRun:
    """One run: its settings, its progress, its scores and its cost."""

    name: str
    started: str  # ISO 8601, UTC; empty if it is unknown
    network: str
    image_size: int | None
    epochs: int | None
    folds: int
    done: int
    state: str
    differs: Mapping[str, str]  # this run's values of the settings in which runs differ
    scores: Mapping[str, float]  # out of fold, without views; the metric's first
    rows: int  # out of fold
    images_per_second: float | None  # median of the epochs
    memory_mib: int | None  # the maximum over all epochs
    left_out: int  # steps that were not finite
    curves: tuple[EpochCurve, ...]


@dataclass(frozen=True)
class ViewScores:
    """The gain of a set of views for one run, over the plain images of the same rows."""

    run: str
    views: str
    score: float
    plain: float | None
    gain: Gain | None


@dataclass(frozen=True)
class MemberWeight:
    """One member of a blend."""

    name: str
    score: float
    weight: float | None  # None if the ensembler has none
    gain: Gain | None  # of including it in the plain mean, over leaving it out


@dataclass(frozen=True)
class BlendSection:
    """The members of the best blend on the board, their similarity, and the gain of each."""

    number: int
    ensembler: str
    metric: str
    cv: float | None
    mean: float  # the score of the plain mean
    rows: int
    members: tuple[MemberWeight, ...]
    correlation: tuple[tuple[float, ...], ...]
    overlap: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Submission:
    """A line of the board."""

    rank: int | None  # None: its score is on other rows than those that are compared
    number: int
    name: str
    cv: float | None
    leaderboard: float | None
    members: str
    ensembler: str
    notes: str
    rows: int = 0  # number of out-of-fold rows of `cv`


@dataclass(frozen=True)
class ReportedDisagreement:
    """A way in which cross-validation and leaderboard disagree, and the checks to make."""

    what: str
    checks: tuple[str, ...]


@dataclass(frozen=True)
class BoardSection:
    """The board, and how its scores agree."""

    submissions: tuple[Submission, ...]
    scored: int  # number that also has a leaderboard score
    correlation: float | None
    gap: float | None
    noise_cv: float | None  # one standard error
    noise_leaderboard: float | None
    unknown: str  # why the noise is unknown
    doubts: tuple[ReportedDisagreement, ...]


@dataclass(frozen=True)
class Problem:
    """One problem, certain or possible; `place` is the section with details."""

    level: Level
    text: str
    place: str


@dataclass(frozen=True)
class NextStep:
    """A next step, and its command."""

    why: str
    command: str


@dataclass(frozen=True)
class Summary:
    """The state of the team's work, the problems, and the next steps."""

    metric: str
    higher_is_better: bool
    best: str  # the member or submission with the best score out of fold; empty if nothing has one
    cv: float | None
    noise: float | None  # its standard error
    leaderboard: float | None  # the best
    wrong: tuple[Problem, ...]
    steps: tuple[NextStep, ...]


@dataclass(frozen=True)
class Facts:
    """The whole report."""

    name: str  # of the workspace's folder
    written: str  # ISO 8601, UTC
    versions: Mapping[str, str]
    summary: Summary
    data: DataSection | Missing
    runs: tuple[TrainedRun, ...] | Missing
    evaluation: MemberEvaluation | Missing
    mistakes: tuple[Mistake, ...] | Missing
    suspects: LabelErrorSection | Missing
    views: tuple[ViewScores, ...] | Missing
    blend: BlendSection | Missing
    board: BoardSection | Missing
    left_out: tuple[str, ...]  # content that was left out of the page, in words
    lacking: tuple[str, ...] = ()  # requested parts that could not be made, and why


def as_json(value: Any) -> Any:
    """Returns facts as JSON values, without the pictures themselves; a number that is not finite is null."""
    if isinstance(value, Picture):
        return {"text": value.text}
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
