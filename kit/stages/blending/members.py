"""Members: the runs' predictions that a blend joins by id, on the out-of-fold rows and on the test rows.

An ensembler is fitted on out-of-fold rows, each predicted by one model per member. A mean over folds is
smoother than that, so a threshold or a temperature must act before the mean. Test rows are therefore blended
fold by fold, then averaged.
"""

from __future__ import annotations

import datetime
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import StrPath, sha256
from kit.core.memmaps import MEMMAP_FROM_BYTES_PER_MEMBER, empty_or_memmap
from kit.data.answers import first_images
from kit.data.folds import Folds, file_groups, merge_groups
from kit.data.predictions import Predictions, common_ids, ids_fingerprint
from kit.data.table import Table, predictions_now, read_labelled_rows, test_table
from kit.errors import Case, ConfigError, InvalidError, KitWarning
from kit.evaluation.answers import expand_to_images, join_test_images
from kit.evaluation.competition import Scoring, read_columns
from kit.kinds import Aggregator, Ensembler, Format, Metric
from kit.kinds.advice import predict_command
from kit.kinds.score_context import ScoreContext
from kit.runs.records import RunRef


@dataclass(frozen=True, eq=False)
class Member:
    """One run's predictions over one set of views."""

    run: str
    views: str
    folds: Folds
    oof: Predictions  # one row per id and repeat
    test: Predictions  # one row per id and fold; empty if the competition has none to predict
    # fitted; joins test images into answers. `oof` already has answers
    aggregator: Aggregator | None = None

    @classmethod
    def unverified(cls, run: str, views: str, test: Predictions) -> Member:
        """Returns a member without folds, and so without out-of-fold rows."""
        nothing = Folds(np.array([], dtype=str), np.empty((0, 1), np.int64))
        return cls(run, views, nothing, Predictions.without_rows(test.classes, test.target), test)

    @property
    def is_verified(self) -> bool:
        """Whether its folds are known."""
        return len(self.folds.ids) > 0

    def __str__(self) -> str:
        return f"{self.run}@{self.views}"

    def without_oof(self) -> Member:
        """Returns the same member without its out-of-fold probabilities. Its ids and its provenance stay."""
        return replace(self, oof=replace(self.oof, probabilities=self.oof.probabilities[:0].copy()))

    @cached_property
    def fold_by_id(self) -> dict[str, int]:
        """The fold that held an id out, the first one if there are repeats."""
        return dict(zip(self.oof.ids[::-1].tolist(), self.oof.folds[::-1].tolist(), strict=True))


def read_members(
    workspace: Workspace, texts: StrPath | Sequence[StrPath], allow_unverified: bool = False
) -> tuple[Member, ...]:
    """Reads the members written `runs/a@d4`, `a@d4` or `runs/a` (its plain views), in this order, or a single
    one.

    Raises ConfigError if a run does not exist (C15) or is named twice (C20), InvalidError (D40, D41) if
    predictions are missing or damaged. Raises D43 if a run has no folds, unless it was imported without folds
    and `allow_unverified` is true.
    """
    texts = [texts] if isinstance(texts, (str, os.PathLike)) else texts
    if not texts:
        raise ConfigError("no members to blend", code="C20", hint="kit blend runs/a@d4 runs/b@d4")
    members: list[Member] = []
    known: dict[str, Folds] = {}  # by a file's content, because most members share their folds
    for text in texts:
        read = _read(workspace, text, known, allow_unverified)
        members.append(_share_ids(read, members[0]) if members else read)
    names = [str(member) for member in members]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ConfigError(
            f"{double} is given twice",
            code="C20",
            hint="use --ensembler weighted to give a member more weight",
        )
    return tuple(members)


def lack_folds(workspace: Workspace, texts: StrPath | Sequence[StrPath]) -> bool:
    """Whether a member was imported without folds, so that a blend with it has no score. Raises ConfigError C15."""
    texts = [texts] if isinstance(texts, (str, os.PathLike)) else texts
    return any(RunRef.parse(text, workspace).run.lacks_folds for text in texts)


