"""Features: out-of-fold probabilities, side columns and statistics within groups, one table for both levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, atomic_file
from kit.core.progress import Progress, Work, stage
from kit.data.folds import Folds
from kit.data.side_columns import encode_columns
from kit.data.table import Table, rows_to_predict
from kit.errors import ConfigError, InvalidError
from kit.stages.blending.compatibility import check_together
from kit.stages.blending.members import (
    Member,
    OutOfFold,
    labels,
    out_of_fold,
    read_members,
    warn_of_partial,
    with_current_names,
)

TASK = "features"
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of out-of-fold rows (N, F), with the attributes of these rows, and functions for the test
    rows' features.

    `group` is the column of the group statistics, if there is one.
    """

    members: tuple[Member, ...]
    rows: OutOfFold
    folds: Folds
    train: pd.DataFrame
    side: tuple[pd.DataFrame, pd.DataFrame]  # side columns of the rows, and of the test rows
    test: Table
    group: str | None

    def test_folds(self) -> list[int]:
        """Returns the folds whose models predicted the test rows, by all members; [-1] if the members differ."""
        folds_of_members = [sorted(set(member.test.folds.tolist())) for member in self.members]
        return (
            folds_of_members[0] if all(folds == folds_of_members[0] for folds in folds_of_members) else [-1]
        )

    def test_features(self, fold: int) -> tuple[pd.DataFrame, np.ndarray]:
        """Returns features of the test rows (T, F) and the members' probabilities (M, T, K), by one fold's
        models; -1: all.
        """
        of_all = fold == -1
        predictions_of_members = [
            member.test.mean() if of_all else member.test.take(member.test.folds == fold)
            for member in self.members
        ]
        stack = np.stack([predictions.align(self.test.ids) for predictions in predictions_of_members])
        return self._join(stack, self.side[1], self.test), stack

    def _join(self, stack: np.ndarray, side: pd.DataFrame, table: Table) -> pd.DataFrame:
        return join_features(self.rows.names, stack, self.rows.table.classes, side, table, self.group)


def make_features(
    workspace: Workspace, texts: StrPath | Sequence[StrPath], group: str | None = None
) -> FeatureTable:
    """Returns the features of members' rows, with `data.columns`, and statistics within the groups of a column.

    Raises what `blend` raises; InvalidError D43 for members of different folds; ConfigError C07 if a table
    lacks a column, DataError D31 for cells that do not fit.
    """
    read = read_members(workspace, texts)
    table = labels(workspace)
    read = with_current_names(workspace, read, table)
    check_together(read, table)
    other = next(
        (member for member in read if member.folds.fingerprint() != read[0].folds.fingerprint()), None
    )
    if other is not None:
        raise InvalidError(
            f"{read[0]} and {other} have different folds, so a second level would learn from rows it predicts",
            code="D43",
            hint="use members with the same folds: kit folds names the runs that have them",
        )
    data = workspace.competition.data
    test = rows_to_predict(workspace, data, table.classes)
    rows = out_of_fold(read, table, workspace.cache)
    warn_of_partial(read, len(rows.ids))
    side = encode_columns(rows.table, test, data.columns, data.column_kinds)[:2]
    column = _group_column(rows.table, test, group or data.group, is_asked=group is not None)
    train = join_features(rows.names, rows.members, table.classes, side[0], rows.table, column)
    return FeatureTable(read, rows, read[0].folds, train, side, test, column)


def _group_column(train: Table, test: Table, name: str | None, is_asked: bool) -> str | None:
    """Returns the column of groups, if both tables have it.

    `data.group` may be a pattern, or a column that the test table lacks.
    """
    if name is None:
        return None
    lacking = [
        split for split, table in (("train", train), ("test", test)) if len(table) and name not in table.frame
    ]
    if lacking and is_asked:
        raise ConfigError(
            f"--group: the {lacking[0]} table has no column {name!r}",
            code="C07",
            hint="statistics within groups need the column in both tables",
        )
    return None if lacking else name


