"""pairs: the probability that two images are of one class, learned from pairs of held-out rows.

Pairs are drawn within a fold's held-out rows and scored by that fold's network, which saw neither. The
classifier is scored on pairs of other folds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, write_json
from kit.core.nearest import nearest
from kit.core.progress import Progress, Work, stage
from kit.core.randomness import generator
from kit.data.csv_file import read_csv
from kit.data.table import Table
from kit.errors import Case, ConfigError, DataError, InvalidError
from kit.evaluation.crossfit import cross_fit
from kit.evaluation.pair_classifier import (
    FEATURES,
    PairClassifier,
    adjust_for_prior,
    best_threshold,
    curve,
    pair_features,
)
from kit.kinds import Metric
from kit.kinds.label_kinds import MEANING
from kit.stages.blending.members import labels
from kit.stages.retrieval.pair_sampling import sample_pairs
from kit.stages.retrieval.pair_scoring import TEST, score_pairs
from kit.stages.retrieval.source import EmbeddedRun, read_source

if TYPE_CHECKING:
    import pandas as pd

TASK = "pairs"
SCHEMA = 1
PAIR_COLUMNS = ("id_1", "id_2", "probability", "same")


@dataclass(frozen=True, repr=False)
class PairsResult(Displayed):
    """The fitted classifier of pairs, and the requested pairs."""

    model: Path
    drawn: int  # pairs of held-out rows, half of them of one class
    scores: Mapping[str, float]  # on drawn pairs of other folds than those that the classifier was fitted on
    threshold: float  # threshold from which pairs are predicted as the same, with the best F1
    f1: float  # at the threshold, on the same pairs
    adjusted_threshold: float  # the threshold, adjusted as the probabilities of the requested pairs
    ids: tuple[tuple[str, str], ...]
    probabilities: tuple[float, ...]
    seen: int  # pairs of training rows of which every network of the run saw one

    def describe(self) -> list[str]:
        """Returns the scores, the threshold, and a note on pairs that a network was trained on, in lines."""
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        lines = [
            f"{self.drawn} pairs of held-out rows, half of them positive; cross-validated over folds: {scores}",
            f"with threshold {self.threshold:.3f} F1 is {self.f1:.4f}",
        ]
        if self.seen:
            lines.append(
                f"{self.seen} pairs join training rows of different folds, so each network was trained on "
                "one of the two rows"
            )
        return lines

    @property
    def reranker(self) -> dict[str, str]:
        """The reranker of `kit retrieve` that uses the classifier."""
        return {"name": "pairs", "model": f"runs/{self.model.parents[1].name}/pairs/{self.model.name}"}

    def to_csv(self) -> str:
        """Returns the scored pairs as the text of a CSV file: id_1, id_2, probability, same."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(PAIR_COLUMNS)
        writer.writerows(
            [*ids, f"{value:.6g}", int(value >= self.adjusted_threshold)]
            for ids, value in zip(self.ids, self.probabilities, strict=True)
        )
        return text.getvalue()

    def _lines(self) -> list[str]:
        return [*self.describe(), f"classifier: {self.model}"]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per requested pair: both ids, the probability of one class, and whether it passes the
        threshold.
        """
        rows = [
            [*ids, value, value >= self.adjusted_threshold]
            for ids, value in zip(self.ids, self.probabilities, strict=True)
        ]
        return frame((dict(zip(PAIR_COLUMNS, row, strict=True)) for row in rows), PAIR_COLUMNS)


@stage
def classify_pairs(
    workspace: Workspace | StrPath,
    member: str,
    csv_file: Path | None = None,
    positive_rate: float | None = None,
) -> Work[PairsResult]:
    """Learns from a member's embeddings such as `runs/r@hflip`, and scores the pairs of a CSV, its first two
    columns.

    `positive_rate`, the share of requested pairs of one class, shifts the probabilities. Without it they
    assume that half of the pairs are of one class.

    Raises what `read_source` raises, DataError D64 for an unknown id, InvalidError D46 if rows are too few.
    """
    workspace = Workspace.of(workspace)
    table = labels(workspace).sort_by_id()
    if not table.has_one_class:
        text = f"pairs need {MEANING['class_index']}, but the table has {MEANING[table.label_kind]}"
        raise ConfigError(text, code="C17")
    source = read_source(workspace, member, table)
    wanted = _read(csv_file, table, source) if csv_file is not None else ()
    features, same, folds = yield from _draw_pairs(source, workspace.experiment.seed)
    cross_fitted, classifier_of_all = cross_fit(
        PairClassifier(), features[None], same.astype(np.int64), folds
    )
    classifiers = {
        str(fold): PairClassifier().fit(features[None, folds != fold], same[folds != fold])
        for fold in np.unique(folds)
    }
    classifiers = {**classifiers, TEST: classifier_of_all}
    same_probability = cross_fitted[:, 1]
    threshold, f1 = best_threshold(same_probability, same)
    scores = {
        name: Metric.open(name).score(same.astype(np.int64), cross_fitted) for name in ("auc", "log_loss")
    }
    model = source.run.folder / "pairs" / f"{source.views}.json"
    write_json(
        model,
        {
            "schema": SCHEMA,
            "member": source.member,
            "checkpoints": source.tags,
            "features": list(FEATURES),
            "drawn": len(same),
            "scores": scores,
            "threshold": threshold,
            "f1": f1,
            "curve": curve(same_probability, same),
            "judges": {name: classifier.spec() for name, classifier in classifiers.items()},
        },
    )
    probabilities, seen = score_pairs(source, wanted, classifiers)
    level = np.array([threshold])
    if positive_rate is not None:
        probabilities, level = (
            adjust_for_prior(values, float(same.mean()), positive_rate) for values in (probabilities, level)
        )
    return PairsResult(
        model,
        len(same),
        scores,
        threshold,
        f1,
        float(level[0]),
        tuple(wanted),
        tuple(probabilities.tolist()),
        seen,
    )


def _draw_pairs(source: EmbeddedRun, seed: int) -> Work[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns features (pairs, F) of drawn pairs, whether each is of one class, and the fold that held both out."""
    features, same, folds = [], [], []
    shapes = source.table.class_groups or source.table.classes
    for number, (fold, embedded) in enumerate(source.by_fold.items()):
        yield Progress(TASK, number, len(source.by_fold), f"{source.member} fold {fold}")
        rows = np.array([row for row in source.oof_mask(fold) if source.has_vector[row]])
        vectors = np.ascontiguousarray(embedded.train.vectors[rows]) if len(rows) else np.empty((0, 1))
        if len(rows) < 2:
            continue
        near = nearest(vectors, vectors, min(20, len(rows))).rows
        chosen, equal = sample_pairs(source.table.targets()[rows], shapes, near, generator(seed, TASK, fold))
        features.append(pair_features(vectors[chosen[:, 0]], vectors[chosen[:, 1]]))
        same.append(equal)
        folds.append(np.full(len(equal), fold))
    if len(features) < 2 or any(part.all() or not part.any() for part in same):
        raise InvalidError(
            "the classifier is fitted on one fold and scored on another: two folds need both positive "
            "and negative pairs",
            code="D46",
            hint="run kit embed for all folds of a splitter with two folds or more",
        )
    return np.concatenate(features), np.concatenate(same), np.concatenate(folds)


def _read(file: Path, table: Table, source: EmbeddedRun) -> tuple[tuple[str, str], ...]:
    """Returns the pairs of a CSV's first two columns. Raises DataError D64 if an id is in neither table."""
    read = read_csv(file, fixed="save the pairs as CSV in UTF-8, with commas")
    if len(read.columns) < 2:
        raise DataError(
            f"{file} has one column, but a pair needs two",
            code="D64",
            hint="write a header, then two ids per row",
        )
    known = {*table.ids.tolist(), *source.by_fold[min(source.by_fold)].test.ids.tolist()}
    pairs = tuple((row[0], row[1]) for row in read.rows)
    cases = [
        Case(f"the id in line {line} is in no table", str(file), name, code="D64")
        for pair, line in zip(pairs, read.lines, strict=True)
        for name in pair
        if name not in known
    ]
    if cases:
        raise DataError(f"{len(cases)} ids of {file} are unknown", code="D64", cases=cases)
    return pairs
