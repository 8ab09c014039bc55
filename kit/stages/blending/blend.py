"""blend: joins members by id, scores the blend out of fold, writes a submission and enters it into the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.config.specs import respecify
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, stage
from kit.data.predictions import Predictions, ids_fingerprint
from kit.data.table import Table, sample_frame
from kit.errors import InvalidError
from kit.evaluation.bootstrap import format_gain, gain_columns
from kit.evaluation.competition import (
    Scoring,
    bind_rows,
    explain_decision,
    for_labels,
    open_aggregator,
    open_ensembler,
)
from kit.evaluation.crossfit import cross_fit
from kit.experiment import sample_format
from kit.kinds import Ensembler, Format, Metric
from kit.stages.blending.compatibility import check_together
from kit.stages.blending.diversity import Diversity, measure_diversity
from kit.stages.blending.members import (
    Member,
    OutOfFold,
    add_aggregators,
    blend_test_rows,
    describe_blend,
    labels,
    lack_folds,
    out_of_fold,
    read_members,
    read_test_rows,
    warn_of_partial,
    with_answers,
    with_current_names,
)
from kit.stages.blending.scores import BLEND, MEAN, Comparison, MemberPredictions, Score, compare, sole_member
from kit.stages.blending.unscored import UnscoredSubmission, submit_unscored
from kit.stages.submission.board import Board, enter_submission

if TYPE_CHECKING:
    import pandas as pd

TASK = "blend"


@dataclass(frozen=True)
class WrittenRows:
    """The decisions in the file, scored on out-of-fold rows that the blend was not fitted on."""

    score: float | None  # None if the metric has no score for decisions
    rule: str  # in words, with its reason; empty if a row has one label
    decision: Mapping[str, Any] | None  # the rule; None if a row has one label
    without_label: int  # rows without any label
    in_file: bool  # False: there is no file or it holds probabilities, and the rule only scores


@dataclass(frozen=True, kw_only=True, repr=False)
class BlendResult(Displayed):
    """A blend that was fitted and scored out of fold. If it is not a `Submitted`, no file was written."""

    metric: str
    ensembler: Mapping[str, Any]  # the fitted recipe
    comparison: Comparison
    rows: int  # out-of-fold rows that all members cover
    written: WrittenRows  # values of a file for such rows
    # of each member, fitted; empty if each image is its own answer
    aggregators: tuple[Mapping[str, Any], ...] = ()

    @property
    def scores(self) -> tuple[Score, ...]:
        """The members' scores, then the blend's."""
        return (*self.comparison.members, self.comparison.blend)

    @property
    def cv(self) -> float:
        """The blend's score on rows that it was not fitted on."""
        return self.comparison.blend.cv

    def _lines(self) -> list[str]:
        comparison = self.comparison
        first = f"blend: {self.metric} {self.cv:.4f} on {self.rows} out-of-fold rows"
        if len(comparison.members) == 1:
            return [first]
        if comparison.sole is not None:
            return [first, comparison.explain_sole()]
        gains = [f"over the {gain.over}: {format_gain(gain)}" for gain in comparison.claimed_gains]
        return [first, *gains]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per member, for the mean and for the blend: its scores, and the gain over the best member."""
        rows = [
            {
                "name": score.name,
                "in_sample": score.in_sample,
                "nested": score.cv,
                **{f"fold_{fold}": value for fold, value in score.folds.items()},
                **gain_columns(score.gains[0] if score.gains else None),
            }
            for score in (*self.comparison.members, self.comparison.mean, self.comparison.blend)
        ]
        return frame(rows)


@dataclass(frozen=True, kw_only=True, repr=False)
class Submitted(BlendResult):
    """A blend whose submission was written, validated and entered into the board."""

    number: int
    path: Path
    record: Path
    format: str
    test_rows: int
    rank: int  # on the board, among those with its metric that are scored on the same rows
    is_apart: bool  # whether its score is on other rows than those that the board compares
    elsewhere: int  # submissions with its metric that are scored on other rows than this one
    is_new: bool  # False: the same blend was made before, and this is its submission

    def _lines(self) -> list[str]:
        rank = "not ranked" if self.is_apart else f"rank {self.rank}"
        rows = f"{self.test_rows} rows, format {self.format}, {rank} on the board"
        file = f"submission {self.number}: {self.path.parent.name}/{self.path.name}"
        return [f"{file}, {rows}", *super()._lines()]


@dataclass(frozen=True, eq=False)
class Blended:
    """Test predictions of a blend, its recipe, and its comparison with its members."""

    test: Predictions
    ensembler: Ensembler
    comparison: Comparison
    oof_ids: np.ndarray


@dataclass(frozen=True, eq=False)
class CrossValidatedBlend:
    """Members whose blend is fitted and compared out of fold, and the format of its submission."""

    members: tuple[Member, ...]  # without their out-of-fold probabilities
    rows: OutOfFold
    metric: Metric
    recipe: Ensembler  # as requested
    ensembler: Ensembler  # fitted
    comparison: Comparison
    sample: pd.DataFrame | None  # None: there is no sample submission, so it cannot be written
    shape: Format | None
    written: WrittenRows

    def score(self) -> BlendResult:
        """Returns the blend's scores, without a submission."""
        return BlendResult(
            metric=self.metric.plugin_name(),
            ensembler=self.ensembler.spec(),
            comparison=self.comparison,
            rows=len(self.rows.ids),
            written=self.written,
            aggregators=self.aggregators,
        )

    @property
    def aggregators(self) -> tuple[Mapping[str, Any], ...]:
        """The aggregators of the members; empty if each image is its own answer."""
        return tuple(member.aggregator.spec() for member in self.members if member.aggregator is not None)

    def open_sample_and_format(self, workspace: Workspace) -> tuple[pd.DataFrame, Format]:
        """Returns the sample and the format of the submission. Raises ConfigError C07 if there is no sample."""
        if self.sample is None or self.shape is None:
            sample_frame(workspace.root, workspace.competition.data)
            raise ValueError("a sample, and no format")
        return self.sample, self.shape