def with_current_names(workspace: Workspace, members: Sequence[Member], table: Table) -> tuple[Member, ...]:
    """Returns the members with the table's classes, if `data.label_from.rename` changed since they were trained.

    A member of other classes stays as it is. Large probabilities are memory maps, as those of `read_members`.
    """
    rename = workspace.competition.data.label_from.rename

    def of_now(member: Member, predictions: Predictions) -> Predictions:
        renamed = predictions_now(workspace.runs / member.run, predictions, table, rename)
        return (
            renamed
            if renamed.probabilities is predictions.probabilities
            else _memory_map(renamed, workspace.cache)
        )

    return tuple(
        replace(member, oof=of_now(member, member.oof), test=of_now(member, member.test))
        for member in members
    )


def with_answers(members: Sequence[Member], scoring: Scoring, table: Table) -> tuple[Member, ...]:
    """Returns the members with out-of-fold predictions of answers in place of images, and the aggregator
    fitted on them.

    `table` has the training images. Nothing changes if each image is its own answer.
    """
    if table.answers is None:
        return tuple(members)
    joined_members = []
    for member in members:
        oof, fitted = scoring.answers(member.oof, table)
        joined_members.append(replace(member, oof=oof, aggregator=fitted))
    return tuple(joined_members)


def aggregator_record(member: Member) -> dict[str, Any]:
    """Returns the record of a member's aggregator, as JSON; empty if each image is its own answer."""
    return {} if member.aggregator is None else {"aggregator": member.aggregator.spec()}


