"""Table: the rows of a competition, joined by id: the location of each row's image, its label, its group.

A run's classes may have had other names or another order, and still be the same classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.arrays import Ids
from kit.core.files import StrPath, read_json
from kit.data import row_sources
from kit.data.answers import answer_table, check_same_labels, read_answers
from kit.data.class_factors import Factors, superclasses
from kit.data.csv_file import check_ids, is_number, read_rows
from kit.data.external_rows import ExternalSource, sources_of
from kit.data.groups import read_groups
from kit.data.image_paths import PathList
from kit.data.labels import read_labels
from kit.data.predictions import Predictions, classes_of
from kit.data.row_sources import check_header
from kit.data.rows import SourceRows
from kit.data.spelling import Spelled, number_of, rename_labels
from kit.errors import Case, ConfigError, DataError, InvalidError, KitError, did_you_mean
from kit.kinds.targets import ONE_CLASS, LabelKind, Target

if TYPE_CHECKING:
    from kit.config.models import Data
    from kit.kinds.levels import Level


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one split; the arrays are aligned by position with `ids`, which are unique.

    `target` is the meaning of `labels`: class numbers (rows,), or values (rows, classes) such as 0 and 1 if a
    row may have several labels. Test rows have none. Rows of equal `groups` must share a fold (a person, an
    object); it is None if the config has no groups. `frame` has the file's own columns as text.
    """

    ids: Ids  # (rows,) of str
    paths: Sequence[Path]
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = (
        None  # (rows,) int64, multi-hot (rows, classes) int8, or numbers and shares float64
    )
    groups: np.ndarray | None = None  # (rows,) of str
    answers: np.ndarray | None = (
        None  # (rows,) of str: images with equal ones share an answer; None: each image has its own
    )
    weights: np.ndarray | None = (
        None  # (rows,) float64: each row's weight in the score, if the config has weights
    )
    # (rows,) of str, blank for the competition's own rows, the only ones that are scored; None if all rows
    # are
    sources: np.ndarray | None = None
    # of each class, if the config names them: its group of similar classes, and the values that make it up
    class_groups: tuple[str, ...] = ()
    class_factors: Factors = ()
    class_levels: tuple[Level, ...] = ()  # the parents of the classes, the nearest first
    # labels as in the training table, each with its class; empty if classes are columns
    spellings: tuple[Spelled, ...] = ()
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    target: Target = ONE_CLASS  # the meaning of `labels`
    target_range: tuple[float, float] | None = None  # of numbers: data.target_range
    unknown_class: str | None = None  # data.unknown_class, which may have no rows

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | np.ndarray) -> Table:
        """Returns the rows at these positions (or in this mask), in that order."""
        index = np.arange(len(self))[np.asarray(rows) if len(rows) else slice(0)]
        paths = self.paths if isinstance(self.paths, PathList) else PathList(self.paths)
        return replace(
            self,
            ids=self.ids[index],
            paths=paths.take(index.tolist()),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            answers=None if self.answers is None else self.answers[index],
            weights=None if self.weights is None else self.weights[index],
            sources=None if self.sources is None else self.sources[index],
            frame=self.frame.iloc[index].reset_index(drop=True) if len(self.frame.columns) else self.frame,
        )

    @cached_property
    def by_answer(self) -> Table:
        """One row per answer, see `answer_table`; the table itself if each image is its own answer."""
        return self if self.answers is None else answer_table(self)

    def sort_by_id(self) -> Table:
        """Returns the same rows in the order of their ids as text."""
        return self.take(np.argsort(self.ids, kind="stable"))

    @property
    def competition_rows(self) -> np.ndarray:
        """The competition's own rows, bool (rows,): all except those of other sources."""
        return np.ones(len(self), bool) if self.sources is None else self.sources == ""

    def external_rows(self) -> tuple[ExternalSource, ...]:
        """Returns the other sources of rows, with their licences and origins."""
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
        """The kind of labels of the rows, for the plugins that take them."""
        return self.target.kind

    def targets(self) -> np.ndarray:
        """Returns the class numbers (rows,) or multi-hot labels (rows, classes). Raises ValueError for test rows."""
        if self.labels is None:
            raise ValueError("test rows have no labels")
        return self.labels

    def counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Returns the number of rows of each class, (classes,), among all rows or those of a mask."""
        labels = self.targets() if rows is None else self.targets()[rows]
        return self.target.count_rows(labels, len(self.classes))

    def strata(self, folds: int) -> np.ndarray:
        """Returns a stratum for each row, int64 (rows,), for a stratified splitter with this number of folds."""
        return self.target.strata(self.targets(), folds)

    def scale(self, rows: np.ndarray | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns mean and standard deviation of each column of numbers, among all rows or those given.

        It is empty for classes. A constant column has the deviation 1. Beside numbers, columns of classes
        have 0 and 1.
        """
        measured = self.target.number_columns(len(self.classes))
        if not measured.any():
            return (), ()
        labels = self.targets() if rows is None else self.targets()[rows]
        known = labels == labels
        counts = np.maximum(known.sum(axis=0), 1)
        means = np.where(known, labels, 0).sum(axis=0) / counts
        deviations = np.sqrt((np.where(known, labels - means, 0) ** 2).sum(axis=0) / counts)
        return (
            tuple(np.where(measured, means, 0).tolist()),
            tuple(np.where(measured & (deviations > 0), deviations, 1).tolist()),
        )

    def prior(self) -> np.ndarray:
        """Returns the prediction for a row without an image: the mean label of the competition's own rows,
        (classes,).
        """
        return self.target.prior(self.targets()[self.competition_rows], len(self.classes))

    def index_of(self, ids: Iterable[str]) -> np.ndarray:
        """Returns the positions of the rows with these ids, int64.

        Raises InvalidError (D41) for ids that the table lacks.
        """
        at, wanted = {name: row for row, name in enumerate(self.ids.tolist())}, np.asarray(ids).tolist()
        unlabelled = [
            Case("is not in the training table", id=name, code="D41") for name in wanted if name not in at
        ]
        if unlabelled:
            raise InvalidError(
                f"{len(unlabelled)} predicted rows have no label",
                code="D41",
                cases=unlabelled,
                hint="restore the training table of the runs, and the image folders if they define rows",
            )
        return np.array([at[name] for name in wanted], dtype=np.int64)

    def label_names(self, row: int) -> tuple[str, ...]:
        """Returns the names of a labelled row's classes, one unless rows are multi-label."""
        return self.target.names_of(self.targets()[row], self.classes)


