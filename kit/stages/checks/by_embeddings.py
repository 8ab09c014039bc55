"""Checks by embeddings: copies that pixels do not show, and test rows that can be separated from training
rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.core.nearest import nearest
from kit.core.progress import Progress, Work
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.table import Table
from kit.errors import Case
from kit.images.near_duplicates import NEIGHBOURS, chance_distance
from kit.runs.run import Run
from kit.stages.checks import adversarial
from kit.stages.checks.adversarial import Separability, classify_train_vs_test
from kit.stages.checks.finding import Finding


@dataclass(frozen=True, eq=False)
class RowContext:
    """The context of the rows: the tables, the folds, and pairs of copies by their pixels."""

    train: Table
    test: Table
    folds: Folds
    pairs: np.ndarray  # (pairs, 2) rows of train and then test
    groups: np.ndarray  # (train + test rows,): the cluster of related rows


def check_by_networks(
    workspace: Workspace, checkpoints: Sequence[str], context: RowContext
) -> Work[list[Finding]]:
    """Yields K15 and K16 for each run; embeds the images first, if that is not done. Raises what kit embed raises."""
    from kit.stages.prediction.embed import embed

    findings: list[Finding] = []
    for result in (yield from embed.with_progress(workspace, checkpoints)):
        yield Progress("check", 0, 1, f"{result.member}: rows with similar features")
        parts = {int(fold): result.folder / fold for fold in result.folds}
        own = Run(result.folder.parents[1]).folds()  # which may differ from those that the config makes now
        findings += check_by_run(result.member, parts, replace(context, folds=own))
    return findings


def check_by_run(member: str, parts: Mapping[int, Path], context: RowContext) -> Iterator[Finding]:
    """Yields K15 and K16 from the embeddings of each fold's network, in these folders.

    A fold's network evaluates the rows that it holds out and one part of the test rows.
    """
    pairs, across = [], []
    separabilities: list[tuple[np.ndarray, Separability]] = []
    count, test = len(context.train), len(context.test)
    known = {tuple(pair) for pair in context.pairs.tolist()}
    for index, (fold, folder) in enumerate(parts.items()):
        read = Embeddings.read(folder)
        vectors = np.concatenate([_unit(read.train.vectors), _unit(read.test.vectors)])
        usable = np.asarray(vectors.any(axis=1))
        held_out = np.flatnonzero(context.folds.oof_mask(fold) & usable[:count])
        others = np.flatnonzero((context.folds.folds_of_related_rows != fold).all(axis=1) & usable[:count])
        tests = np.flatnonzero(usable[count:]) + count
        across += _alike(vectors, held_out, others)
        if index == 0:
            pairs += _alike(vectors, tests, np.arange(count)[usable[:count]])
        rows = np.concatenate([held_out, tests[index :: len(parts)]])
        separability = (
            classify_train_vs_test(vectors[rows], (), rows >= count, context.groups[rows], "linear")
            if test
            else None
        )
        if separability is not None:
            separabilities.append((rows, separability))
    if separabilities:
        ids = np.concatenate([context.train.ids, context.test.ids])
        yield from adversarial.check_embeddings(_pool(separabilities, len(ids)), member, ids, count)
    new = sorted({tuple(sorted(pair)) for pair in [*across, *pairs]} - known)
    if new:
        yield _alike_to(member, new, context)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors as float32 of length 1, except vectors of zeros."""
    floats = vectors.astype(np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(floats, lengths, out=np.zeros_like(floats), where=lengths > 0)
    return unit


def _alike(vectors: np.ndarray, rows: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Returns pairs of a row and another that are far nearer than the row's other neighbours, relative to the
    others' mean.
    """
    if len(others) <= NEIGHBOURS or not len(rows):
        return []
    mean = vectors[others].mean(axis=0)
    neighbours = nearest(_unit(vectors[rows] - mean), _unit(vectors[others] - mean), NEIGHBOURS)
    apart = 1 - neighbours.similarities
    near = apart <= chance_distance(apart) * apart[:, -1:]
    at, rank = np.nonzero(near)
    return list(zip(rows[at].tolist(), others[neighbours.rows[at, rank]].tolist(), strict=True))


def _pool(separabilities: Sequence[tuple[np.ndarray, Separability]], rows: int) -> Separability:
    """Returns the mean of the folds' AUCs, which are of other rows each.

    The folds' errors are independent, so they shrink.
    """
    shares = np.full(rows, np.nan)
    for at, separability in separabilities:
        shares[at] = separability.shares
    auc = float(np.mean([separability.auc for _, separability in separabilities]))
    errors = [(separability.interval[1] - separability.interval[0]) / 2 for _, separability in separabilities]
    half = float(np.sqrt(np.sum(np.square(errors)))) / len(separabilities)
    return Separability(auc, (auc - half, min(auc + half, 1.0)), shares, {})


def _alike_to(member: str, pairs: Sequence[tuple[int, ...]], context: RowContext) -> Finding:
    ids = np.concatenate([context.train.ids, context.test.ids])
    count = len(context.train)
    between = sum(other >= count for _, other in pairs)
    rows = {row for pair in pairs if pair[1] < count for row in pair}
    return Finding(
        "K16",
        "warning",
        f"{len(pairs)} pairs of images have similar features in {member} but different pixels; {between} "
        "of them join a training and a test image",
        f"they may be crops or views of one thing: up to {len(rows) / count:.1%} of the rows are scored "
        "by a model that was trained on it, so the cross-validated score is optimistic",
        "review them; if they show one thing, give each a row in groups.csv (data.group=auto), or add a "
        "column",
        tuple(Case(" = ".join(str(ids[row]) for row in pair)) for pair in pairs),
    )