def describe_blend(
    workspace: Workspace,
    members: Sequence[Member],
    test: Predictions,
    ensembler: Ensembler,
    recipe: Ensembler,
    shape: Format,
    metric: Metric,
) -> dict[str, Any]:
    """Returns the record of any blend, as JSON: `recipe` as requested, `ensembler` as it blends `test` rows."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "members": [
            {
                "member": str(member),
                "oof": member.oof.provenance.to_json(),
                "test": member.test.provenance.to_json(),
                **aggregator_record(member),
            }
            for member in members
        ],
        "ensembler": ensembler.spec(),
        "recipe": recipe.spec(),
        "format": shape.spec(),
        "metric": metric.spec(),
        "test_rows": len(test),
        "target": test.target.to_json(),
        "classes": list(test.classes),
        "fingerprints": {
            "test_rows": ids_fingerprint(test.ids),
            "sample": sha256(workspace.path(str(workspace.competition.data.sample))),
        },
    }


def add_aggregators(notes: str, members: Sequence[Member]) -> str:
    """Returns the notes of a submission, with the aggregators of its answers."""
    names = dict.fromkeys(
        member.aggregator.plugin_name() for member in members if member.aggregator is not None
    )
    return "; ".join([*filter(None, [notes]), *(f"answers by {name}" for name in names)])


def _share_ids(member: Member, first: Member) -> Member:
    """Returns the same member, with the first one's ids and folds if they are equal, because text of a
    million rows is large.
    """
    return replace(
        member,
        oof=_with_ids_of(member.oof, first.oof),
        test=_with_ids_of(member.test, first.test),
    )


def _with_ids_of(predictions: Predictions, first: Predictions) -> Predictions:
    if np.array_equal(predictions.ids, first.ids) and np.array_equal(predictions.folds, first.folds):
        return replace(predictions, ids=first.ids, folds=first.folds)
    return predictions


def _read(workspace: Workspace, text: StrPath, known: dict[str, Folds], allow_unverified: bool) -> Member:
    ref = RunRef.parse(text, workspace)
    folder, views = ref.run.folder, ref.views
    predicts = workspace.competition.data.has_test_rows
    names = ("oof.parquet", "test.parquet") if predicts else ("oof.parquet",)
    if ref.run.lacks_folds:
        if not allow_unverified:
            raise InvalidError(
                f"runs/{folder.name} was imported without folds, so kit cannot check which model predicted which row",
                code="D43",
                hint="import it again with --oof and --folds; kit blend takes it without a score",
            )
        names = ("test.parquet",)
    files = [ref.predictions / name for name in names]
    missing = [Case("is missing", str(file)) for file in files if not file.is_file()]
    if missing:
        raise InvalidError(
            f"{folder.name} has no predictions of views {views!r}",
            code="D41",
            cases=missing,
            hint=predict_command(folder.name, views, workspace.root),
        )
    if ref.run.lacks_folds:
        return Member.unverified(folder.name, views, _memory_map(Predictions.read(files[0]), workspace.cache))
    if not (folder / "folds.csv").is_file():
        raise InvalidError(
            f"{folder / 'folds.csv'} is missing, so kit cannot check which fold held out each row", code="D43"
        )
    oof, *rest = (_memory_map(Predictions.read(file), workspace.cache) for file in files)
    test = rest[0] if rest else Predictions.without_rows(oof.classes, oof.target)
    content = sha256(folder / "folds.csv")
    if content not in known:
        known[content] = Folds.read(folder / "folds.csv")
    return Member(folder.name, views, known[content], oof, test)


def _memory_map(predictions: Predictions, folder: Path) -> Predictions:
    """Returns the same predictions; large ones as a memory map."""
    if predictions.probabilities.nbytes < MEMMAP_FROM_BYTES_PER_MEMBER:
        return predictions
    mapped = empty_or_memmap(predictions.probabilities.shape, folder, MEMMAP_FROM_BYTES_PER_MEMBER)
    mapped[:] = predictions.probabilities
    return replace(predictions, probabilities=mapped)


def align(members: Sequence[Member], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids that all members predict out of fold, (N,), and their probabilities (M, N, K).

    Large ones are mapped to a file in `folder`. Raises InvalidError (D41) if there is no such id.
    """
    ids = common_ids([member.oof for member in members])
    if not len(ids):
        raise InvalidError(
            "no row has out-of-fold predictions of all members",
            code="D41",
            cases=[Case(f"{len(set(member.oof.ids.tolist()))} rows", str(member)) for member in members],
            hint="use members that share folds; kit final blends runs that it trained on all rows",
        )
    stack = empty_or_memmap((len(members), len(ids), len(members[0].oof.classes)), folder)
    for index, member in enumerate(members):
        stack[index] = member.oof.mean().align(ids, allow_extra=True)
    return ids, stack


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Members' probabilities (M, N, K) of the rows that all predict, with the attributes of the rows (N,)."""

    names: tuple[str, ...]
    ids: np.ndarray
    members: np.ndarray
    folds: np.ndarray  # the fold that held a row out
    table: Table  # the same rows
    images: Table | None = None  # for answers: the training images

    @cached_property
    def truth(self) -> np.ndarray:
        """Class numbers (N,), or multi-hot (N, K)."""
        return np.asarray(self.table.labels)

    @property
    def groups(self) -> np.ndarray | None:
        return self.table.groups

    def row_clusters(self) -> np.ndarray | None:
        """Returns the clusters of rows that must stay together when rows are cut into parts."""
        if self.images is None:
            return row_clusters(self.folds, self.table)
        clusters = row_clusters(self.folds, self.images)
        return None if clusters is None else clusters[first_images(self.images, self.ids)]


def row_clusters(folds: np.ndarray, table: Table) -> np.ndarray | None:
    """Returns the clusters of rows that must stay together when rows are cut into parts: groups, answers, and
    identical images.

    With several folds identical images already share a fold, and reading all images takes long.
    """
    keys = [key for key in (table.groups, table.answers) if key is not None]
    if len(np.unique(folds)) > 1:
        return merge_groups(*keys) if len(keys) > 1 else next(iter(keys), None)
    return merge_groups(file_groups(table.paths), *keys)


def labels(workspace: Workspace) -> Table:
    """Returns the training table. A machine that blends need not have the images that it names."""
    return read_labelled_rows(workspace.root, workspace.competition.data)


def out_of_fold(members: Sequence[Member], table: Table, folder: Path) -> OutOfFold:
    """Returns the rows that all members predict. Large ones are mapped to a file in `folder`.

    The rows are answers if the members have an aggregator; `table` has the images.

    Raises InvalidError (D41) if there are none, and for rows that the table lacks.
    """
    ids, shares = align(members, folder)
    folds = np.array([members[0].fold_by_id[name] for name in ids.tolist()])
    names = tuple(map(str, members))
    if members[0].aggregator is None:
        return OutOfFold(names, ids, shares, folds, table.take(table.index_of(ids)))
    answers = table.by_answer
    return OutOfFold(names, ids, shares, folds, answers.take(answers.index_of(ids)), table)


