"""Scores of out-of-fold predictions: the metric and, for any loss and metric alike, log loss and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from kit.data.predictions import Predictions
from kit.data.provenance import Provenance
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation.bootstrap import Gain, compute_gains
from kit.evaluation.competition import Scoring, bind_rows
from kit.kinds import Metric
from kit.kinds.plugin import Plugin
from kit.kinds.score_context import ScoreContext
from kit.runs.run import Run, plugin_hashes


def scores(scoring: Scoring, predictions: Predictions, table: Table) -> dict[str, float]:
    """Each score of out-of-fold predictions, by the metric's name, but those that these rows do not define.

    `table` has the images that are predicted; their answers are scored.
    """
    return _scores(scoring.metric, scoring.answers(predictions, table)[0].mean(), table.by_answer)


def _scores(metric: Metric, predictions: Predictions, table: Table) -> dict[str, float]:
    """The scores of predictions with one row an answer.

    AUC, for one, needs rows of two classes, which a fold of whole groups may lack. No rows have no score.
    """
    if not len(predictions):
        return {}
    rows = table.take(table.index_of(predictions.ids))
    names = table.target.usual_metrics  # so that runs of different losses and metrics compare
    known = ScoreContext(target=table.target)
    usual = {name: Metric.open(name).with_known(decision=metric.decision, context=known) for name in names}
    # the competition's own options win where its metric is one of the usual ones
    asked = {metric.plugin_name(): bind_rows(metric, rows)}
    asked |= {name: each for name, each in usual.items() if name not in asked}
    found: dict[str, float] = {}
    for name, each in asked.items():
        with suppress(InvalidError):
            found[name] = each.score(rows.targets(), predictions.probabilities)
    return found


def concat_predictions(parts: Sequence[Predictions], provenance: Provenance) -> Predictions:
    """The rows of several predictions of the same classes, one after another."""
    return Predictions(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.folds for part in parts]),
        parts[0].classes,
        np.concatenate([part.probabilities for part in parts]),
        provenance,
        parts[0].target,
    )


def with_scores(predictions: Predictions, scoring: Scoring, table: Table) -> Predictions:
    """The same out-of-fold predictions, with their answers' scores, pooled and by fold, in their provenance.

    `table` has the images that are predicted.
    """
    answers, metric = scoring.answers(predictions, table)[0], scoring.metric
    folds = sorted(set(answers.folds.tolist()))
    by_fold = {str(k): _scores(metric, answers.take(answers.folds == k), table.by_answer) for k in folds}
    pooled = _scores(metric, answers.mean(), table.by_answer)
    return replace(
        predictions, provenance=replace(predictions.provenance, scores=pooled, fold_scores=by_fold)
    )


def prediction_provenance(
    run: Run, views: str, merge: str, table: Table, plugins: Sequence[Plugin]
) -> Provenance:
    """What a run's predictions by a set of views are made from, before their rows are known."""
    return Provenance(
        run=run.name,
        views=views,
        merge=merge,
        classes=table.classes,
        plugins=plugin_hashes(plugins),
    )


def gain_over_plain(
    run: Run, oof: Predictions, scoring: Scoring, table: Table
) -> tuple[dict[str, float], Gain | None]:
    """Scores without views of the answers in `oof`, and its gain over them; nothing where training left some out.

    `table` has the images that are predicted.
    """
    file = run.predictions("plain") / "oof.parquet"
    plain_oof = Predictions.read(file) if file.is_file() else oof.take(oof.folds < 0)
    found, mine = (scoring.answers(made, table)[0].mean() for made in (plain_oof, oof))
    metric, table = scoring.metric, table.by_answer
    same = found.take(np.isin(found.ids, mine.ids))
    if len(same) != len(mine):
        return {}, None
    plain = _scores(metric, same, table)
    before = same.align(mine.ids)
    if metric.plugin_name() not in plain or np.array_equal(before, mine.probabilities):
        return plain, None
    rows = table.take(table.index_of(mine.ids))
    (found_gain,) = compute_gains(
        bind_rows(metric, rows), rows.targets(), mine.probabilities, {"plain": before}, rows.groups
    )
    return plain, found_gain
