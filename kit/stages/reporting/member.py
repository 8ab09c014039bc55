"""EvaluatedMember: the member whose out-of-fold rows a report shows one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kit.data.predictions import Predictions, Provenance, provenance_of
from kit.data.table import Table
from kit.errors import ConfigError, InvalidError
from kit.evaluation.competition import Scoring, bind_rows
from kit.kinds import Metric
from kit.kinds.advice import predict_command
from kit.kinds.decision import Decision
from kit.kinds.metric_shortcuts import confusion
from kit.runs.records import Record, RunRef
from kit.runs.run import Run
from kit.stages.blending.diversity import error_matrix
from kit.stages.reporting.calibration import measure_calibration
from kit.stages.reporting.classes import of_confusion, of_questions, rank_confusions
from kit.stages.reporting.facts import Missing
from kit.stages.reporting.part_scores import evaluate_parts
from kit.stages.reporting.row_facts import Calibration, ColumnScore, MemberEvaluation, PartEvaluation
from kit.stages.reporting.runs import fold_numbers, numeric_names, row_count
from kit.stages.reporting.values import score_columns

MIN_COVERAGE = 0.9  # share of all covered rows that a member must cover to be compared


@dataclass(frozen=True, eq=False)
class EvaluatedMember:
    """A member's probabilities (N, K), one row per id, with the fold that held each out (N,) and the labelled rows."""

    run: Run
    views: str
    probabilities: np.ndarray
    folds: np.ndarray
    table: Table
    provenance: Provenance
    decision: Decision = field(default_factory=Decision)

    @property
    def name(self) -> str:
        """The name in `kit blend`."""
        return f"{self.run.name}@{self.views}"

    @property
    def predicted_class(self) -> np.ndarray:
        """The most probable class (N,); for multi-label rows all labels by the decision rule, (N, K) bool."""
        if self.table.is_multi_label:
            return self.decision.assign_labels(self.probabilities)
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def is_error(self) -> np.ndarray:
        """Which rows are predicted wrongly, (N,) bool; for numbers and soft targets all rows."""
        if not self.table.target.has_decisions:
            return np.ones(len(self.table), bool)
        return np.asarray(error_matrix(self.probabilities[None], self.table.targets(), self.decision)[0])


@dataclass(frozen=True)
class Candidate:
    """A run's predictions by a set of views."""

    run: Run
    views: str
    rows: int
    score: float | None


def candidates(records: Sequence[Record], metric: str) -> list[Candidate]:
    """Returns all out-of-fold predictions of the runs."""
    members = []
    for record in records:
        held_out = fold_numbers(record.run)
        for views, scores in record.views.items():
            file = record.run.predictions(views) / "oof.parquet"
            if file.is_file():
                rows = row_count(held_out, _folds(file))
                members.append(Candidate(record.run, views, rows, numeric_names(scores).get(metric)))
    return members


def _folds(file: Path) -> list[int]:
    """Returns the folds whose models predicted; empty if a file does not have them."""
    try:
        return [int(fold) for fold in provenance_of(file).checkpoints]
    except (InvalidError, TypeError, ValueError):
        return []


def best_member(all_candidates: Sequence[Candidate], metric: Metric) -> Candidate | None:
    """Returns the best by the metric of those that cover most rows."""
    most = MIN_COVERAGE * max((candidate.rows for candidate in all_candidates), default=0)
    scored = [
        (candidate.score, candidate)
        for candidate in all_candidates
        if candidate.score is not None and candidate.rows >= most
    ]
    sign = 1.0 if metric.higher_is_better else -1.0
    return max(scored, key=lambda pair: sign * pair[0])[1] if scored else None


