"""retrieve: rows answered with the most similar training images, as predictions that `kit blend` takes.

Held-out rows are compared with what their fold's model was trained on, as test rows are. Whatever is fitted, exponents
or a choice of rerankers, goes through cross_fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Self

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.core.progress import Work, finish
from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation.competition import metric_of
from kit.evaluation.crossfit import cross_fit
from kit.evaluation.ensembler_setup import for_metric
from kit.evaluation.gains import Gain
from kit.evaluation.paired import paired
from kit.kinds import Classes, Ensembler, Metric, Neighbours, Reranker, Scorer
from kit.kinds.label_kinds import check_takes
from kit.runs.run import sources
from kit.runs.scoring import beside_plain, scored
from kit.stages.blending.out_of_fold import labels, relatives
from kit.stages.retrieval.neighbour_search import Answered, asking, classifiers, with_classifier
from kit.stages.retrieval.source import Source, check_classes, read_source


@dataclass(frozen=True)
class Tried:
    """A reranker, by itself: its gain over the search without any, and whether the answer uses it."""

    name: str
    gain: Gain
    kept: bool


@dataclass(frozen=True)
class Retrieved:
    """What retrieval made of one run: the member's name for `kit blend`, its files, and its out-of-fold scores."""

    member: str
    folder: Path
    scorer: Mapping[str, Any]  # the recipe as it was fitted
    scores: Mapping[str, float]
    in_sample: float  # the metric on the rows that the scorer was fitted on
    plain: Mapping[str, float]  # the classifier's scores of the same rows, where there is one
    gain: Gain | None  # over the classifier, by the metric
    rerankers: tuple[Tried, ...]


def retrieve(
    workspace: Workspace | StrPath,
    members: Sequence[str],
    scorer: Any = "power",
    rerankers: Sequence[Any] = (),
) -> list[Retrieved]:
    """Answers all rows by the embeddings of members such as `runs/r@hflip`, and writes predictions.

    Raises what `read_source` raises, ConfigError C28 for more neighbours than a gallery has, C17 for labels that a
    scorer does not take, InvalidError D41 where a scorer joins predictions that are not there.
    """
    return finish(retrieving(Workspace.of(workspace), members, scorer, rerankers))


def retrieving(
    workspace: Workspace, members: Sequence[str], scorer: Any = "power", rerankers: Sequence[Any] = ()
) -> Work[list[Retrieved]]:
    """retrieve, with its progress."""
    root = workspace.root
    asked = Scorer.open(scorer, root, "scorer")
    opened = [Reranker.open(spec, root, "reranker").within(root) for spec in rerankers]
    table = labels(workspace).sorted_by_id()
    metric = metric_of(workspace, table)
    check_takes((asked, metric), table.label_kind, root)
    recipe = for_metric(asked, metric).bind(Classes(table.classes))
    named = [one.called() for one in (asked, *opened)]
    desk = _Desk(workspace, table, metric, recipe, opened, named)
    read = [read_source(workspace, member, table) for member in members]
    made = []
    for source in read:
        mine = replace(desk, table=source.table, scorer=recipe.bind(Classes(source.table.classes)))
        made.append((yield from mine.answering(source)))
    return made


@dataclass(frozen=True)
class _Scoring:
    """A scorer as cross_fit knows recipes."""

    scorer: Scorer

    def fit(self, members: Neighbours, truth: np.ndarray) -> Self:
        return replace(self, scorer=self.scorer.fit(members, truth))

    def blend(self, members: Neighbours) -> np.ndarray:
        return self.scorer.score(members)


@dataclass(frozen=True, eq=False)
class _Way:
    """One way to search: the neighbours that it finds, their honest scores, and the scorer fitted on all of them."""

    rerankers: tuple[Reranker, ...]
    oof: Answered
    test: Answered
    honest: np.ndarray  # (known, K)
    scorer: Scorer