def _format_of(workspace: Workspace | StrPath) -> Any:
    """Returns the format of the submission that a workspace's config names, or None."""
    return workspace.competition.format if isinstance(workspace, Workspace) else None


def _locate(workspace: Workspace | StrPath, data: Data | None) -> tuple[Path, Data]:
    """Returns a workspace's folder and the `data` part of its config, which is read if it is not given."""
    if data is not None:
        return Path(workspace), data
    space = Workspace.of(workspace)
    return space.root, space.competition.data


def train_table(workspace: Workspace | StrPath, data: Data | None = None) -> Table:
    """Returns the labelled rows, in the order of their file, or by path if each folder is a class.

    `workspace` is a Workspace or its path. Without `data` its config names the sources of the rows.

    Raises DataError for the faults of BAD_INPUTS (missing images, duplicate ids, labels that are not a
    class), ConfigError if a column does not exist.
    """
    root, data = _locate(workspace, data)
    rows = row_sources.train_rows(root, data)
    target, (encoded_labels, classes, factors, spellings) = read_labels(root, data, rows)
    table = Table(
        ids=np.array(rows.ids, dtype=str),
        paths=PathList(rows.paths),
        classes=classes,
        labels=encoded_labels,
        groups=None if data.group is None else read_groups(root, rows, data.group),
        answers=None if data.answer is None else read_answers(rows, data, data.answer, "train"),
        weights=None if data.weight is None else _weights(rows, data.weight),
        sources=np.array(rows.sources, dtype=str) if rows.sources else None,
        class_groups=() if data.superclasses is None else superclasses(root, data),
        class_factors=factors,
        class_levels=_levels(root, data, target, classes, encoded_labels, rows) if _has_parents(data) else (),
        spellings=spellings,
        frame=_frame(rows),
        target=target,
        target_range=data.target_range,
        unknown_class=data.unknown_class,
    )
    if table.answers is not None:
        check_same_labels(table)
    return table