@stage
def blend(
    workspace: Workspace | StrPath,
    members: StrPath | Sequence[StrPath],
    ensembler: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    top_k: int | None = None,
) -> Work[BlendResult | UnscoredSubmission]:
    """Blends members such as `runs/a@d4`, writes the submission and enters it into the board.

    `workspace` is a Workspace or the path of one.
    The result is a `Submitted`. Without a sample submission the blend is only scored, and no file is written.
    With members that were imported without folds it is an `UnscoredSubmission`.
    `ensembler` is a name or a spec, by default the config's. Raises InvalidError (D40-D46) for members that do not
    fit together, leak, or do not fit the sample; ConfigError and PluginError for an invalid request.
    """
    workspace = Workspace.of(workspace)
    if lack_folds(workspace, members):
        yield Progress(TASK, 1, 2, "submission")
        return submit_unscored(workspace, members, spec_of(workspace, ensembler), name, top_k)
    yield Progress(TASK, 0, 2, "out-of-fold rows")
    evaluated = cross_validate(workspace, members, ensembler, top_k)
    if evaluated.sample is None:
        return evaluated.score()
    submission_name = (
        name or f"{evaluated.ensembler.plugin_name()}-{'-'.join(member.run for member in evaluated.members)}"
    )
    yield Progress(TASK, 1, 2, "submission")
    return submit(workspace, evaluated, evaluated.members, submission_name)


def cross_validate(
    workspace: Workspace,
    members: StrPath | Sequence[StrPath],
    ensembler: str | Mapping[str, Any] | None = None,
    top_k: int | None = None,
) -> CrossValidatedBlend:
    """Fits and compares the members' blend on out-of-fold rows, and writes nothing. Raises what `blend` raises."""
    Board.read(workspace.submissions)  # an unreadable one stops the blend before it writes
    read = read_members(workspace, members)
    table = labels(workspace)
    read = with_current_names(workspace, read, table)
    answers = table.by_answer
    recipe, metric = open_ensembler(workspace, spec_of(workspace, ensembler), answers)
    check_together(read, table)
    read = with_answers(read, Scoring(metric, open_aggregator(workspace, table, metric)), table)
    sample = shape = None
    if workspace.competition.data.sample is not None:
        sample = sample_frame(workspace.root, workspace.competition.data)
        shape = sample_format.choose_format(workspace, sample, read[0].test.classes, top_k, table.label_kind)
        shape = shape.with_known(decision=metric.decision)
    rows = out_of_fold(read, table, workspace.cache)
    recipe, metric = (
        with_other_labels(bind_rows(recipe, rows.table), answers, rows),
        bind_rows(metric, rows.table),
    )
    read = tuple(member.without_oof() for member in read)
    fitted, comparison, cross_fitted = _blend(rows, recipe, metric)
    warn_of_partial(read, len(rows.ids))
    written = _score_written_rows(rows, cross_fitted, metric, shape, explain_decision(workspace, answers))
    return CrossValidatedBlend(read, rows, metric, recipe, fitted, comparison, sample, shape, written)


