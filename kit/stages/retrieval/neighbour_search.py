"""Searches the neighbours of every held-out and every test row, each fold's in its own gallery."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from kit.core.nearest import Search, nearest
from kit.core.progress import Progress, Work
from kit.data.embeddings import Vectors
from kit.data.predictions import Predictions
from kit.errors import InvalidError, KitWarning
from kit.kinds import Reranker, RetrievedNeighbours
from kit.kinds.advice import predict_command
from kit.stages.retrieval.source import EmbeddedRun

TASK = "retrieve"


@dataclass(frozen=True, eq=False)
class SplitNeighbours:
    """Rows of one split by fold number, and the neighbours of each row that has a vector."""

    ids: np.ndarray  # (rows,) of str
    folds: np.ndarray  # (rows,) int64, the fold of the network
    known: np.ndarray  # (rows,) bool, whether the row has a vector
    neighbours: RetrievedNeighbours  # of the known ones
    rows: np.ndarray  # (known, k) int64, the neighbours' positions in the training table

    def scatter_scores(self, scores: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Returns scores (known, K) at the positions of their rows, the classes' prior (K,) elsewhere, float32."""
        whole = np.tile(prior, (len(self.ids), 1))
        whole[self.known] = scores
        return whole.astype(np.float32)


def find_neighbours(
    source: EmbeddedRun,
    k: int,
    rerankers: Sequence[Reranker] = (),
    ignored: Sequence[str] = (),
    detail: str = "",
) -> Work[tuple[SplitNeighbours, SplitNeighbours | None]]:
    """Returns the k nearest training images of out-of-fold rows, and of test rows, by each fold's network.

    The second is None if there are no test rows.

    Raises ConfigError C28 if a fold's gallery has fewer than k images; warns (W21) of classes that it lacks.
    """
    oof, test = [], []
    warn_of_missing(source, ignored)
    total = 2 * len(source.by_fold)
    for number, (fold, embeddings) in enumerate(source.by_fold.items()):
        yield Progress(TASK, 2 * number, total, f"{source.member} {detail}".strip())
        gallery, held_out = source.gallery(fold, ignored), source.oof_mask(fold)
        vectors = np.ascontiguousarray(embeddings.train.vectors[gallery])
        queries = Vectors(source.table.ids[held_out], embeddings.train.vectors[held_out])
        oof.append(_of_fold(source, fold, queries, gallery, vectors, _chain(rerankers, fold), k))
        yield Progress(TASK, 2 * number + 1, total, f"{source.member} {detail}".strip())
        if len(embeddings.test):
            test.append(_of_fold(source, fold, embeddings.test, gallery, vectors, _chain(rerankers, None), k))
    return _concat(oof), _concat(test) if test else None


def _of_fold(
    source: EmbeddedRun,
    fold: int,
    queries: Vectors,
    gallery: np.ndarray,
    vectors: np.ndarray,
    search: Search,
    k: int,
) -> SplitNeighbours:
    known = queries.has_image()
    neighbours = search(np.ascontiguousarray(queries.vectors[known]), vectors, k)
    rows = gallery[neighbours.rows]
    labels, values = source.table.targets()[rows], None
    if not source.table.has_one_class:
        labels, values = np.zeros(rows.shape, np.int64), labels.astype(np.float64)
    near = RetrievedNeighbours(neighbours.similarities, labels, len(source.table.classes), values=values)
    return SplitNeighbours(queries.ids, np.full(len(queries), fold), known, near, rows)


def _chain(rerankers: Sequence[Reranker], fold: int | None) -> Search:
    """Returns a search through all rerankers, the last one outermost."""
    search: Search = nearest
    for reranker in rerankers:
        search = partial(reranker.of_fold(fold).search, inner=search)
    return search


def _concat(parts: Sequence[SplitNeighbours]) -> SplitNeighbours:
    first = parts[0].neighbours
    values = [part.neighbours.values for part in parts if part.neighbours.values is not None]
    near = RetrievedNeighbours(
        np.concatenate([part.neighbours.similarities for part in parts]),
        np.concatenate([part.neighbours.labels for part in parts]),
        first.classes,
        values=np.concatenate(values) if values else None,
    )
    ids, folds, known, rows = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "folds", "known", "rows")
    )
    return SplitNeighbours(ids, folds, known, near, rows)


def with_classifier(neighbours: SplitNeighbours, predicted: Predictions) -> SplitNeighbours:
    """Returns the same neighbours, with the predictions of the same folds' classifier."""
    probabilities = np.empty((len(neighbours.neighbours), neighbours.neighbours.classes), np.float32)
    folds = neighbours.folds[neighbours.known]
    for fold in np.unique(folds).tolist():
        ids = neighbours.ids[neighbours.known][folds == fold]
        probabilities[folds == fold] = predicted.take(predicted.folds == fold).align(
            ids.tolist(), allow_extra=True
        )
    return replace(neighbours, neighbours=replace(neighbours.neighbours, probabilities=probabilities))


def classifiers(source: EmbeddedRun) -> Iterator[Predictions]:
    """Yields the run's own predictions by the same views: out of fold, then of the test rows if there are any.

    Raises InvalidError D41 if there are none, D48 if they come from other checkpoints than the embeddings.
    """
    folder = source.run.predictions(source.views)
    hint = predict_command(source.run.name, source.views)
    for split in ("oof", "test") if source.has_test_rows else ("oof",):
        file = folder / f"{split}.parquet"
        if not file.is_file():
            raise InvalidError(
                f"{source.member} has no classifier predictions: {file} is missing", code="D41", hint=hint
            )
        predictions = Predictions.read(file)
        if _differ(source.tags, predictions.provenance.checkpoints):
            raise InvalidError(
                f"the embeddings and the predictions of {source.member} come from different checkpoints",
                code="D48",
                hint=hint.replace("kit tta", "kit embed"),
            )
        yield predictions


def _differ(mine: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return any(theirs.get(fold) != tag for fold, tag in mine.items())


def warn_of_missing(source: EmbeddedRun, ignored: Sequence[str]) -> None:
    """Warns (W21) of classes that have rows, but no image in some fold's gallery."""
    if not source.table.has_one_class:
        return
    labels, classes = source.table.targets(), source.table.classes
    missing: dict[str, list[int]] = {}
    for fold in source.by_fold:
        there = np.bincount(labels[source.gallery(fold, ignored)], minlength=len(classes)) > 0
        has_queries = np.bincount(labels[source.oof_mask(fold)], minlength=len(classes)) > 0
        for number in np.flatnonzero(has_queries & ~there):
            if classes[number] not in ignored:
                missing.setdefault(classes[number], []).append(fold)
    if missing:
        names = ", ".join(
            f"{name} (fold {', '.join(map(str, folds))})" for name, folds in list(missing.items())[:5]
        )
        text = (
            f"W21 {len(missing)} classes have no image in a fold's gallery, so their held-out rows "
            f"cannot be found: {names}"
        )
        warnings.warn(KitWarning(text), stacklevel=3)
