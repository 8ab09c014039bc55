"""Table: the rows of a competition, joined by id: where each row's image is, its label, its group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kit.config.workspace import Workspace
from kit.core.arrays import Ids
from kit.core.files import StrPath
from kit.data import row_sources
from kit.data.answers import answer_table, check_same_labels, read_answers
from kit.data.class_factors import Factors, superclasses
from kit.data.csv_file import is_number
from kit.data.external_rows import ExternalSource, sources_of
from kit.data.groups import read_groups
from kit.data.image_paths import PathList
from kit.data.labels import read_labels
from kit.data.rows import SourceRows, check_header, check_ids, read_rows
from kit.data.spelling import Spelled
from kit.errors import Case, ConfigError, DataError, InvalidError, did_you_mean
from kit.kinds.targets import ONE_CLASS, LabelKind, Target

if TYPE_CHECKING:
    from kit.config.models import Data


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one split; the arrays are aligned by position with `ids`, which are unique.

    `labels` are what `target` says: class numbers (rows,), or values (rows, classes) such as 0 and 1 where a row may
    have several labels; test rows have none. `groups` name what must share a fold (a person,
    an object), absent where the competition declares none; `frame` holds the file's own columns as text.
    """

    ids: Ids  # (rows,) of str
    paths: Sequence[Path]
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = (
        None  # (rows,) int64, multi-hot (rows, classes) int8, or numbers and shares float64
    )
    groups: np.ndarray | None = None  # (rows,) of str
    answers: np.ndarray | None = (
        None  # (rows,) of str: images with equal ones share an answer; None: each its own
    )
    weights: np.ndarray | None = (
        None  # (rows,) float64: how much each counts in the score, if the config says so
    )
    # (rows,) of str, blank for the competition's own rows, which alone are scored; None where all are
    sources: np.ndarray | None = None
    # of each class, where the competition names them: its group of look-alikes, and the values that make it up
    class_groups: tuple[str, ...] = ()
    class_factors: Factors = ()
    # labels as the training table has them, each with its class; none where classes are columns
    spellings: tuple[Spelled, ...] = ()
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    target: Target = ONE_CLASS  # what `labels` are
    target_range: tuple[float, float] | None = None  # of numbers: data.target_range

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | np.ndarray) -> Table:
        """The rows at these positions (or where a mask is true), in that order."""
        index = np.arange(len(self))[np.asarray(rows) if len(rows) else slice(0)]
        return replace(
            self,
            ids=self.ids[index],
            paths=PathList(self.paths[i] for i in index.tolist()),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            answers=None if self.answers is None else self.answers[index],
            weights=None if self.weights is None else self.weights[index],
            sources=None if self.sources is None else self.sources[index],
            frame=self.frame.iloc[index].reset_index(drop=True) if len(self.frame.columns) else self.frame,
        )

    @cached_property
    def by_answer(self) -> Table:
        """A row per answer, see `answer_table`; the table itself if each image is its own answer."""
        return self if self.answers is None else answer_table(self)

    def sort_by_id(self) -> Table:
        """The same rows in the order of their ids as text."""
        return self.take(np.argsort(self.ids, kind="stable"))

    @property
    def competition_rows(self) -> np.ndarray:
        """The competition's own rows, bool (rows,): all but those of other sources."""
        return np.ones(len(self), bool) if self.sources is None else self.sources == ""

    def external_rows(self) -> tuple[ExternalSource, ...]:
        """The other sources of rows, with their licences and origins."""
        if self.sources is None:
            return ()
        columns = {str(name): self.frame[name].tolist() for name in self.frame.columns}
        return sources_of(self.sources.tolist(), columns)

    @property
    def is_multi_label(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.target.multi_label

    @property
    def has_one_class(self) -> bool:
        """Whether each row has one class."""
        return self.target == ONE_CLASS

    @property
    def label_kind(self) -> LabelKind:
        """What kind of labels the rows have, for the plugins that take them."""
        return self.target.kind

    def targets(self) -> np.ndarray:
        """The class numbers (rows,) or multi-hot labels (rows, classes). Raises ValueError for test rows."""
        if self.labels is None:
            raise ValueError("test rows have no labels")
        return self.labels

    def counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Rows of each class, (classes,), among all rows or those of a mask."""
        labels = self.targets() if rows is None else self.targets()[rows]
        return self.target.count_rows(labels, len(self.classes))

    def strata(self, folds: int) -> np.ndarray:
        """A stratum of each row, int64 (rows,), whose shares a stratified splitter of so many folds keeps."""
        return self.target.strata(self.targets(), folds)

    def scale(self, rows: np.ndarray | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each column of numbers, among all rows or those given; empty for classes.

        A column without differences has the deviation 1.
        """
        if self.target.has_classes:
            return (), ()
        labels = self.targets() if rows is None else self.targets()[rows]
        deviations = labels.std(axis=0)
        return tuple(labels.mean(axis=0).tolist()), tuple(np.where(deviations > 0, deviations, 1).tolist())

    def prior(self) -> np.ndarray:
        """What is predicted of a row without an image: the mean label of the competition's own rows, (classes,)."""
        return self.target.prior(self.targets()[self.competition_rows], len(self.classes))

    def index_of(self, ids: Iterable[str]) -> np.ndarray:
        """Where the rows of these ids stand, int64. Raises InvalidError (D41) for those that the table lacks."""
        at, wanted = {name: row for row, name in enumerate(self.ids.tolist())}, np.asarray(ids).tolist()
        lost = [
            Case("is not in the training table", id=name, code="D41") for name in wanted if name not in at
        ]
        if lost:
            raise InvalidError(
                f"{len(lost)} predicted rows have no label",
                code="D41",
                cases=lost,
                hint="restore the training table of the runs, and the image folders if they define rows",
            )
        return np.array([at[name] for name in wanted], dtype=np.int64)

    def label_names(self, row: int) -> tuple[str, ...]:
        """The names of a labelled row's classes, one unless rows are multi-label."""
        return self.target.names_of(self.targets()[row], self.classes)


def _format_of(workspace: Workspace | StrPath) -> Any:
    """The format of the submission that a workspace's config names, if one is given and it names one."""
    return workspace.competition.format if isinstance(workspace, Workspace) else None


def _locate(workspace: Workspace | StrPath, data: Data | None) -> tuple[Path, Data]:
    """A workspace's folder and the `data` part of its config, which is read if none is given."""
    if data is not None:
        return Path(workspace), data
    found = Workspace.of(workspace)
    return found.root, found.competition.data


def train_table(workspace: Workspace | StrPath, data: Data | None = None) -> Table:
    """The labelled rows, in the order of their file, or by path where a folder is a class.

    `workspace` is a Workspace or its path; without `data` its config says where the rows are.

    Raises DataError for what BAD_INPUTS lists (missing images, double ids, labels that are no class), ConfigError for
    columns that do not exist.
    """
    root, data = _locate(workspace, data)
    rows = row_sources.train_rows(root, data)
    target, (found, classes, factors, spellings) = read_labels(root, data, rows)
    table = Table(
        ids=np.array(rows.ids, dtype=str),
        paths=PathList(rows.paths),
        classes=classes,
        labels=found,
        groups=None if data.group is None else read_groups(root, rows, data.group),
        answers=None if data.answer is None else read_answers(rows, data, data.answer, "train"),
        weights=None if data.weight is None else _weights(rows, data.weight),
        sources=np.array(rows.sources, dtype=str) if rows.sources else None,
        class_groups=() if data.superclasses is None else superclasses(root, data),
        class_factors=factors,
        spellings=spellings,
        frame=_frame(rows),
        target=target,
        target_range=data.target_range,
    )
    if table.answers is not None:
        check_same_labels(table)
    return table


def read_labelled_rows(root: Path, data: Data) -> Table:
    """The labelled rows on a machine that need not have the images that they name. Raises as `train_table` does."""
    return train_table(root, data.model_copy(update={"on_unreadable_train": "skip"}))


def test_table(
    workspace: Workspace | StrPath,
    data: Data | None = None,  # noqa: PT028
    classes: tuple[str, ...] | None = None,  # noqa: PT028
) -> Table:
    """The rows to predict, all of them, in the order of the test table or else of sample submission.

    `workspace` is a Workspace or its path; without `data` its config says where the rows are, without `classes` the
    training table has them. A Workspace's format says which answers the sample wants; without one the sample shows it.

    Raises as `train_table` does.
    """
    if data is None:
        workspace = Workspace.of(workspace)
    spec = _format_of(workspace)
    root, data = _locate(workspace, data)
    if classes is None:
        classes = read_labelled_rows(root, data).classes
    rows = row_sources.test_rows(root, data, classes, spec)
    answers = None
    if data.answer is not None:
        answers = read_answers(rows, data, data.answer, "test")
        spelled = row_sources.as_the_sample_spells(root, data, tuple(answers.tolist()), classes, spec)
        answers = np.array(spelled, dtype=str)
    ids = np.array(rows.ids, dtype=str)
    return Table(ids, PathList(rows.paths), classes, answers=answers, frame=_frame(rows))


def rows_to_predict(workspace: Workspace | StrPath, data: Data, classes: tuple[str, ...]) -> Table:
    """The test table, or a table without rows if the config names no rows to predict. Raises as `train_table` does."""
    if not data.has_test_rows:
        return Table(np.array([], dtype=str), PathList(()), classes)
    return test_table(workspace, data, classes)


test_table.__test__ = False  # type: ignore[attr-defined]  # pytest would collect this function as a test


def sample_frame(root: Path, data: Data) -> pd.DataFrame:
    """The sample submission, all cells text, the id first. Raises DataError and ConfigError."""
    if data.sample is None:
        raise ConfigError(
            "data.sample is null, so the rows and columns of the submission are unknown",
            code="C07",
            hint="data.sample=FILE; without it kit blend only scores out-of-fold rows",
        )
    file = read_rows(root, data, data.sample, None)
    check_header(file, file.columns[0], data.extensions)
    firsts = row_sources.one_row_per_id(file)
    check_ids(firsts.column(file.columns[0]), firsts.lines, file.path, "sample")
    return file.frame()


def _frame(rows: SourceRows) -> pd.DataFrame:
    return pd.DataFrame(dict(rows.columns), dtype=str)


def _weights(rows: SourceRows, column: str) -> np.ndarray:
    """The rows' weights. Raises ConfigError C07 for an unknown column, DataError D31 for a cell that is no weight."""
    if column not in rows.columns:
        raise ConfigError(
            f"data.weight: the training table has no column {column!r}{did_you_mean(column, rows.columns)}",
            code="C07",
            hint=f"its columns: {', '.join(rows.columns)}",
        )
    cells = rows.columns[column]
    wrong = [
        Case(f"{cell!r} is not a number of 0 or more", column, row, "train", "D31")
        for row, cell in zip(rows.ids, cells, strict=True)
        if not (is_number(cell) and 0 <= float(cell) < float("inf"))
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} training rows have no weight (data.weight {column!r})",
            code="D31",
            cases=wrong,
            hint="write a number of 0 or more into each cell of the column",
        )
    return np.array(cells, dtype=np.float64)