def with_other_labels(recipe: Ensembler, answers: Table, rows: OutOfFold) -> Ensembler:
    """Returns the recipe with each class's number of training rows that no member predicts out of fold."""
    if answers.label_kind != "class_index":
        return recipe
    others = ~np.isin(answers.ids, rows.ids) & answers.competition_rows
    counts = np.bincount(np.asarray(answers.labels)[others], minlength=len(answers.classes))
    return recipe.with_known(other_counts=tuple(counts.tolist()))


def spec_of(workspace: Workspace, ensembler: str | Mapping[str, Any] | None) -> Any:
    """Returns the requested ensembler, by default the config's. The config's name alone keeps its options."""
    own = workspace.competition.ensembler
    return respecify(ensembler, own)[0] if ensembler else own


def score_of(evaluated: CrossValidatedBlend, places: Sequence[int]) -> float:
    """Returns the score of a blend of some members on rows that it was not fitted on; higher is better."""
    value = evaluated.metric.score(evaluated.rows.truth, fit_some(evaluated, places)[0])
    return value if evaluated.metric.higher_is_better else -value


def fit_some(evaluated: CrossValidatedBlend, places: Sequence[int]) -> tuple[np.ndarray, Ensembler]:
    """Returns the blend of some members on rows that it was not fitted on, and the recipe fitted to all rows."""
    rows, spec = evaluated.rows, subset_spec(evaluated.recipe.spec(), places, len(evaluated.members))
    recipe = evaluated.recipe.model_copy(
        update={"weights": tuple(spec["weights"])} if "weights" in spec else {}
    )
    members = rows.members[list(places)]
    if recipe.needs_fit():
        return cross_fit(recipe, members, rows.truth, rows.folds, rows.row_clusters())
    return recipe.blend_rows(members), recipe


def subset_spec(spec: Mapping[str, Any], places: Sequence[int], count: int) -> dict[str, Any]:
    """Returns an ensembler's spec for some of `count` members. Given weights are reduced to theirs."""
    weights = spec.get("weights") or ()
    return {**spec, **({"weights": [weights[index] for index in places]} if len(weights) == count else {})}


def submit(
    workspace: Workspace,
    evaluated: CrossValidatedBlend,
    predicting: Sequence[Member],
    name: str,
    more: Mapping[str, Any] | None = None,
    notes: str = "",
) -> Submitted:
    """Blends the test rows of `predicting`, the scored members or their replacements, and enters the
    submission.

    `more` is added to its record, `notes` to the board.
    """
    (sample, shape), metric = evaluated.open_sample_and_format(workspace), evaluated.metric
    wanted = list(dict.fromkeys(shape.ids(sample, predicting[0].test.classes)))
    images = read_test_rows(workspace, predicting[0].test.classes, evaluated.ensembler)
    test = blend_test_rows(predicting, evaluated.ensembler, wanted, images)
    blended = Blended(test, evaluated.ensembler, evaluated.comparison, evaluated.rows.ids)
    table = sample_format.make_table(test, sample, shape)
    record = {**_record(workspace, evaluated, blended, shape), **(more or {})}
    notes = add_aggregators(notes, evaluated.members)
    written, board, entry = enter_submission(
        workspace, name, table, record, metric, blended.comparison.blend.cv, notes
    )
    of_metric = [other for other in board.entries if other.metric == entry.metric]
    return Submitted(
        number=written.number,
        path=written.path,
        record=written.record,
        format=shape.plugin_name(),
        metric=metric.plugin_name(),
        ensembler=blended.ensembler.spec(),
        comparison=blended.comparison,
        rows=len(blended.oof_ids),
        test_rows=len(table),
        written=evaluated.written,
        aggregators=evaluated.aggregators,
        rank=board.rank_of(entry),
        is_apart=board.is_apart(entry),
        elsewhere=len(of_metric) - len(board.comparable_entries(entry)),
        is_new=written.is_new,
    )


