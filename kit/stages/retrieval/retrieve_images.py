"""retrieve_images: predicts similar images for test rows: among the test rows themselves, or in an index.

Held-out training rows are compared among themselves, by the network that has not seen them, and images of one
class are the right answers. A threshold is fitted on other folds' rows than those that it is scored on.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, sha256
from kit.core.nearest import Neighbours, Search, nearest, nearest_excluding_self
from kit.core.progress import Progress, Work, stage
from kit.data.embeddings import Vectors
from kit.data.predictions import ids_fingerprint
from kit.data.table import sample_frame
from kit.errors import Case, ConfigError, InvalidError
from kit.evaluation.image_answers import RankedImages, SetRule, cross_fit_sets, mean_average_precision
from kit.experiment.sample_format import check_table
from kit.kinds import Format, Reranker
from kit.kinds.label_kinds import MEANING
from kit.stages.blending.members import labels
from kit.stages.retrieval.index_source import read_index
from kit.stages.retrieval.joined_vectors import NO_REDUCTION, FittedReduction, Reduction, join_vectors
from kit.stages.retrieval.source import EmbeddedRun, read_source
from kit.stages.submission import submission
from kit.stages.submission.board import Board, Entry

if TYPE_CHECKING:
    import pandas as pd

TASK = "retrieve"

Answer = Literal["ranking", "set"]


@dataclass(frozen=True)
class ImageQuestion:
    """The request: which images are searched, how many are returned, and how embeddings are joined.

    `index` is None within the test rows.
    """

    answer: Answer
    index: str | None = None
    least: int = 1
    most: int = 100
    threshold: float | None = None  # of a set; None: fitted
    reduction: Reduction = NO_REDUCTION
    rerankers: tuple[Any, ...] = ()

    @property
    def metric(self) -> str:
        """The name of the score on the board."""
        return "mean_f1_of_rows" if self.answer == "set" else f"mean_average_precision_at_{self.most}"

    def to_json(self) -> dict[str, Any]:
        """Returns the request for the submission's record."""
        return {
            "name": "similar_images",
            "answer": self.answer,
            "index": self.index,
            "least": self.least,
            "most": self.most,
            "pca": self.reduction.components,
            "whiten": self.reduction.whiten,
            "rerankers": [
                reranker if isinstance(reranker, str) else dict(reranker) for reranker in self.rerankers
            ],
        }


def open_question(
    within: str | None,
    index: StrPath | None,
    answer: str | None,
    at_least: int = 1,
    at_most: int = 100,
    threshold: float | None = None,
    pca: int | None = None,
    whiten: bool = False,
    rerankers: Sequence[Any] = (),
) -> ImageQuestion | None:
    """Returns the request by the options of `kit retrieve`; None if test rows are to be predicted as classes.

    By default the answer is a set within the test rows, and a ranking for an index. Raises ConfigError C05
    for options that cannot be combined.
    """
    if within is None and index is None:
        if (answer, at_least, at_most, threshold, pca, whiten) != (None, 1, 100, None, None, False):
            raise ConfigError("options of images need --within test or --index FILE", code="C05")
        return None
    plain = "set" if index is None else "ranking"
    wrong = {
        "give either --within or --index": within is not None and index is not None,
        f"--within {within}: test rows are compared with test rows alone": within not in (None, "test"),
        f"--answer {answer}: ranking or set": answer not in (None, "ranking", "set"),
        "--whiten needs --pca N": whiten and pca is None,
        f"--at-least {at_least} is more than --at-most {at_most}": at_least > at_most,
        "--threshold is for sets": threshold is not None and (answer or plain) == "ranking",
    }
    fault = next((text for text, is_wrong in wrong.items() if is_wrong), None)
    if fault is not None:
        raise ConfigError(fault, code="C05")
    chosen: Answer = "set" if (answer or plain) == "set" else "ranking"
    listed = None if index is None else os.fspath(index)
    reduction = Reduction(pca, whiten)
    return ImageQuestion(chosen, listed, at_least, at_most, threshold, reduction, tuple(rerankers))


