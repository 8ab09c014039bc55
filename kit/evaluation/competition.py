"""The competition's metric, decision rule and aggregator, how plugins are set up for them, and scores of answers.

The rule has one place in config.json, `decision`. So cross-validation scores the labels of the submission.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from kit.config.models import DecisionRule
from kit.config.workspace import Workspace
from kit.data.answers import check_same_weights
from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.errors import ConfigError, InvalidError, KitWarning, did_you_mean
from kit.evaluation.answers import JoinedRows
from kit.evaluation.bootstrap import Gain, compute_gains
from kit.kinds import KINDS, Aggregator, Ensembler, Metric, Scorer
from kit.kinds.decision import Decision
from kit.kinds.label_kinds import check_takes
from kit.kinds.plugin import Plugin
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import Target

if TYPE_CHECKING:
    from kit.config.workspace import Workspace
    from kit.core.arrays import Probabilities
    from kit.data.table import Table

P = TypeVar("P", bound=Plugin)


def decision_of(workspace: Workspace, table: Table) -> Decision:
    """Returns the decision rule for the labels of a training table.

    If `decision.min_labels` is null, a row may have no label if a training row of the competition has none, else it
    has at least one. Raises ConfigError C46 if `min_labels` is more than there are classes. Warns (W45) if the config
    sets a rule and rows have one label each.
    """
    rule = workspace.competition.decision
    if not table.is_multi_label:
        if rule != DecisionRule():
            text = (
                "W45 decision has no effect: each row has exactly one label, so the most probable class "
                "is predicted"
            )
            warnings.warn(KitWarning(text), stacklevel=3)
        return Decision()
    if rule.min_labels is not None and rule.min_labels > len(table.classes):
        raise ConfigError(
            f"decision.min_labels is {rule.min_labels}, but the table has {len(table.classes)} classes",
            code="C46",
            hint=f"decision.min_labels={len(table.classes)} or less",
        )
    least = default_min_labels(table) if rule.min_labels is None else rule.min_labels
    return Decision(rule.threshold, least, rule.max_labels)


def default_min_labels(table: Table) -> int:
    """Returns 0 if a training row of the competition has no label, else 1."""
    return 0 if rows_without_label(table) else 1


def rows_without_label(table: Table) -> int:
    """Returns the number of the competition's training rows without a label; rows of other sources do not count."""
    return int((np.asarray(table.targets())[table.competition_rows].sum(axis=1) == 0).sum())


def explain_decision(workspace: Workspace, table: Table) -> str:
    """Returns the rule in words, with the reason for `min_labels`; empty if rows have one label each."""
    if not table.is_multi_label:
        return ""
    rule, empty = decision_of(workspace, table), rows_without_label(table)
    if workspace.competition.decision.min_labels is not None:
        why = "set by decision in config.json or on the command line"
    elif empty:
        rows = int(table.competition_rows.sum())
        why = f"{empty} of {rows} training rows have no label; decision.min_labels changes this"
    else:
        why = "every training row has a label; decision.min_labels changes this"
    return f"{rule} ({why})"


def metric_of(workspace: Workspace, table: Table) -> Metric:
    """Returns the competition's metric, with its decision rule and its context of classes.

    Raises PluginError, ConfigError; C47 if its options do not fit the classes, or it needs groups or weights
    that the config does not name.
    """
    metric = Metric.open(workspace.competition.metric, workspace.root, where="metric")
    return bind_classes(metric, workspace, table, decision_of(workspace, table))


def bind_classes(metric: Metric, workspace: Workspace, table: Table, decision: Decision) -> Metric:
    """Returns the metric with a decision rule and the classes of a table.

    Raises ConfigError C47 if they do not fit it.
    """
    context = ScoreContext(table.classes, table.class_groups, table.target, levels=table.class_levels)
    metric = metric.with_known(decision=decision, home=workspace.root, context=context)
    _check_wants(metric, table)
    metric.check_context()
    return metric


NEEDED_KEYS = {
    "groups": ("groups of rows", "data.group=COLUMN"),
    "weights": ("weights of rows", "data.weight=COLUMN"),
    "superclasses": ("superclasses of the classes", "data.superclasses=COLUMN"),
    "levels": ("parents of the classes", "data.parents=COLUMN"),
}


