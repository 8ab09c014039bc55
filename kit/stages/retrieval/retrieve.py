"""retrieve: predicts rows from the most similar training images, for `kit blend`.

Held-out rows are compared with the training rows of their fold's model, as test rows are. All fits, of
exponents or of a choice of rerankers, go through cross_fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from kit.config.workspace import Workspace
from kit.core.arrays import Probabilities
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Work, stage
from kit.data.predictions import Predictions, Provenance, RetrievalRecord
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation.bootstrap import Gain, compute_gains, format_gain, gain_columns
from kit.evaluation.competition import (
    Scoring,
    bind_rows,
    for_labels,
    for_metric,
    gain_over_plain,
    with_scores,
)
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Classes, Ensembler, Metric, Reranker, RetrievedNeighbours, Scorer
from kit.kinds.label_kinds import check_takes
from kit.runs.run import plugin_hashes
from kit.stages.blending.members import labels, row_clusters
from kit.stages.retrieval.neighbour_search import (
    SplitNeighbours,
    classifiers,
    find_neighbours,
    with_classifier,
)
from kit.stages.retrieval.source import EmbeddedRun, check_ignored_classes, read_source

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RerankerGain:
    """One reranker: its gain over the search without any, and whether the result uses it."""

    name: str
    gain: Gain
    is_used: bool


@dataclass(frozen=True, repr=False)
class RetrievalResult(Displayed):
    """Retrieval's result for one run: the member's name for `kit blend`, its files, and its out-of-fold scores."""

    member: str
    folder: Path
    scorer: Mapping[str, Any]  # the fitted recipe
    scores: Mapping[str, float]
    in_sample: float  # the metric on the rows that the scorer was fitted on
    plain: Mapping[str, float]  # the classifier's scores of the same rows, if there is one
    gain: Gain | None  # over the classifier, by the metric
    rerankers: tuple[RerankerGain, ...]

    def describe(self) -> list[str]:
        """Returns the fitted scorer, the scores beside the classifier's, and the gain of each reranker, in lines."""
        options = [
            f"{key} {value}" for key, value in self.scorer.items() if not isinstance(value, dict | None)
        ]
        lines = [f"{self.member}: {', '.join(options).removeprefix('name ')}"]
        for name, value in self.scores.items():
            plain = self.plain.get(name)
            before = "" if plain is None else f" (classifier {plain:.4f}, {value - plain:+.4f})"
            lines.append(f"  out of fold {name} {value:.4f}{before}")
        if self.gain is not None:
            lines.append(f"  over the classifier: {format_gain(self.gain)}")
        for reranker in self.rerankers:
            state = "used" if reranker.is_used else "left out"
            lines.append(f"  {reranker.name} {state}: by itself {format_gain(reranker.gain)}")
        return lines

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the member, its scorer and rerankers, its scores, and the gain over the classifier."""
        used = " ".join(reranker.name for reranker in self.rerankers if reranker.is_used)
        row = {"member": self.member, "scorer": self.scorer.get("name"), "rerankers": used, **self.scores}
        return frame([row | gain_columns(self.gain)])


@stage
def retrieve(
    workspace: Workspace | StrPath,
    members: Sequence[str],
    scorer: Any = "power",
    rerankers: Sequence[Any] = (),
) -> Work[list[RetrievalResult]]:
    """Predicts all rows by the embeddings of members such as `runs/r@hflip`, and writes the predictions.

    Raises what `read_source` raises, ConfigError C28 for more neighbours than a gallery has, C17 for labels
    that a scorer does not take. Raises InvalidError D41 if a scorer needs predictions that do not exist.
    """
    workspace = Workspace.of(workspace)
    root = workspace.root
    opened_scorer = Scorer.open(scorer, root, "scorer")
    opened = [Reranker.open(spec, root, "reranker").in_workspace(root) for spec in rerankers]
    table = labels(workspace).sort_by_id()
    scoring = Scoring.of(workspace, table)
    metric = scoring.metric
    check_takes((opened_scorer, metric), table.label_kind, root)
    recipe = for_metric(opened_scorer, metric).with_classes(Classes(table.classes))
    slugs = [plugin.slug() for plugin in (opened_scorer, *opened)]
    context = _RetrievalContext(workspace, table, scoring, recipe, opened, slugs)
    read = [read_source(workspace, member, table) for member in members]
    results = []
    for source in read:
        mine = replace(context, table=source.table, scorer=recipe.with_classes(Classes(source.table.classes)))
        results.append((yield from mine.answer(source)))
    return results


@dataclass(frozen=True)
class _Scoring:
    """A scorer in the form of a recipe for cross_fit."""

    scorer: Scorer

    def fit(self, members: RetrievedNeighbours, truth: np.ndarray) -> Self:
        return replace(self, scorer=self.scorer.fit(members, truth))

    def blend(self, members: RetrievedNeighbours) -> np.ndarray:
        return self.scorer.score(members)

    def take_rows(self, rows: np.ndarray) -> Self:
        return replace(self, scorer=self.scorer.take_rows(rows))


@dataclass(frozen=True, eq=False)
class _SearchVariant:
    """One variant of the search: its neighbours, its cross-fitted scores, and the scorer fitted on all rows."""

    rerankers: tuple[Reranker, ...]
    oof: SplitNeighbours
    test: SplitNeighbours | None  # None: there are no test rows
    cross_fitted: np.ndarray  # (known, K)
    scorer: Scorer


@dataclass(frozen=True)
class _RetrievalContext:
    """The state that all members of a command share."""

    workspace: Workspace
    table: Table
    scoring: Scoring
    scorer: Scorer
    rerankers: Sequence[Reranker]
    names: Sequence[str]  # of the scorer and the rerankers as requested

    def answer(self, source: EmbeddedRun) -> Work[RetrievalResult]:
        """Predicts one run's rows by each set of rerankers, and writes the best set, which is chosen by other
        rows' scores.
        """
        ignored = self.scorer.classes_to_ignore()
        check_ignored_classes(source, ignored)
        own_predictions = tuple(classifiers(source)) if self.scorer.takes_probabilities else ()
        variants: list[_SearchVariant] = []
        for chosen in _subsets(self.rerankers):
            detail = " ".join(reranker.plugin_name() for reranker in chosen)
            oof, test = yield from find_neighbours(source, self.scorer.neighbours(), chosen, ignored, detail)
            if own_predictions:
                oof = with_classifier(oof, own_predictions[0])
                test = None if test is None else with_classifier(test, own_predictions[1])
            variants.append(self._search(source, chosen, oof, test))
        return self._write(source, variants)

    def _search(
        self,
        source: EmbeddedRun,
        chosen: tuple[Reranker, ...],
        oof: SplitNeighbours,
        test: SplitNeighbours | None,
    ) -> _SearchVariant:
        rows, folds = self._rows(source, oof)
        held_out = self.table.take(rows)
        cross_fitted, fitted = cross_fit(
            _Scoring(bind_rows(self.scorer, held_out)),
            oof.neighbours,
            held_out.targets(),
            folds,
            row_clusters(folds, held_out),
        )
        return _SearchVariant(chosen, oof, test, cross_fitted, fitted.scorer)

    def _rows(self, source: EmbeddedRun, oof: SplitNeighbours) -> tuple[np.ndarray, np.ndarray]:
        """Returns the known rows' positions in the table, and the fold that held each out, in the first repeat."""
        rows = self.table.index_of(oof.ids[oof.known])
        return rows, source.folds.numbers[rows, 0]

    def _write(self, source: EmbeddedRun, variants: Sequence[_SearchVariant]) -> RetrievalResult:
        rows, folds = self._rows(source, variants[0].oof)
        held_out = self.table.take(rows)
        chosen_probabilities, best = self._choose(variants, held_out, folds)
        variant = variants[best]
        one_class = self.table.has_one_class
        prior = self.table.counts() / len(self.table) if one_class else self.table.prior()
        name = "-".join([source.views, *self.names])
        folder, made_from = source.run.predictions(name), self._provenance(source, name, variant)
        shares = variant.oof.scatter_scores(chosen_probabilities, prior)
        provenance = replace(made_from, rows="oof", folds=source.provenance.folds)
        oof = Predictions(
            variant.oof.ids, variant.oof.folds, self.table.classes, shares, provenance, self.table.target
        )
        oof = with_scores(oof, self.scoring, self.table)
        oof.write(folder / "oof.parquet")
        if variant.test is not None:
            shares = variant.test.scatter_scores(variant.scorer.score(variant.test.neighbours), prior)
            self._predict_test(source, variant.test, shares, made_from).write(folder / "test.parquet")
        metric, answers, probabilities = self._bind(
            held_out, folds, variant.scorer.score(variant.oof.neighbours)
        )
        return RetrievalResult(
            f"runs/{source.run.name}@{name}",
            folder,
            variant.scorer.spec(),
            oof.provenance.require_scores(),
            metric.score(answers.targets(), probabilities),
            *gain_over_plain(source.run.predictions("plain") / "oof.parquet", oof, self.scoring, self.table),
            self._reranker_gains(variants, variant, held_out, folds),
        )

    def _predict_test(
        self, source: EmbeddedRun, test: SplitNeighbours, shares: np.ndarray, made_from: Provenance
    ) -> Predictions:
        ids, images = source.provenance.ids["test"], source.provenance.images["test"]
        provenance = replace(made_from, rows="test", ids=ids, images=images)
        return Predictions(test.ids, test.folds, self.table.classes, shares, provenance, self.table.target)

    def _bind(
        self, held_out: Table, folds: np.ndarray, shares: np.ndarray
    ) -> tuple[Metric, Table, Probabilities]:
        """Returns the metric of the answers of held-out images, those answers, and their probabilities."""
        predictions = Predictions(held_out.ids, folds, held_out.classes, shares, target=held_out.target)
        return self.scoring.bind(predictions, self.table)

    def _choose(
        self, variants: Sequence[_SearchVariant], held_out: Table, folds: np.ndarray
    ) -> tuple[np.ndarray, int]:
        """Returns cross-fitted scores (known, K), each fold's by the variant that is best on the others, and
        the best variant overall.
        """
        if len(variants) == 1:
            return variants[0].cross_fitted, 0
        stack, truth = np.stack([variant.cross_fitted for variant in variants]), held_out.targets()
        single = for_labels(
            for_metric(Ensembler.open("single"), bind_rows(self.scoring.metric, held_out)), held_out.target
        )
        try:
            cross_fitted, fitted = cross_fit(single, stack, truth, folds, row_clusters(folds, held_out))
        except InvalidError:  # too few rows to choose on some and to score on others
            return variants[0].cross_fitted, 0
        return cross_fitted, int(getattr(fitted, "member", 0))

    def _reranker_gains(
        self, variants: Sequence[_SearchVariant], chosen: _SearchVariant, held_out: Table, folds: np.ndarray
    ) -> tuple[RerankerGain, ...]:
        metric, answers, base = self._bind(held_out, folds, variants[0].cross_fitted)
        gains = []
        for reranker in self.rerankers:
            alone = next(variant for variant in variants if variant.rerankers == (reranker,))
            probabilities = self._bind(held_out, folds, alone.cross_fitted)[2]
            (gain,) = compute_gains(
                metric, answers.targets(), probabilities, {"plain search": base}, answers.groups
            )
            gains.append(RerankerGain(reranker.plugin_name(), gain, reranker in chosen.rerankers))
        return tuple(gains)

    def _provenance(self, source: EmbeddedRun, name: str, variant: _SearchVariant) -> Provenance:
        """Returns the provenance of the predictions: the embeddings, and how they were compared."""
        provenance = source.provenance
        retrieval = RetrievalRecord(
            embeddings=source.views,
            scorer=variant.scorer.spec(),
            rerankers=tuple(reranker.spec() for reranker in variant.rerankers),
        )
        return Provenance(
            run=provenance.run,
            views=name,
            merge=provenance.merge,
            classes=provenance.classes,
            plugins={**provenance.plugins, **plugin_hashes([variant.scorer, *variant.rerankers])},
            checkpoints=source.tags,
            retrieval=retrieval,
        )


def _subsets(rerankers: Sequence[Reranker]) -> list[tuple[Reranker, ...]]:
    """Returns every set of rerankers in the given order, the empty one first."""
    return [chosen for count in range(len(rerankers) + 1) for chosen in combinations(rerankers, count)]