def warn_of_partial(members: Sequence[Member], shared: int) -> None:
    counts = {str(member): len(set(member.oof.ids.tolist())) for member in members}
    if max(counts.values()) > shared:
        covered = ", ".join(f"{name} {count}" for name, count in counts.items())
        text = f"W10 only the {shared} rows that all members predict are scored ({covered})"
        warnings.warn(KitWarning(text), stacklevel=3)


def read_test_rows(workspace: Workspace, classes: tuple[str, ...], recipe: Ensembler) -> Table | None:
    """Returns the rows to predict, if they share answers or the recipe reads their columns.

    Their images may be elsewhere.

    Raises ConfigError C07 if the test table lacks a column.
    """
    data, columns = workspace.competition.data, recipe.row_columns()
    if data.answer is None and not columns:
        return None
    table = test_table(workspace, data.model_copy(update={"on_unreadable_test": "class_prior"}), classes)
    read_columns(table, columns, "test")
    return table


def blend_test_rows(
    members: Sequence[Member], fitted: Ensembler, ids: Sequence[str], images: Table | None = None
) -> Predictions:
    """Blends the test rows, in the order of `ids`. `images` are the rows by `read_test_rows`.

    If members have different folds, each one's mean over its folds is blended. Raises InvalidError (D41) for
    a member that does not predict these rows.
    """
    members = [_with_test_answers(member, ids, images) for member in members]
    folds = sorted({int(fold) for fold in np.unique(members[0].test.folds)})
    if any(sorted(set(member.test.folds.tolist())) != folds for member in members[1:]):
        folds = [-1]
    total = np.zeros((len(ids), len(members[0].test.classes)))
    for fold in folds:
        total += fitted.blend(
            np.stack([_rows(member, fold if len(folds) > 1 else None, ids) for member in members])
        )
    final = total / len(folds)
    if images is not None and fitted.row_columns():
        final = _finish(fitted, final, ids, images)
    shares = final.astype(np.float32)
    at = np.full(len(ids), -1)
    blended = Predictions(np.array(ids, dtype=str), at, members[0].test.classes, shares, target=fitted.target)
    return blended.check("the blend", fitted.gives_distributions())


def _finish(fitted: Ensembler, shares: np.ndarray, ids: Sequence[str], images: Table) -> np.ndarray:
    """Returns final rows (len(ids), K) by the recipe's rule for related rows. An answer takes part once."""
    keys = images.ids if images.answers is None else images.answers
    at = {name: row for row, name in reversed(list(enumerate(keys.tolist())))}
    at = {**{name: row for row, name in enumerate(images.ids.tolist())}, **at}
    missing = [Case("is not in the test table", id=name, code="D41") for name in ids if name not in at]
    if missing:
        raise InvalidError(
            f"{len(missing)} rows of the sample are not in the test table", code="D41", cases=missing
        )
    rows = np.array([at[name] for name in ids], dtype=np.int64)
    _, first, number = np.unique(keys[rows], return_index=True, return_inverse=True)
    columns = read_columns(images.take(rows[first]), fitted.row_columns(), "test")
    return fitted.finish(shares[first], ScoreContext(columns=columns))[number]


def _with_test_answers(member: Member, ids: Sequence[str], images: Table | None) -> Member:
    if images is None or member.aggregator is None:
        return member
    answers = join_test_images(member.test, images, member.aggregator)
    return replace(member, test=expand_to_images(answers, images, ids))


def _rows(member: Member, fold: int | None, ids: Sequence[str]) -> np.ndarray:
    """Returns probabilities (len(ids), K) of one fold's model, or the mean over all folds."""
    test = member.test.mean() if fold is None else member.test.take(member.test.folds == fold)
    try:
        return test.align(ids)
    except InvalidError as error:
        raise InvalidError(
            f"{member} does not predict the sample's rows: {error.summary}", code="D41", cases=error.cases
        ) from None