def _check_wants(metric: Metric, table: Table) -> None:
    for want, values in (
        ("groups", table.groups),
        ("weights", table.weights),
        ("superclasses", table.class_groups or None),
        ("levels", table.class_levels or None),
    ):
        if want in metric.all_wants() and values is None:
            what, key = NEEDED_KEYS[want]
            raise ConfigError(
                f"metric {metric.plugin_name()!r} needs {what}, and the config names none",
                code="C47",
                hint=key,
            )


def bind_rows(plugin: P, rows: Table) -> P:
    """Returns a metric, or a recipe with metrics, with the row context of a table that they need.

    It scores exactly these rows, in their order. A plugin without a need for rows is returned as it is.
    Raises ConfigError C07 for a column that the table lacks.
    """
    wants = _wants(plugin)
    columns = plugin.row_columns() if isinstance(plugin, Ensembler) else ()
    if not wants and not columns:
        return plugin
    context = ScoreContext(
        rows.classes,
        rows.class_groups,
        rows.target,
        ids=rows.ids if "ids" in wants else None,
        groups=rows.groups if "groups" in wants else None,
        weights=rows.weights if "weights" in wants else None,
        columns=read_columns(rows, columns, "training"),
        levels=rows.class_levels,
    )
    return plugin.with_known(context=context)


def read_columns(
    rows: Table, columns: Sequence[str], split: Literal["training", "test"]
) -> dict[str, np.ndarray]:
    """Returns the values of a table's columns, (rows,) of str each.

    Raises ConfigError C07 for a column that it lacks.
    """
    known = list(map(str, rows.frame.columns))
    for column in columns:
        if column not in known:
            raise ConfigError(
                f"the ensembler reads column {column!r}, and the {split} table has none of this name"
                f"{did_you_mean(column, known)}",
                code="C07",
                hint=f"its columns: {', '.join(known)}" if known else "data.test=FILE, with this column",
            )
    return {column: rows.frame[column].to_numpy(dtype=str) for column in columns}


def _wants(plugin: Plugin) -> frozenset[str]:
    if isinstance(plugin, Metric):
        return frozenset(plugin.all_wants())
    return frozenset().union(*(_wants(inner) for inner in plugin.inner_plugins()))


def check_scoring(workspace: Workspace) -> None:
    """Raises ConfigError C45 if the metric, the decision rule or the aggregator differ from those of config.json.

    `kit train` calls it, because `kit tta` and `kit blend` read config.json, and would score the run in
    another way.
    """
    configured = Workspace.open(workspace.root).competition
    given = workspace.competition
    wrong = [
        name
        for name in ("metric", "decision", "aggregator")
        if getattr(given, name) != getattr(configured, name)
    ]
    if not wrong:
        return
    name = wrong[0]
    was, now = _assignments(name, getattr(configured, name), getattr(given, name))
    raise ConfigError(
        f"kit train got {now}, but config.json has {was}: kit tta, kit blend and kit board would score "
        "the run by the value in config.json",
        code="C45",
        hint=f"use {was}, or change {name} in config.json: no weight depends on it, and kit blend "
        f"accepts {now} for one submission",
    )


def _assignments(name: str, configured: object, given: object) -> tuple[str, str]:
    """Returns two values as overrides that work, such as `metric=auc` or `decision.threshold=0.4`."""
    if isinstance(configured, DecisionRule) and isinstance(given, DecisionRule):
        one, other = configured.model_dump(), given.model_dump()
        keys = [key for key in one if one[key] != other[key]]
        return tuple(
            " ".join(f"decision.{key}={json.dumps(rule[key])}" for key in keys) for rule in (one, other)
        )  # type: ignore[return-value]
    assert isinstance(configured, dict)
    assert isinstance(given, dict)
    return _plugin(name, configured), _plugin(name, given)


def _plugin(kind: str, spec: Mapping[str, Any]) -> str:
    options = [f"{kind}.{key}={json.dumps(option)}" for key, option in spec.items() if key != "name"]
    return " ".join([f"{kind}={spec['name']}", *options])


R = TypeVar("R", Aggregator, Ensembler, Scorer)


