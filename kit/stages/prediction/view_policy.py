"""policy: chooses the views to average by out-of-fold rows, and writes the result as a separate member.

Each view of a set is predicted by itself, only once. An ensembler whose members are views chooses or weighs
them, through cross_fit. The out-of-fold predictions of a fold come from the choice on other folds, so a blend
on top of them stays unbiased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Work, stage
from kit.core.stopping import Stop
from kit.data.predictions import PolicyRecord, Predictions, Provenance, concat_predictions
from kit.data.table import Table, table_of, train_table
from kit.errors import ConfigError
from kit.evaluation.bootstrap import Gain, compute_gains, format_gain
from kit.evaluation.competition import Scoring, bind_rows, for_labels, for_metric, with_scores
from kit.evaluation.crossfit import cross_fit
from kit.experiment.loading import find_targets
from kit.kinds import Ensembler, Views
from kit.kinds.label_kinds import check_takes
from kit.model.predict import PLAIN, unique_views
from kit.runs.run import Run
from kit.stages.blending.members import OutOfFold
from kit.stages.prediction.tta import TtaResult, predict_view_sets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class ViewPolicyResult(Displayed):
    """A policy of one run: the member's name, the views that it averages, and its cross-fitted score beside
    other scores.
    """

    member: str
    folder: Path
    weights: Mapping[str, float]  # by view name, without weights of 0; only for a fitted recipe with weights
    nested: float
    in_sample: float
    others: Mapping[str, float]  # scores of `plain` and of the mean of the whole set
    gains: tuple[Gain, ...]  # of the nested score over these, with the interval of the paired bootstrap

    def _lines(self) -> list[str]:
        gains = [f"over {gain.over} {self.others[gain.over]:.4f}: {format_gain(gain)}" for gain in self.gains]
        return [f"{self.member}: nested {self.nested:.4f} (in-sample {self.in_sample:.4f})", *gains]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per view: its weight."""
        rows = [{"member": self.member, "view": view, "weight": w} for view, w in self.weights.items()]
        return frame(rows, ("member", "view", "weight"))


@stage
def choose_views(
    workspace: Workspace | StrPath,
    paths: StrPath | Sequence[StrPath],
    views: Any = "d4",
    recipe: Any = "greedy",
    device: str = "auto",
    stop: Stop | None = None,
) -> Work[list[ViewPolicyResult]]:
    """Fits, for each run, an average of a set of views, and writes its test and out-of-fold predictions.

    `recipe` is an ensembler, whose members are the views. Raises what `tta` raises, and InvalidError D46 for rows that
    cannot be cut into parts to choose and to score on. If `stop` is requested, it stops as `tta` does.
    """
    workspace = Workspace.of(workspace)
    whole = Views.open(views, workspace.root, "views")
    policy = Ensembler.open(recipe, workspace.root, "policy")
    table = train_table(workspace.root, workspace.competition.data).sort_by_id()
    scoring = Scoring.of(workspace, table)
    metric = scoring.metric
    check_takes((policy, metric), table.label_kind, workspace.root)
    if table.target.sums_to_one and not policy.gives_distributions():
        raise ConfigError(
            f"policy {policy.plugin_name()!r} returns ranks, but a member's rows must be probabilities "
            "that sum to 1",
            code="C12",
            hint="--choose-views mean; to average ranks of members: kit blend RUN@VIEWS RUN@VIEWS --ensembler rank",
        )
    names = unique_views(whole)
    if len(names) < 2:
        raise ConfigError(
            f"views {whole.plugin_name()!r} has only one view, so there is nothing to choose",
            code="C12",
            hint="--views d4",
        )
    specs = [
        "plain" if view_name == PLAIN else {"name": "subset", "base": whole.spec(), "view_indices": [single]}
        for single, view_name in names.items()
    ]
    singles = yield from predict_view_sets.with_progress(workspace, paths, specs, device=device, stop=stop)
    runs = [target.run for target in find_targets(workspace, paths)]
    folder_name = f"{whole.slug()}-{policy.slug()}"
    job = _PolicyContext(
        folder_name,
        whole,
        list(names.values()),
        for_labels(for_metric(policy, metric), table.target, metric.decision, table.classes),
        scoring,
        table,
        workspace.competition.data,
    )
    return [
        job.of_run(run, [single_runs[index] for single_runs in singles]) for index, run in enumerate(runs)
    ]


