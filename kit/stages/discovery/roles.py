"""Assigns roles to tables and columns: training rows, sample submission, test rows; label and group.

Each question is decided by points for a candidate's evidence. Equal points decide nothing: the error names
the candidates and the option that decides.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from kit.data.csv_file import is_number
from kit.errors import Case, ConfigError
from kit.stages.discovery.file_scan import ColumnMatch, TableFile

T = TypeVar("T")

TRAIN = frozenset({"train", "training", "labels", "labelled", "labeled"})
TEST = frozenset({"test", "testing", "eval", "evaluation"})
VAL = frozenset({"val", "valid", "validation", "dev"})
SAMPLE = frozenset({"sample", "example", "template"})
SUBMISSION = frozenset({"submission", "submissions", "submit"})
OTHER = frozenset({
    "answer", "answers", "solution", "truth", "leaderboard", "public", "private", "score", "scores", "best", "blend",
    "ensemble", "pred", "preds", "prediction", "predictions", "oof", "fold", "folds", "old", "backup", "copy",
    "valid", "validation", "val", "dev",
})  # fmt: skip
LABELS = frozenset({
    "label", "labels", "class", "classes", "target", "category", "species", "breed", "answer", "ans", "type", "y",
})  # fmt: skip
GROUPS = frozenset({
    "group", "patient", "person", "subject", "individual", "object", "sequence", "series", "site", "scene", "video",
    "clip", "session", "box", "lot", "burst", "animal", "plant", "owner", "user", "customer", "shop", "store",
    "location", "experiment", "seq", "study", "slide", "lesion", "driver", "boat",
})  # fmt: skip

FRACTION = re.compile(r"-?\d+\.\d*[1-9]\d*")
MEASURED = -8.0  # points of a column of distinct numbers: a label if no other column is one
MIN_GROUPS = 5  # the number of folds that kit init writes


def words(name: str) -> set[str]:
    """Returns the words of a path or a column: eval, sample, submission, csv for `eval/sample_submission2.csv`."""
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def choose_best(
    candidates: Sequence[T], points: Callable[[T], float], what: str, option: str, name: Callable[[T], str]
) -> T:
    """Returns the candidate with most points. Raises ConfigError C20 if two have the most, naming all that do."""
    ranked = sorted(candidates, key=points, reverse=True)
    ties = [candidate for candidate in ranked if points(candidate) == points(ranked[0])]
    if len(ties) > 1:
        raise ConfigError(
            f"{len(ties)} candidates for {what}",
            code="C20",
            cases=[Case("could be it", name(candidate)) for candidate in ties],
            hint=f"kit init {option} {name(ties[0])!r}",
        )
    return ranked[0]


def train_score(sheet: TableFile, match: ColumnMatch, label_points: float) -> float:
    """Returns the points of a table as the labelled rows."""
    words_of_name = words(sheet.name)
    others = words_of_name & (TEST | SAMPLE | SUBMISSION | OTHER)
    # more than a name such as train_metadata.csv has; the truth of test rows cannot be trained on
    truth = is_ground_truth(sheet.name) and others <= {"truth"}
    against = bool(others) and not truth
    return (
        4 * bool(words_of_name & TRAIN)
        + 6 * truth
        - 4 * against
        + (match.used > 0.95)
        + min(label_points, 3) / 2
    )


def is_ground_truth(name: str) -> bool:
    """Whether a file is called GroundTruth, ground_truth or the like, and so has labels."""
    return {"ground", "truth"} <= words(name) or "groundtruth" in words(name)


def sample_points(
    sheet: TableFile,
    match: ColumnMatch | None,
    train: TableFile | None,
    ids: Sequence[set[str]],
    firsts: Sequence[set[str]] = (),
) -> float:
    """Returns the points of a sample submission; `ids` are those of the other tables of test rows.

    `firsts` are the first columns of the other tables that name images.
    """
    words_of_name = words(sheet.name)
    others = sheet.columns[1:]
    if not others:
        return -9
    mine = sheet.values(sheet.columns[0])
    train_columns = set(train.columns) if train else set()
    train_values = (
        {value for column in train.columns for value in train.values(column)}
        if train and len(others) > 1
        else set()
    )
    alike = 2 * all(len(sheet.values(column)) <= 1 for column in others)
    answers = 2 * (set(others) <= train_columns or len(set(others) & train_values) * 2 > len(others))
    name_points = 4 * bool(words_of_name & SAMPLE) + 2 * bool(words_of_name & SUBMISSION)
    if not (alike or answers or name_points):
        return -9  # it names images, and so does a table with attributes of the test rows
    return (
        name_points
        + alike
        + answers
        - 4 * bool(words_of_name & OTHER)
        + (match is not None and match.used > 0.95)
        - 3 * any(mine < ids_of_sheet for ids_of_sheet in ids)
        - 3 * (match is None and mine not in firsts)
    )


def test_points(sheet: TableFile, label: str | None) -> float:
    """Returns the points of a table of rows to predict that has more columns than their ids."""
    words_of_name = words(sheet.name)
    against = bool(words_of_name & (SAMPLE | SUBMISSION | OTHER))
    return 4 * bool(words_of_name & TEST) - 4 * against - 4 * (label in sheet.columns)


def label_points(column: str, sheet: TableFile, sample: TableFile | None, test: TableFile | None) -> float:
    """Returns the points of a column as the label; below zero if it cannot be one."""
    values = sheet.values(column)
    if len(values) < 2:
        return -9
    if len(values) >= len(sheet.file):
        return MEASURED if any(map(FRACTION.fullmatch, values)) and all(map(is_number, values)) else -9
    points = (
        3.0 * bool(words(column) & LABELS)
        + (column.lower() in LABELS)
        - 2 * (len(values) > len(sheet.file) / 2)
    )
    points -= 2 * any(map(FRACTION.fullmatch, values))
    if sample:
        others = sample.columns[1:]
        points += 4 * (column in others)
        points += 5 * (len(others) > 1 and len(set(others) & values) * 2 > len(others))
        points += 2 * (len(others) == 1 and sample.values(others[0]) <= values)
        labels = sample_labels(sample)
        points += 6 * (len(labels) > 1 and len(labels & values) >= 0.9 * len(labels))
    if test:
        points += 2 * (column not in test.columns)
    return points


def find_label(
    sheet: TableFile, taken: set[str], sample: TableFile | None, test: TableFile | None, photos: bool
) -> str:
    """Returns the label's column: the one named as the sample's answer, else the one with most points.

    If rows have several photos, points are required, because photos differ. Raises ConfigError C20 if the
    columns do not show the label.
    """
    answer_columns = [column for column in sample.columns[1:] if column in sheet.columns] if sample else []
    if (
        len(answer_columns) == 1
        and answer_columns[0] not in taken
        and 1 < len(sheet.values(answer_columns[0])) <= len(sheet.file)
    ):
        return answer_columns[0]
    points: Mapping[str, float] = {
        column: label_points(column, sheet, sample, test) for column in sheet.columns if column not in taken
    }
    possible = [column for column, count in points.items() if count > MEASURED]
    possible = possible or [column for column, count in points.items() if count > -9]
    likely = [column for column in possible if points[column] > 0] or possible
    if not likely or ((photos or len(likely) > 1) and max(points[column] for column in likely) <= 0):
        raise ConfigError(
            f"{sheet.name}: no column is evidently the label",
            code="C20",
            cases=[Case(f"{len(sheet.values(c))} different values", c) for c in possible],
            hint="kit init --label COLUMN, or a pattern such as --label '{file}_{column}' for photos of a row",
        )
    return choose_best(likely, lambda column: points[column], f"the label in {sheet.name}", "--label", str)


def sample_labels(sample: TableFile) -> set[str]:
    """Returns the labels in the sample's answers; ranked or several labels in a cell are split."""
    cells = {cell for column in sample.columns[1:] for cell in sample.values(column)}
    labels = {part for cell in cells for part in re.split(r"[ |;,]+", cell) if part} | cells
    single_labels = labels - {cell for cell in cells if len(re.split(r"[ |;,]+", cell)) > 1}
    return {label for label in single_labels if not re.fullmatch(r"-?\d*\.\d+", label)}