def open_ensembler(workspace: Workspace, spec: Any, table: Table) -> tuple[Ensembler, Metric]:
    """Returns an ensembler and the competition's metric, each bound to the other, the decision rule and the
    table's kind of labels.

    Raises PluginError, ConfigError; C17 for labels that one of them does not take; C81 if a rule for related
    rows is nested in another recipe.
    """
    metric = metric_of(workspace, table)
    recipe = for_metric(Ensembler.open(spec, workspace.root, where="ensembler"), metric)
    check_takes((recipe, metric), table.label_kind, workspace.root)
    _check_outermost(recipe)
    return for_labels(recipe, table.target, metric.decision, table.classes), metric


def _check_outermost(recipe: Ensembler) -> None:
    """Raises ConfigError C81 for a nested recipe whose `finish` would never be called."""
    for inner in recipe.inner_plugins():
        if not isinstance(inner, Ensembler):
            continue
        if inner.row_columns():
            name = inner.plugin_name()
            raise ConfigError(
                f"ensembler {name!r} acts on final rows, so it cannot be part of {recipe.plugin_name()!r}",
                code="C81",
                hint=f"ensembler={name} ensembler.base={recipe.plugin_name()}",
            )
        _check_outermost(inner)


def for_metric(recipe: R, metric: Metric) -> R:
    """Returns the recipe with the competition's metric in each empty option `metric`, including nested recipes."""
    lacks = "metric" in recipe.option_fields() and getattr(recipe, "metric", metric) is None
    return _with_changes(
        recipe, {"metric": metric} if lacks else {}, lambda plugin: for_metric(plugin, metric)
    )


def for_labels(
    recipe: Ensembler, target: Target, decision: Decision | None = None, names: tuple[str, ...] = ()
) -> Ensembler:
    """Returns the recipe with the target, the decision rule and the classes' names, including nested recipes."""
    return recipe.with_known(target=target, decision=decision or Decision(), names=names)


def _with_changes(recipe: R, own: dict[str, Any], nested: Callable[[Any], Any]) -> R:
    """Returns the recipe with some fields changed, and every recipe in its options."""
    updates, kind = dict(own), KINDS[recipe.kind]
    for name in recipe.option_fields():
        value = getattr(recipe, name)
        if isinstance(value, kind):
            updates[name] = nested(value)
        elif isinstance(value, tuple) and any(isinstance(item, kind) for item in value):
            updates[name] = tuple(nested(item) if isinstance(item, kind) else item for item in value)
    return recipe.model_copy(update=updates) if updates else recipe


@dataclass(frozen=True)
class Scoring:
    """The competition's metric, and its aggregator from the config."""

    metric: Metric
    aggregator: Aggregator

    @classmethod
    def of(cls, workspace: Workspace, table: Table) -> Scoring:
        """Returns both for the labels of a training table.

        Raises the errors of `metric_of` and `open_aggregator`; DataError D89 for weights that differ within
        an answer.
        """
        metric = metric_of(workspace, table.by_answer)
        if "weights" in metric.all_wants():
            check_same_weights(table)
        return cls(metric, open_aggregator(workspace, table, metric))

    def answers(self, predictions: Predictions, images: Table) -> tuple[Predictions, Aggregator]:
        """Returns out-of-fold predictions of answers, one row per answer and fold, and the aggregator fitted
        on all of them.

        `images` is the training table. A fitted option is cross-fitted. Raises InvalidError D41 for rows that the
        table lacks.
        """
        if images.answers is None or not len(predictions):
            return predictions, self.aggregator
        joined_rows = JoinedRows.of(predictions, images.answers[images.index_of(predictions.ids)])
        if not self.aggregator.needs_fit():
            return joined_rows.predictions(predictions, self.aggregator), self.aggregator
        rows = images.by_answer.take(images.by_answer.index_of(joined_rows.names))
        with suppress(InvalidError):  # too few answers, as in some folds: an unfitted option is the mean
            return joined_rows.cross_fit(predictions, bind_rows(self.aggregator, rows), rows)
        return joined_rows.predictions(predictions, self.aggregator), self.aggregator

    def bind(self, predictions: Predictions, images: Table) -> tuple[Metric, Table, Probabilities]:
        """Returns the metric bound to the answers of out-of-fold predictions, those rows, and their
        probabilities (rows, K).
        """
        answers = self.answers(predictions, images)[0]
        rows = images.by_answer.take(images.by_answer.index_of(answers.ids))
        return bind_rows(self.metric, rows), rows, answers.probabilities