@dataclass(frozen=True)
class _PolicyContext:
    """The state that the policies of all runs share."""

    name: str  # of the member's views
    views: Views
    names: list[str]
    recipe: Ensembler
    scoring: Scoring
    table: Table
    data: Data

    def of_run(self, run: Run, singles: Sequence[TtaResult]) -> ViewPolicyResult:
        """Fits, writes and scores one run's policy."""
        oof = [Predictions.read(single.folder / "oof.parquet") for single in singles]
        first, shares = oof[0], np.stack([single.probabilities for single in oof])
        table = table_of(run.folder, self.table, self.data)
        places = table.index_of(first.ids)
        folds = run.folds().numbers[places, 0]  # a row that several models predicted is one row to choose on
        rows = OutOfFold(tuple(self.names), first.ids, shares, folds, table.take(places))
        truth, relatives = rows.truth, rows.row_clusters()
        policy_shares, fitted = cross_fit(bind_rows(self.recipe, rows.table), shares, truth, folds, relatives)
        provenance, folder = self._provenance(first, singles, fitted), run.predictions(self.name)
        predictions = replace(first, probabilities=policy_shares.astype(np.float32), provenance=provenance)
        with_scores(predictions, self.scoring, table).write(folder / "oof.parquet")
        if self.data.has_test_rows:
            self._test(singles, fitted, provenance).write(folder / "test.parquet")
        compared = {
            "plain": shares[0],
            self.views.slug(): shares.mean(axis=0),
            "in-sample": fitted.blend(shares),
        }
        metric, answers, cross_fitted = self.scoring.bind(replace(first, probabilities=policy_shares), table)
        others = {
            name: self.scoring.bind(replace(first, probabilities=single), table)[2]
            for name, single in compared.items()
        }
        in_sample, truth = others.pop("in-sample"), answers.targets()
        relatives = relatives if table.answers is None else answers.groups
        weights = dict(zip(self.names, getattr(fitted, "weights", ()), strict=False))
        return ViewPolicyResult(
            f"runs/{run.name}@{self.name}",
            folder,
            {name: w for name, w in weights.items() if w},
            metric.score(truth, cross_fitted),
            metric.score(truth, in_sample),
            {name: metric.score(truth, other) for name, other in others.items()},
            compute_gains(metric, truth, cross_fitted, others, relatives),
        )

    def _provenance(self, first: Predictions, singles: Sequence[TtaResult], fitted: Ensembler) -> Provenance:
        """Returns the provenance of the first view's predictions, with the policy; scores are only the policy's."""
        policy = PolicyRecord(
            views=self.views.spec(),
            names=tuple(self.names),
            recipe=fitted.spec(),
            members=tuple(single.member for single in singles),
        )
        return replace(first.provenance, views=self.name, policy=policy, scores=None, fold_scores=None)

    def _test(self, singles: Sequence[TtaResult], fitted: Ensembler, oof: Provenance) -> Predictions:
        """Returns each fold's test rows by the policy that was fitted on all out-of-fold rows."""
        predictions = [Predictions.read(single.folder / "test.parquet") for single in singles]
        provenance = replace(
            predictions[0].provenance,
            views=oof.views,
            plugins=oof.plugins,
            policy=oof.policy,
            folds=oof.folds,
        )
        parts = []
        for fold in sorted(set(predictions[0].folds.tolist())):
            first = predictions[0].take(predictions[0].folds == fold)
            shares = np.stack([single.take(single.folds == fold).align(first.ids) for single in predictions])
            parts.append(replace(first, probabilities=fitted.blend(shares).astype(np.float32)))
        return concat_predictions(parts, provenance)