def find_group(sheet: TableFile, taken: set[str], test: TableFile | None) -> tuple[str, str] | None:
    """Returns the column whose equal values must share a fold, and why; None if no column is clearly one.

    Of columns that are named as groups the first is taken, or one whose groups contain those, such as a
    location with several sequences.
    """
    chosen, why, by_name = "", "", False
    for column in sheet.columns:
        values = sheet.values(column)
        repeated = 2 <= len(values) <= 0.9 * len(sheet.file)
        if column in taken or not repeated or len(values) < MIN_GROUPS:
            continue
        in_test = test.values(column) if test and column in test.columns else None
        if in_test and in_test & values:
            continue
        apart = ", none of them in test" if in_test else ""
        if words(column) & GROUPS:
            if not by_name or _contains(sheet, column, chosen):
                chosen, why, by_name = column, f"{len(values)} values by its name{apart}", True
        elif in_test and len(values) >= 10 and not chosen:
            chosen, why = column, f"{len(values)} values{apart}"
    return (chosen, why) if chosen else None


def folder_group(paths: Sequence[str]) -> tuple[str, str] | None:
    """Returns the pattern of groups that are the folders of paths, if their names show it, and why; else None."""
    folders = [posixpath.basename(posixpath.dirname(path)) for path in paths]
    different = set(folders)
    are_groups = all(words(folder) & GROUPS for folder in different)
    if "" in different or not are_groups or not MIN_GROUPS <= len(different) <= 0.9 * len(folders):
        return None
    return "{folder}", f"{len(different)} folders such as {min(different)}, by their names"


def _contains(sheet: TableFile, outer: str, inner: str) -> bool:
    """Whether each value of one column occurs with only one value of another, which has fewer."""
    pairs = set(zip(sheet.file.column(outer), sheet.file.column(inner), strict=True))
    return len(pairs) == len(set(sheet.file.column(inner))) > len(set(sheet.file.column(outer)))