def join_features(
    names: Sequence[str],
    stack: np.ndarray,
    classes: Sequence[str],
    side: pd.DataFrame,
    table: Table,
    group: str | None,
) -> pd.DataFrame:
    """Returns one column per member and class, the side columns, and for each number its z-score and rank
    within the group.

    `stack` is (M, N, K). The z-score is 0 in a group without spread. The rank is from 0 to 1, ties share the mean.
    """
    columns = {
        f"{name}|{label}": stack[index, :, number].astype(np.float64)
        for index, name in enumerate(names)
        for number, label in enumerate(classes)
    }
    with_sides = pd.concat([pd.DataFrame(columns), side.reset_index(drop=True)], axis=1)
    if group is None:
        return with_sides
    keys = table.frame[group].astype(str).to_numpy()
    return pd.concat([with_sides, group_statistics(with_sides, keys)], axis=1)


def group_statistics(values: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    """Returns the z-score and rank of each number among the rows of equal keys, and the size of the group."""
    numbers = values.select_dtypes("number")
    groups = numbers.groupby(keys, sort=False)
    spread = groups.transform("std", ddof=0)
    scores = ((numbers - groups.transform("mean")) / spread.where(spread > 0)).where(spread > 0, 0.0)
    scores = scores.where(numbers.notna())
    size = groups.transform("count")
    ranks = (groups.rank() - 1) / (size - 1).where(size > 1)
    ranks = ranks.where(size > 1, 0.5).where(numbers.notna())
    counts = pd.Series(keys).groupby(keys).transform("size").astype(np.float64).rename("group|rows")
    return pd.concat([scores.add_suffix("|z"), ranks.add_suffix("|rank"), counts], axis=1)


@dataclass(frozen=True, repr=False)
class FeaturesResult(Displayed):
    """Tables of features that were written."""

    train: Path
    test: Path | None
    rows: tuple[int, int]
    features: tuple[str, ...]
    group: str | None

    def describe(self) -> list[str]:
        """Returns the written files, in lines."""
        within = f", with ranks and z-scores within {self.group}" if self.group else ""
        lines = [f"{len(self.features)} features{within}", f"{self.train}: {self.rows[0]} out-of-fold rows"]
        return lines if self.test is None else [*lines, f"{self.test}: {self.rows[1]} test rows"]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per feature."""
        return frame([{"feature": name} for name in self.features])


@stage
def write_features(
    workspace: Workspace | StrPath,
    members: StrPath | Sequence[StrPath],
    out: StrPath,
    group: str | None = None,
) -> Work[FeaturesResult]:
    """Writes the features of the training rows to `out`, CSV or parquet, and those of the test rows beside it.

    The first columns of the training table are id, fold and target. Raises what `make_features` raises;
    ConfigError C05 for another suffix, C38 for files that exist.
    """
    space, path = Workspace.of(workspace), Path(out)
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"--out {path} is neither .csv nor .parquet", code="C05", hint="--out features.parquet"
        )
    beside = path.with_name(f"{path.stem}-test{path.suffix}")
    for file in (path, beside):
        if file.exists():
            raise ConfigError(
                f"{file} already exists", code="C38", hint="use another --out, or remove the file"
            )
    yield Progress(TASK, 0, 1, "features")
    all_features = make_features(space, members, group)
    table = all_features.rows.table
    target = [" ".join(table.label_names(row)) for row in range(len(table))]
    known = pd.DataFrame({"id": all_features.rows.ids, "fold": all_features.rows.folds, "target": target})
    _write(path, pd.concat([known, all_features.train], axis=1))
    count = len(all_features.test)
    if count:
        features = pd.concat(
            [_folds_of(all_features, fold) for fold in all_features.test_folds()], ignore_index=True
        )
        _write(beside, features)
    names = tuple(map(str, all_features.train.columns))
    return FeaturesResult(path, beside if count else None, (len(table), count), names, all_features.group)


def _folds_of(features_table: FeatureTable, fold: int) -> pd.DataFrame:
    """Returns the features of the test rows by one fold's models, after id and fold."""
    features = features_table.test_features(fold)[0]
    return pd.concat([pd.DataFrame({"id": features_table.test.ids, "fold": fold}), features], axis=1)


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_file(path, table.size * 8) as part:
        if path.suffix == ".csv":
            table.to_csv(part, index=False)
        else:
            table.to_parquet(part, index=False)