def read(
    chosen: Candidate, table: Table, decision: Decision | None = None, scoring: Scoring | None = None
) -> EvaluatedMember:
    """Returns the member's out-of-fold rows; answers, if images share them and `scoring` is given.

    Raises InvalidError for damaged predictions, and for rows that the table lacks.
    """
    oof = Predictions.read(chosen.run.predictions(chosen.views) / "oof.parquet")
    if oof.classes != table.classes:
        raise InvalidError(f"{chosen.run.name} was trained for other classes than the table's", code="D42")
    if scoring is not None:
        oof, table = scoring.answers(oof, table)[0], table.by_answer
    mean = oof.mean()
    first = dict(zip(oof.ids[::-1].tolist(), oof.folds[::-1].tolist(), strict=True))
    folds = np.array([first[name] for name in mean.ids.tolist()])
    return EvaluatedMember(
        chosen.run,
        chosen.views,
        mean.probabilities,
        folds,
        table.take(table.index_of(mean.ids)),
        oof.provenance,
        decision or Decision(),
    )


def find_member(all_candidates: Sequence[Candidate], ref: RunRef) -> Candidate:
    """Returns the member for a reference. Raises ConfigError C15 if it has no such predictions."""
    name = ref.run.name
    chosen = next(
        (
            candidate
            for candidate in all_candidates
            if (candidate.run.name, candidate.views) == (name, ref.views)
        ),
        None,
    )
    if chosen is None:
        raise ConfigError(
            f"{name} has no out-of-fold predictions of views {ref.views!r}",
            code="C15",
            hint=predict_command(name, ref.views),
        )
    return chosen


def evaluate_member(subject: EvaluatedMember, metric: Metric) -> MemberEvaluation | Missing:
    """Returns the member's scores, by fold and by class, its confusions, and its calibration."""
    if not len(subject.table):
        return Missing(
            f"{subject.name} has no out-of-fold row",
            f"kit runs show {subject.run.name}",
        )
    folds = subject.provenance.fold_scores or {}
    name = metric.plugin_name()
    by_fold = {str(fold): numeric_names(scores).get(name) for fold, scores in sorted(folds.items())}
    if not subject.table.target.has_decisions:
        return _evaluate_values(subject, by_fold, metric)
    table, truth, predicted = subject.table, subject.table.targets(), subject.predicted_class
    counts = None if table.is_multi_label else confusion(truth, predicted, len(table.classes))
    return MemberEvaluation(
        member=subject.name,
        rows=len(table),
        scores=numeric_names(subject.provenance.scores),
        fold_scores=by_fold,
        classes=of_questions(truth, predicted, table.classes)
        if counts is None
        else of_confusion(counts, table.classes),
        confusion=() if counts is None else tuple(map(tuple, counts.tolist())),
        confused=() if counts is None else rank_confusions(counts, table.classes),
        calibration=_calibration(subject),
    )


def _evaluate_values(
    subject: EvaluatedMember, by_fold: Mapping[str, float | None], metric: Metric
) -> MemberEvaluation:
    """Returns the scores of numbers or shares, column by column, or those of each part of answers."""
    columns: tuple[ColumnScore, ...] = ()
    answer_parts: tuple[PartEvaluation, ...] = ()
    if subject.table.target.kind == "several":
        known = bind_rows(metric, subject.table)
        answer_parts = evaluate_parts(subject.table, subject.probabilities, known)
    else:
        columns = score_columns(subject.table, subject.probabilities)
    return MemberEvaluation(
        member=subject.name,
        rows=len(subject.table),
        scores=numeric_names(subject.provenance.scores),
        fold_scores=by_fold,
        classes=(),
        confusion=(),
        confused=(),
        calibration=None,
        columns=columns,
        answer_parts=answer_parts,
    )


def _calibration(subject: EvaluatedMember) -> Calibration:
    """Returns the calibration of the most probable class; if a row may have several labels, of every yes and no."""
    shares = subject.probabilities
    if subject.table.is_multi_label:
        return measure_calibration(shares.ravel(), subject.table.targets().astype(bool).ravel())
    return measure_calibration(shares.max(axis=1), ~subject.is_error)
