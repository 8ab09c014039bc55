"""Members: the runs' predictions that a blend joins, by id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import StrPath, sha256
from kit.core.memmaps import MEMMAP_FROM_BYTES_PER_MEMBER, empty_or_memmap
from kit.data.folds import Folds
from kit.data.predictions import Predictions, common_ids
from kit.data.renamed_classes import predictions_now
from kit.data.table import Table
from kit.errors import Case, ConfigError, InvalidError
from kit.kinds.advice import predict_command
from kit.runs.records import RunRef


@dataclass(frozen=True, eq=False)
class Member:
    """One run's predictions over one set of views."""

    run: str
    views: str
    folds: Folds
    oof: Predictions  # a row an id and repeat
    test: Predictions  # a row an id and fold; without rows if the competition has none to predict

    def __str__(self) -> str:
        return f"{self.run}@{self.views}"

    def without_oof(self) -> Member:
        """The same member without its out-of-fold probabilities; its ids and what they were made from stay."""
        return replace(self, oof=replace(self.oof, probabilities=self.oof.probabilities[:0].copy()))

    @cached_property
    def fold_by_id(self) -> dict[str, int]:
        """The fold that held an id out, the first one where there are repeats."""
        return dict(zip(self.oof.ids[::-1].tolist(), self.oof.folds[::-1].tolist(), strict=True))


def read_members(workspace: Workspace, texts: StrPath | Sequence[StrPath]) -> tuple[Member, ...]:
    """The members written `runs/a@d4`, `a@d4` or `runs/a` (its plain views), in this order, or a single one.

    Raises ConfigError for runs that do not exist (C15) or are named twice (C20), InvalidError (D40, D41) for
    predictions that are missing or damaged.
    """
    texts = [texts] if isinstance(texts, (str, os.PathLike)) else texts
    if not texts:
        raise ConfigError("no members to blend", code="C20", hint="kit blend runs/a@d4 runs/b@d4")
    members: list[Member] = []
    known: dict[str, Folds] = {}  # by a file's content: most members share their folds
    for text in texts:
        read = _read(workspace, text, known)
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


def with_current_names(workspace: Workspace, members: Sequence[Member], table: Table) -> tuple[Member, ...]:
    """The members with the table's classes, where `data.rename` renamed classes since their runs were trained.

    A member of other classes stays as it is. Large probabilities stand in memory maps, as those of `read_members`.
    """
    rename = workspace.competition.data.rename

    def of_now(member: Member, made: Predictions) -> Predictions:
        named = predictions_now(workspace.runs / member.run, made, table, rename)
        return named if named.probabilities is made.probabilities else _memory_map(named, workspace.cache)

    return tuple(
        replace(member, oof=of_now(member, member.oof), test=of_now(member, member.test))
        for member in members
    )


def _share_ids(member: Member, first: Member) -> Member:
    """The same member, with the first one's ids and folds where they are equal: text of a million rows is large."""
    return replace(
        member,
        oof=_with_ids_of(member.oof, first.oof),
        test=_with_ids_of(member.test, first.test),
    )


def _with_ids_of(made: Predictions, first: Predictions) -> Predictions:
    if np.array_equal(made.ids, first.ids) and np.array_equal(made.folds, first.folds):
        return replace(made, ids=first.ids, folds=first.folds)
    return made


def _read(workspace: Workspace, text: StrPath, known: dict[str, Folds]) -> Member:
    ref = RunRef.parse(text, workspace)
    folder, views = ref.run.folder, ref.views
    predicts = workspace.competition.data.has_test_rows
    names = ("oof.parquet", "test.parquet") if predicts else ("oof.parquet",)
    files = [ref.predictions / name for name in names]
    missing = [Case("is missing", str(file)) for file in files if not file.is_file()]
    if missing:
        raise InvalidError(
            f"{folder.name} has no predictions of views {views!r}",
            code="D41",
            cases=missing,
            hint=predict_command(folder.name, views, workspace.root),
        )
    if not (folder / "folds.csv").is_file():
        raise InvalidError(
            f"{folder / 'folds.csv'} is missing, so kit cannot check which fold held out each row", code="D43"
        )
    oof, *rest = (_memory_map(Predictions.read(file), workspace.cache) for file in files)
    test = rest[0] if rest else Predictions.without_rows(oof.classes, oof.multi_label)
    content = sha256(folder / "folds.csv")
    if content not in known:
        known[content] = Folds.read(folder / "folds.csv")
    return Member(folder.name, views, known[content], oof, test)


def _memory_map(made: Predictions, folder: Path) -> Predictions:
    """The same predictions; large ones stand in a memory map."""
    if made.probabilities.nbytes < MEMMAP_FROM_BYTES_PER_MEMBER:
        return made
    kept = empty_or_memmap(made.probabilities.shape, folder, MEMMAP_FROM_BYTES_PER_MEMBER)
    kept[:] = made.probabilities
    return replace(made, probabilities=kept)


def align(members: Sequence[Member], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The ids that all members predict out of fold, (N,), and their probabilities (M, N, K).

    Large ones are mapped to a file in `folder`. Raises InvalidError (D41) where there is no such id.
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
    for place, member in enumerate(members):
        stack[place] = member.oof.mean().align(ids, allow_extra=True)
    return ids, stack