def read_labelled_rows(root: Path, data: Data) -> Table:
    """Returns the labelled rows on a machine that need not have the images that they name.

    Raises as `train_table` does.
    """
    return train_table(root, data.model_copy(update={"on_unreadable_train": "skip"}))


def test_table(
    workspace: Workspace | StrPath,
    data: Data | None = None,  # noqa: PT028
    classes: tuple[str, ...] | None = None,  # noqa: PT028
) -> Table:
    """Returns all rows to predict, in the order of the test table or else of the sample submission.

    `workspace` is a Workspace or its path. Without `data` its config names the sources of the rows, and
    without `classes` the training table has them. A Workspace's format decides which answers the sample
    wants; without one the sample shows it.

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
    """Returns the test table, or a table without rows if the config names no rows to predict.

    Raises as `train_table` does.
    """
    if not data.has_test_rows:
        return Table(np.array([], dtype=str), PathList(()), classes)
    return test_table(workspace, data, classes)


test_table.__test__ = False  # type: ignore[attr-defined]  # pytest would collect this function as a test


def sample_frame(root: Path, data: Data) -> pd.DataFrame:
    """Returns the sample submission, all cells text, the id first. Raises DataError and ConfigError."""
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


def _has_parents(data: Data) -> bool:
    return bool(data.parents) or data.parent_list is not None


def _levels(
    root: Path, data: Data, target: Target, classes: tuple[str, ...], labels: np.ndarray, rows: SourceRows
) -> tuple[Level, ...]:
    """Returns the parents of the classes. Raises as `read_levels` does."""
    from kit.data.class_levels import read_levels

    own = [classes[number] for number in labels.tolist()] if target == ONE_CLASS else []
    return read_levels(root, data, target.kind, classes, own, rows.columns)


def _weights(rows: SourceRows, column: str) -> np.ndarray:
    """Returns the rows' weights.

    Raises ConfigError C07 for an unknown column, DataError D31 for a cell that is not a weight.
    """
    if column not in rows.columns:
        raise ConfigError(
            f"data.weight: the training table has no column {column!r}{did_you_mean(column, rows.columns)}",
            code="C07",
            hint=f"its columns: {', '.join(rows.columns)}",
        )
    cells = rows.columns[column]
    wrong = [
        Case(f"column {column!r} holds {cell!r}, not a number of 0 or more", "", row, "train", "D31")
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


@dataclass(frozen=True)
class Naming:
    """The classes of a run in its own names and order, and the `data.label_from.rename` that produced these names."""

    classes: tuple[str, ...]
    rename: Mapping[str, str]


def names_now(then: Naming, table: Table, rename: Mapping[str, str]) -> tuple[str, ...] | None:
    """Returns the name of each class of a run in the table, in the run's order; `rename` is the present
    `data.label_from.rename`.

    None if they are not the same classes: one was added, or some were joined or split.
    """
    if not table.spellings:
        return then.classes if set(then.classes) == set(table.classes) else None
    names_by_class: dict[str, set[str]] = {name: set() for name in then.classes}
    labels = [spelling.label for spelling in table.spellings]
    for spelling, label in zip(table.spellings, rename_labels(labels, then.rename), strict=True):
        name = _among(label, then.classes)
        if name is None:
            return None
        names_by_class[name].add(spelling.name)
    for name in [name for name, names in names_by_class.items() if not names]:  # listed, and without a row
        now = _among(rename_labels([name], rename)[0], table.classes)
        names_by_class[name] |= {now} if now is not None else set()
    names = [next(iter(each)) for each in names_by_class.values() if len(each) == 1]
    return (
        tuple(names) if sorted(names) == sorted(table.classes) and len(names) == len(names_by_class) else None
    )


def _among(label: str, classes: Sequence[str]) -> str | None:
    """Returns the class of a label: of the same text, else the only one that is the same number."""
    if label in classes:
        return label
    value = number_of(label)
    same = [name for name in classes if value is not None and number_of(name) == value]
    return same[0] if len(same) == 1 else None


def as_then(table: Table, then: Naming, rename: Mapping[str, str]) -> Table:
    """Returns the table with the run's class names and order, or the same table if no class was renamed.

    Classes of the same names in another order are not renamed, and comparisons refuse them.
    """
    names = names_now(then, table, rename)
    if names is None or names == then.classes:
        return table
    order = [
        table.classes.index(name) for name in names
    ]  # of each of the run's classes, its number in the table
    old, labels = dict(zip(names, then.classes, strict=True)), table.labels
    if labels is not None:
        labels = table.target.reorder(labels, order)
    return replace(
        table,
        classes=then.classes,
        labels=labels,
        class_groups=tuple(table.class_groups[at] for at in order) if table.class_groups else (),
        class_factors=tuple(table.class_factors[at] for at in order) if table.class_factors else (),
        class_levels=tuple(level.of_classes(order) for level in table.class_levels),
        spellings=tuple(replace(spelling, name=old[spelling.name]) for spelling in table.spellings),
    )


def rename_in(config: Any) -> Mapping[str, str]:
    """Returns the `data.label_from.rename` of a config in a file; empty if it has none, or is not a config."""
    section = config
    for key in ("data", "label_from", "rename"):
        section = section.get(key) if isinstance(section, Mapping) else None
    return dict(section) if isinstance(section, Mapping) else {}


def rename_of(run: Path) -> Mapping[str, str]:
    """Returns the `data.label_from.rename` that the run in a folder was started with.

    It is empty if the folder does not have it.
    """
    try:
        return rename_in(read_json(run / "config.json"))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def predictions_now(
    run: Path, predictions: Predictions, table: Table, rename: Mapping[str, str]
) -> Predictions:
    """Returns predictions of the run in a folder with the table's classes, if the config or the sample renamed them.

    They stay as they are if the run's classes are not the table's.
    """
    return as_now(predictions, Naming(predictions.classes, rename_of(run)), table, rename)


def as_now(predictions: Predictions, then: Naming, table: Table, rename: Mapping[str, str]) -> Predictions:
    """Returns predictions with the table's classes if the run's are the same under other names, else
    unchanged predictions.

    Columns of the same names in another order stay as they are, because a new order would be a guess.
    """
    names = names_now(replace(then, classes=predictions.classes), table, rename)
    if names is None or names == predictions.classes:
        return predictions
    order = [names.index(name) for name in table.classes]
    shares = (
        predictions.probabilities if order == list(range(len(order))) else predictions.probabilities[:, order]
    )
    return replace(predictions, classes=table.classes, probabilities=shares)


def class_naming_of(run: Path) -> Naming | None:
    """Returns the classes of a run with a trained or embedded fold; None if no file has them."""
    with suppress(KitError):
        return next(_namings(run), None)
    return None


def _namings(run: Path) -> Iterator[Naming]:
    """Yields the classes in each file of a run; torch is not needed to read these files."""
    for file in sorted(run.glob("fold-*/*/manifest.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):  # another checkpoint may be complete
            about = read_json(file)["about"]
            yield Naming(tuple(about["classes"]), rename_in(about["config"]))
    for file in sorted(run.glob("fold-*/oof.parquet")):
        yield Naming(classes_of(file), rename_of(run))
    for file in sorted(run.glob("embeddings/*/*/manifest.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield Naming(tuple(read_json(file)["about"]["classes"]), rename_of(run))


def table_of(run: Path, table: Table, data: Data) -> Table:
    """Returns the table with the class names and order of a run with the same classes; else the table itself."""
    return rename_classes(run, table, data)[0]


def rename_classes(run: Path, table: Table, data: Data) -> tuple[Table, Mapping[str, str]]:
    """Returns the result of `table_of`, and the `data.label_from.rename` that produces these names."""
    then = class_naming_of(run)
    renamed = table if then is None else as_then(table, then, data.label_from.rename)
    return renamed, data.label_from.rename if then is None or renamed is table else then.rename