def diversity(
    workspace: Workspace, members: Sequence[str], ensembler: str | Mapping[str, Any] | None = None
) -> Diversity:
    """Returns the members' similarity out of fold, and the gain of each in the blend. Raises what `blend` raises."""
    read = read_members(workspace, members)
    table = labels(workspace)
    read = with_current_names(workspace, read, table)
    recipe, metric = open_ensembler(workspace, spec_of(workspace, ensembler), table.by_answer)
    check_together(read, table)
    read = with_answers(read, Scoring(metric, open_aggregator(workspace, table, metric)), table)
    rows = out_of_fold(read, table, workspace.cache)
    recipe = with_other_labels(bind_rows(recipe, rows.table), table.by_answer, rows)
    metric = bind_rows(metric, rows.table)
    warn_of_partial(read, len(rows.ids))
    return measure_diversity(rows, recipe, metric)


def _score_written_rows(
    rows: OutOfFold, cross_fitted: np.ndarray, metric: Metric, shape: Format | None, rule: str
) -> WrittenRows:
    """Scores the out-of-fold rows as the file would hold them; without a format those rows themselves."""
    in_file = shape is not None and shape.holds_decisions
    decided = shape.output_of(cross_fitted) if shape is not None and in_file else cross_fitted
    try:
        score = metric.score(rows.truth, decided)
    except InvalidError:
        score = None
    if not rule:
        return WrittenRows(score, "", None, 0, in_file)
    without = int((~metric.decision.assign_labels(cross_fitted).any(axis=1)).sum())
    return WrittenRows(score, rule, metric.decision.spec(), without, in_file)


def _blend(rows: OutOfFold, recipe: Ensembler, metric: Metric) -> tuple[Ensembler, Comparison, np.ndarray]:
    """Returns the recipe fitted on all out-of-fold rows, the comparison of the blend with its members, and
    its cross-fitted rows.
    """
    if recipe.needs_fit():
        cross_fitted, fitted = cross_fit(recipe, rows.members, rows.truth, rows.folds, rows.row_clusters())
        blended = MemberPredictions(BLEND, cross_fitted, fitted.blend_rows(rows.members))
    else:
        fitted, cross_fitted = recipe, recipe.blend_rows(rows.members)
        blended = MemberPredictions(BLEND, cross_fitted, cross_fitted)
    mean = for_labels(Ensembler.open(MEAN), recipe.target, metric.decision)
    plain = [*zip(rows.names, rows.members, strict=True), (MEAN, mean.blend(rows.members))]
    predicted = [*(MemberPredictions(name, score, score) for name, score in plain), blended]
    sole = sole_member(fitted, rows.members, blended.in_sample)
    sole_name = None if sole is None or len(rows.names) == 1 else rows.names[sole]
    return fitted, compare(metric, rows.truth, rows.folds, rows.groups, predicted, sole_name), cross_fitted


def _record(
    workspace: Workspace, evaluated: CrossValidatedBlend, blended: Blended, shape: Format
) -> dict[str, Any]:
    """Returns the inputs of the submission, as JSON."""
    record = describe_blend(
        workspace,
        evaluated.members,
        blended.test,
        blended.ensembler,
        evaluated.recipe,
        shape,
        evaluated.metric,
    )
    return {
        **record,
        "decision": evaluated.written.decision,
        "scores": [asdict(score) for score in (*blended.comparison.members, blended.comparison.blend)],
        "mean": asdict(blended.comparison.mean),
        "recommended": blended.comparison.recommended,
        "written_score": evaluated.written.score,
        "rows": len(blended.oof_ids),
        "fingerprints": {"rows": ids_fingerprint(blended.oof_ids), **record["fingerprints"]},
    }