def open_aggregator(workspace: Workspace, table: Table, metric: Metric) -> Aggregator:
    """Returns the config's aggregator for the labels of a table, with the metric that its options are fitted for.

    Raises PluginError, ConfigError; C17 for labels that it does not take.
    """
    recipe = Aggregator.open(workspace.competition.aggregator, workspace.root, where="aggregator")
    if table.answers is not None:
        check_takes([recipe], table.label_kind, workspace.root)
    recipe = for_metric(recipe, metric)
    return recipe.with_known(target=table.target, decision=metric.decision)


def scores(scoring: Scoring, predictions: Predictions, table: Table) -> dict[str, float]:
    """Returns each score of out-of-fold predictions, by the metric's name, without those that these rows do not define.

    `table` has the predicted images; their answers are scored.
    """
    return _scores(scoring.metric, scoring.answers(predictions, table)[0].mean(), table.by_answer)


def _scores(metric: Metric, predictions: Predictions, table: Table) -> dict[str, float]:
    """Returns the scores of predictions with one row per answer.

    AUC, for example, needs rows of two classes, which a fold of whole groups may lack. Without rows there is
    no score.
    """
    if not len(predictions):
        return {}
    rows = table.take(table.index_of(predictions.ids))
    names = table.target.usual_metrics  # so that runs of different losses and metrics can be compared
    known = ScoreContext(target=table.target)
    usual = {name: Metric.open(name).with_known(decision=metric.decision, context=known) for name in names}
    # the competition's own options are used if its metric is one of the usual ones
    metrics = {metric.plugin_name(): bind_rows(metric, rows)}
    metrics |= {name: scorer for name, scorer in usual.items() if name not in metrics}
    scores_by_name: dict[str, float] = {}
    for name, scorer in metrics.items():
        with suppress(InvalidError):
            scores_by_name[name] = scorer.score(rows.targets(), predictions.probabilities)
    return scores_by_name


def with_scores(predictions: Predictions, scoring: Scoring, table: Table) -> Predictions:
    """Returns the same out-of-fold predictions, with their answers' scores, pooled and by fold, in their provenance.

    `table` has the predicted images.
    """
    answers, metric = scoring.answers(predictions, table)[0], scoring.metric
    folds = sorted(set(answers.folds.tolist()))
    by_fold = {str(k): _scores(metric, answers.take(answers.folds == k), table.by_answer) for k in folds}
    pooled = _scores(metric, answers.mean(), table.by_answer)
    if pooled and any(metric.plugin_name() not in scores for scores in by_fold.values()):
        _warn_of_unscored(answers, metric, table.by_answer)
    return replace(
        predictions, provenance=replace(predictions.provenance, scores=pooled, fold_scores=by_fold)
    )


def _warn_of_unscored(answers: Predictions, metric: Metric, table: Table) -> None:
    """Warns (W90) of folds whose held-out rows have no score, with the reason."""
    for fold in np.unique(answers.folds).tolist():
        own = answers.take(answers.folds == fold)
        rows = table.take(table.index_of(own.ids))
        try:
            bind_rows(metric, rows).score(rows.targets(), own.probabilities)
        except InvalidError as error:
            text = f"W90 fold {fold} has no {metric.plugin_name()}: {error.summary}"
            warnings.warn(KitWarning(text), stacklevel=4)


def gain_over_plain(
    plain_file: Path, oof: Predictions, scoring: Scoring, table: Table
) -> tuple[dict[str, float], Gain | None]:
    """Returns scores without views of the answers in `oof`, and its gain over them; empty if training left some out.

    `plain_file` has the run's plain out-of-fold predictions. `table` has the predicted images.
    """
    plain_oof = Predictions.read(plain_file) if plain_file.is_file() else oof.take(oof.folds < 0)
    plain_answers, mine = (scoring.answers(predictions, table)[0].mean() for predictions in (plain_oof, oof))
    metric, table = scoring.metric, table.by_answer
    same = plain_answers.take(np.isin(plain_answers.ids, mine.ids))
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