@dataclass(frozen=True, repr=False)
class ImageAnswers(Displayed):
    """The submission of similar images, and the score of held-out training rows with the same method."""

    members: tuple[str, ...]
    metric: str
    score: float
    queries: int  # held-out rows that were scored
    threshold: float | None
    number: int | None  # None: there is no sample, so no submission was written
    path: Path | None
    rows: int
    images: float  # mean number of a row's answers

    def _lines(self) -> list[str]:
        rule = "" if self.threshold is None else f", threshold {self.threshold:.4f}"
        lines = [
            f"{' '.join(self.members)}: {self.metric} {self.score:.4f} of {self.queries} held-out rows{rule}"
        ]
        if self.path is None:
            return [*lines, "data.sample is null, so no submission was written"]
        file = f"{self.path.parent.name}/{self.path.name}"
        return [
            *lines,
            f"submission {self.number}: {file}, {self.rows} rows with {self.images:.1f} images on average",
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the members, the score and the submission."""
        return frame(
            [
                {
                    "members": " ".join(self.members),
                    "metric": self.metric,
                    "score": self.score,
                    "threshold": self.threshold,
                    "number": self.number,
                    "rows": self.rows,
                    "images": self.images,
                }
            ]
        )


@stage
def retrieve_images(
    workspace: Workspace | StrPath, members: Sequence[str], question: ImageQuestion, name: str | None = None
) -> Work[ImageAnswers]:
    """Predicts similar images for test rows by the joined embeddings of members, and writes the submission.

    Raises what `read_source` raises. Raises InvalidError D48 if members have different folds or lack
    embeddings of the index. Raises ConfigError C17 if rows have several labels, C28 for more components than
    vectors have, C21 if the sample has another form.
    """
    workspace = Workspace.of(workspace)
    table = labels(workspace).sort_by_id()
    if table.label_kind != "class_index":
        raise ConfigError(
            f"the table has {MEANING[table.label_kind]}, but images of one class are the right answers",
            code="C17",
            hint="data.label=<the column of the group that images share>",
        )
    sources = [read_source(workspace, member, table) for member in members]
    _check_folds(sources)
    search = _chain(
        [Reranker.open(item, workspace.root, "reranker") for item in question.rerankers], workspace.root
    )
    sample, shape = _open_sample(workspace, question)
    yield Progress(TASK, 0, 2, "held-out rows")
    reductions = {
        fold: question.reduction.fit(_training_vectors(sources, fold)) for fold in sources[0].by_fold
    }
    held_out_ranked, folds = _compare_held_out(sources, reductions, question, search)
    rule = SetRule(question.threshold or 0.0, question.least, question.most, question.index is None)
    threshold: float | None = None
    if question.answer == "ranking":
        score = mean_average_precision(held_out_ranked, question.most)
    elif question.threshold is None:
        score, rule = cross_fit_sets(rule, held_out_ranked, folds)
        threshold = rule.threshold
    else:
        score, threshold = float(rule.score_rows(held_out_ranked).mean()), question.threshold
    member_refs = tuple(f"runs/{source.member}" for source in sources)
    answers = ImageAnswers(member_refs, question.metric, score, len(folds), threshold, None, None, 0, 0.0)
    if sample is None or shape is None:
        return answers
    yield Progress(TASK, 1, 2, "test rows")
    lists = _answer_test(workspace, sources, reductions, question, rule, search)
    wanted = list(dict.fromkeys(sample.iloc[:, 0]))
    missing = [Case("has no test row", id=name, code="D41") for name in wanted if name not in lists]
    if missing:
        raise InvalidError(
            f"{len(missing)} of {len(wanted)} ids of the sample are not test rows",
            code="D41",
            cases=missing,
            hint="data.id=<the column of the sample's ids>, then kit train, or another data.test",
        )
    if hasattr(shape, "write_ranked"):
        filled = shape.write_ranked(lists, sample)
    else:
        names = {item: [image for image, _ in ranked] for item, ranked in lists.items()}
        filled = shape.write_lists(names, sample)
    check_table(filled, sample, shape, table.classes)
    written = _enter(workspace, answers, question, filled, shape, name)
    images = float(np.mean([len(lists[item]) for item in wanted]))
    return replace(answers, number=written.number, path=written.path, rows=len(wanted), images=images)


def _check_folds(sources: Sequence[EmbeddedRun]) -> None:
    """Raises InvalidError D48 for runs of other folds than the first one's."""
    first = sources[0]
    wrong = [
        Case(f"has other folds than {first.member}", source.member, code="D48")
        for source in sources[1:]
        if source.folds.fingerprint() != first.folds.fingerprint()
        or set(source.by_fold) != set(first.by_fold)
    ]
    if wrong:
        raise InvalidError(
            "embeddings of runs with different folds cannot be joined",
            code="D48",
            cases=wrong,
            hint="train the runs with the same splitter and seed, or give one run",
        )


def _chain(rerankers: Sequence[Reranker], root: Path) -> Search:
    search: Search = nearest
    for reranker in rerankers:
        search = partial(reranker.in_workspace(root).of_fold(None).search, inner=search)
    return search


def _open_sample(workspace: Workspace, question: ImageQuestion) -> tuple[pd.DataFrame | None, Any]:
    """Returns the sample and the format that writes lists of ids.

    Raises ConfigError C21 for a sample of another form.
    """
    if workspace.competition.data.sample is None:
        return None, None
    sample = sample_frame(workspace.root, workspace.competition.data)
    spec = workspace.competition.format or {
        "name": "image_rows" if sample.shape[1] == 3 else "id_list",
        "images": "sample" if question.index is None else "other",
    }
    shape = Format.open(spec, workspace.root, "format")
    writer = {2: "write_lists", 3: "write_ranked"}.get(sample.shape[1], "")
    if not hasattr(shape, writer):
        raise ConfigError(
            f"the sample has {sample.shape[1]} columns and format {shape.plugin_name()!r}, not ids of images",
            code="C21",
            hint="format=id_list, and a sample of two columns: the id, and the ids of similar images; or "
            "format=image_rows, and a sample of the id, the id of an image, and a score",
        )
    return sample, shape


def _training_vectors(sources: Sequence[EmbeddedRun], fold: int) -> list[np.ndarray]:
    rows = sources[0].gallery(fold)
    return [source.by_fold[fold].train.vectors[rows] for source in sources]


def _compare_held_out(
    sources: Sequence[EmbeddedRun],
    reductions: Mapping[int, FittedReduction],
    question: ImageQuestion,
    search: Search,
) -> tuple[RankedImages, np.ndarray]:
    """Returns held-out rows with their nearest images among their fold's other held-out rows, and the fold of each."""
    first, parts, folds = sources[0], [], []
    truth = first.table.targets()
    for fold, reduction in reductions.items():
        held_out = first.oof_mask(fold)
        vectors = reduction.apply([source.by_fold[fold].train.vectors[held_out] for source in sources])
        seen = vectors.any(axis=1)
        held_out, vectors = held_out[seen], vectors[seen]
        if len(held_out) < 2:
            continue
        near = nearest_excluding_self(vectors, min(question.most, len(held_out) - 1), search)
        mine = truth[held_out]
        counts = np.bincount(mine)[mine] - 1
        parts.append(RankedImages(near.similarities, mine[near.rows] == mine[:, None], counts))
        folds.append(np.full(len(held_out), fold))
    if not parts:
        raise InvalidError("no fold holds out two images, so nothing can be scored", code="D48")
    return _stack(parts), np.concatenate(folds)


def _stack(parts: Sequence[RankedImages]) -> RankedImages:
    """Returns the queries of all folds. Lists of small folds are padded with images that no set has."""
    width = max(part.similarities.shape[1] for part in parts)

    def fill(values: np.ndarray, empty: Any) -> np.ndarray:
        return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=empty)

    return RankedImages(
        np.concatenate([fill(part.similarities, -1) for part in parts]),
        np.concatenate([fill(part.relevant, False) for part in parts]),
        np.concatenate([part.wanted for part in parts]),
    )