@dataclass(frozen=True)
class _Desk:
    """What all members of a command share."""

    workspace: Workspace
    table: Table
    metric: Metric
    scorer: Scorer
    rerankers: Sequence[Reranker]
    names: Sequence[str]  # of the scorer and the rerankers as they were asked for

    def answering(self, source: Source) -> Work[Retrieved]:
        """One run's answers, by each set of rerankers; the best set by other rows' scores is written."""
        ignored = self.scorer.ignores()
        check_classes(source, ignored)
        said = tuple(classifiers(source)) if self.scorer.takes_probabilities else ()
        ways: list[_Way] = []
        for chosen in _subsets(self.rerankers):
            detail = " ".join(reranker.plugin_name() for reranker in chosen)
            found = yield from asking(source, self.scorer.neighbours(), chosen, ignored, detail)
            if said:
                found = (with_classifier(found[0], said[0]), with_classifier(found[1], said[1]))
            ways.append(self._way(source, chosen, *found))
        return self._written(source, ways)

    def _way(self, source: Source, chosen: tuple[Reranker, ...], oof: Answered, test: Answered) -> _Way:
        rows, folds = self._rows(source, oof)
        held = self.table.take(rows)
        honest, fitted = cross_fit(
            _Scoring(self.scorer), oof.near, held.true_labels(), folds, relatives(folds, held)
        )
        return _Way(chosen, oof, test, honest, fitted.scorer)

    def _rows(self, source: Source, oof: Answered) -> tuple[np.ndarray, np.ndarray]:
        """The known rows' places in the table, and the fold that held each out, in the first repeat."""
        rows = self.table.rows_of(oof.ids[oof.known])
        return rows, source.folds.numbers[rows, 0]

    def _written(self, source: Source, ways: Sequence[_Way]) -> Retrieved:
        rows, folds = self._rows(source, ways[0].oof)
        held = self.table.take(rows)
        honest, best = self._chosen(ways, held, folds)
        way, prior = ways[best], self.table.counts() / len(self.table)
        name = "-".join([source.views, *self.names])
        folder, about = source.run.predictions(name), self._about(source, name, way)
        shares = way.oof.scattered(honest, prior)
        oof = Predictions(way.oof.ids, way.oof.folds, self.table.classes, shares, {**about, "rows": "oof"})
        oof = scored(
            replace(oof, about={**oof.about, "folds": source.about["folds"]}), self.metric, self.table
        )
        oof.write(folder / "oof.parquet")
        answers = way.test.scattered(way.scorer.score(way.test.near), prior)
        test = {
            **about,
            "rows": "test",
            "ids": source.about["ids"]["test"],
            "images": source.about["images"]["test"],
        }
        Predictions(way.test.ids, way.test.folds, self.table.classes, answers, test).write(
            folder / "test.parquet"
        )
        truth = held.true_labels()
        return Retrieved(
            f"runs/{source.run.name}@{name}", folder, way.scorer.spec(), oof.about["scores"],
            self.metric.score(truth, way.scorer.score(way.oof.near)),
            *beside_plain(source.run, oof, self.metric, self.table), self._tried(ways, way, held),
        )  # fmt: skip

    def _chosen(self, ways: Sequence[_Way], held: Table, folds: np.ndarray) -> tuple[np.ndarray, int]:
        """Honest scores (known, K), each fold's by the way that is best on the others', and the best way of all."""
        if len(ways) == 1:
            return ways[0].honest, 0
        stack, truth = np.stack([way.honest for way in ways]), held.true_labels()
        single = for_metric(Ensembler.open("single"), self.metric)
        try:
            honest, fitted = cross_fit(single, stack, truth, folds, relatives(folds, held))
        except InvalidError:  # too few rows to choose on some and to score on others
            return ways[0].honest, 0
        return honest, int(getattr(fitted, "member", 0))

    def _tried(self, ways: Sequence[_Way], kept: _Way, held: Table) -> tuple[Tried, ...]:
        base, truth = ways[0].honest, held.true_labels()
        found = []
        for reranker in self.rerankers:
            alone = next(way for way in ways if way.rerankers == (reranker,))
            (gain,) = paired(self.metric, truth, alone.honest, {"plain search": base}, held.groups)
            found.append(Tried(reranker.plugin_name(), gain, reranker in kept.rerankers))
        return tuple(found)

    def _about(self, source: Source, name: str, way: _Way) -> dict[str, Any]:
        """What the predictions say of themselves: the embeddings' word, and how they were compared."""
        kept = {key: source.about[key] for key in ("run", "merge", "classes", "average_group")}
        plugins = {**source.about["plugins"], **sources([way.scorer, *way.rerankers])}
        retrieval = {
            "embeddings": source.views, "scorer": way.scorer.spec(), "rerankers": [one.spec() for one in way.rerankers]
        }  # fmt: skip
        return {**kept, "views": name, "plugins": plugins, "checkpoints": source.tags, "retrieval": retrieval}


def _subsets(rerankers: Sequence[Reranker]) -> list[tuple[Reranker, ...]]:
    """Every set of rerankers in the order given, the empty one first."""
    return [chosen for count in range(len(rerankers) + 1) for chosen in combinations(rerankers, count)]