def _answer_test(
    workspace: Workspace,
    sources: Sequence[EmbeddedRun],
    reductions: Mapping[int, FittedReduction],
    question: ImageQuestion,
    rule: SetRule,
    search: Search,
) -> dict[str, list[tuple[str, float]]]:
    """Returns the ids for each test row, with their cosines. All folds' networks together compare two images."""
    ids, queries = _join(reductions, lambda fold: [source.by_fold[fold].test for source in sources])
    if question.index is None:
        names, count = ids, min(question.most, len(ids) - 1)
        near = nearest_excluding_self(queries, count, search)
    else:
        by_run = [read_index(workspace, source, question.index) for source in sources]
        names, gallery = _join(reductions, lambda fold: [vectors[fold] for vectors in by_run])
        near = search(queries, gallery, min(question.most, len(names)))
    return dict(_list_ids(ids, names, near, question, rule))


def _list_ids(
    ids: np.ndarray, names: np.ndarray, near: Neighbours, question: ImageQuestion, rule: SetRule
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    counts = (
        np.full(len(ids), near.rows.shape[1])
        if question.answer == "ranking"
        else rule.count_images(near.similarities)
    )
    own = question.answer == "set" and rule.with_self
    rows_of = zip(ids.tolist(), near.rows, near.similarities, counts.tolist(), strict=True)
    for name, rows, cosines, count in rows_of:
        ranked = list(zip(names[rows[:count]].tolist(), cosines[:count].tolist(), strict=True))
        yield name, [*([(name, 1.0)] if own else []), *ranked]


def _join(reductions: Mapping[int, FittedReduction], parts_of: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids and the vectors of a split, those of all folds concatenated.

    Folds that share embeddings count once.
    """
    reduced, seen, ids = [], set[int](), np.array([], dtype=str)
    for fold, reduction in reductions.items():
        parts: list[Vectors] = parts_of(fold)
        ids = parts[0].ids
        if id(parts[0].vectors) in seen:
            continue
        seen.add(id(parts[0].vectors))
        at = [_places(part, ids) for part in parts]
        reduced.append(reduction.apply([part.vectors[rows] for part, rows in zip(parts, at, strict=True)]))
    return ids, join_vectors(reduced)


def _places(part: Vectors, ids: np.ndarray) -> np.ndarray:
    """Returns the positions of these ids."""
    order = np.argsort(part.ids)
    return np.asarray(order[np.searchsorted(part.ids, ids, sorter=order)])


def _enter(
    workspace: Workspace,
    answers: ImageAnswers,
    question: ImageQuestion,
    table: pd.DataFrame,
    shape: Format,
    name: str | None,
) -> submission.WrittenSubmission:
    """Writes the submission with its record, and enters it into the board."""
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    data, ids = workspace.competition.data, table.iloc[:, 0].drop_duplicates().to_numpy(str)
    record = {
        "created": created,
        "members": [{"member": member} for member in answers.members],
        "ensembler": {**question.to_json(), "threshold": answers.threshold},
        "format": shape.spec(),
        "metric": {"name": answers.metric},
        "written_score": answers.score,
        "rows": answers.queries,
        "test_rows": len(ids),
        "fingerprints": {
            "test_rows": ids_fingerprint(ids),
            "sample": sha256(workspace.path(str(data.sample))),
        },
    }
    submission_name = name or f"images-{'-'.join(member.removeprefix('runs/') for member in answers.members)}"
    with submission.lock_submissions(workspace.submissions):
        board = Board.read(workspace.submissions)
        entered = {entry.file for entry in board.entries}
        written = submission.write(
            workspace.submissions, submission_name, table, record, data.sep, board.last, entered
        )
        if written.is_new:
            entry = Entry(
                number=written.number,
                name=written.path.stem.partition("-")[2],
                file=written.path.name,
                cv=answers.score,
                metric=answers.metric,
                better="higher",
                leaderboard=None,
                members=" ".join(answers.members),
                ensembler="similar_images",
                rows=answers.queries,
                created=created,
            )
            board.enter(entry)
    return written
