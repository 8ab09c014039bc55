"""Sample fit: finds before any training what would stop `kit tta` or `kit blend`, such as a sample that does
not fit.
"""

from __future__ import annotations

import shlex
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kit.config.workspace import Workspace
from kit.data.boxes import names_without_row
from kit.data.folds import warn_train_test_overlap
from kit.data.labels import SEPARATORS
from kit.data.predictions import Predictions
from kit.data.row_sources import find_answers
from kit.data.spelling import quote, rename_line
from kit.data.table import Table, sample_frame, test_table, train_table
from kit.errors import (
    MAX_CASES,
    Case,
    ConfigError,
    InvalidError,
    KitError,
    KitWarning,
    did_you_mean,
    format_cases,
)
from kit.evaluation.competition import read_columns
from kit.experiment.sample_format import choose_format, make_table
from kit.kinds import Ensembler

if TYPE_CHECKING:
    import pandas as pd

    from kit.config.models import Data

TRIED_IDS = 200  # ids of the sample for which a trial submission is written


@dataclass(frozen=True)
class Misfit:
    """One fault that would stop `kit blend`, with cases and a fix."""

    about: Literal["rows", "classes"]
    summary: str
    cases: tuple[Case, ...] = ()
    hint: str = ""


def misfits(workspace: Workspace, train: Table, test: Table | None) -> Iterator[Misfit]:
    """Yields faults: rows to predict that are not the sample's or lack columns, and a sample with other classes.

    `test` None: there are no such rows.

    Raises the errors of `sample_frame` for a sample that cannot be read.
    """
    if test is not None:
        yield from _of_columns(workspace, test)
    if workspace.competition.data.sample is None:
        return
    sample = sample_frame(workspace.root, workspace.competition.data)
    if test is not None:
        yield from _of_rows(workspace, sample, test)
    yield from _of_classes(workspace, sample, train)


def _of_columns(workspace: Workspace, test: Table) -> Iterator[Misfit]:
    """Yields columns that the config's ensembler reads and the test table lacks."""
    recipe = Ensembler.open(workspace.competition.ensembler, workspace.root, where="ensembler")
    try:
        read_columns(test, recipe.row_columns(), "test")
    except ConfigError as error:
        yield Misfit("rows", f"{error.code} {error.summary}", error.cases, error.hint)


def alike(name: str) -> str:
    """Returns a key that is equal for ids that differ only in folder, ending, leading zeros, blanks, case or
    normal form.
    """
    plain = unicodedata.normalize("NFKC", name).strip().casefold().replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = plain.removesuffix(".0").rpartition(".")
    plain = (
        stem if dot and stem and 0 < len(ending) <= 5 and not ending.isdigit() else plain.removesuffix(".0")
    )
    return plain.lstrip("0") or plain


def counterparts(ids: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """Returns for each id the other one that may be meant, if it is unique."""
    mine, theirs = Counter(map(alike, ids)), Counter(map(alike, others))
    by_key = {alike(name): name for name in others}
    return {name: by_key[key] for name in ids if mine[key := alike(name)] == 1 and theirs.get(key) == 1}


def _of_rows(workspace: Workspace, sample: pd.DataFrame, test: Table) -> Iterator[Misfit]:
    """Yields ids of the test table that the sample does not have, and the reverse."""
    data = workspace.competition.data
    wanted = list(
        dict.fromkeys(find_answers(workspace.root, sample, test.classes, workspace.competition.format))
    )
    rows, what = test.ids.tolist(), "rows"
    if data.test is None or set(wanted) == set(rows):
        return
    if test.answers is not None:
        rows, what = np.unique(test.answers).tolist(), "answers"
    needed, there = set(wanted), set(rows)
    if needed == there:
        return
    absent = "is not in the test table" if test.answers is None else "has no image in the test table"
    extra = [name for name in rows if name not in needed]
    missing = [name for name in wanted if name not in there]
    meant = counterparts(extra, missing)
    paired = set(meant.values())
    cases = [
        Case(
            f"{what[:-1]} {quote(name)} is not in the sample{_hint(name, meant, missing, at)}",
            id=name,
            split="test",
        )
        for at, name in enumerate(extra)
    ]
    cases += [
        Case(f"the sample's id {quote(name)} {absent}", id=name, split="test")
        for name in missing
        if name not in paired
    ]
    yield Misfit(
        "rows",
        f"{len(extra)} of {len(rows)} {what} of {data.test} are not in {data.sample}, and {len(missing)} "
        f"of its {len(wanted)} ids are not in {data.test}",
        tuple(_without_place(cases)),
        _find_repair(workspace, wanted, test, meant),
    )


def _without_place(cases: Sequence[Case]) -> list[Case]:
    """Returns cases whose text already has the id."""
    return [Case(case.detail, case.path, "", case.split) for case in cases]


def _hint(name: str, meant: Mapping[str, str], known: Sequence[str], at: int) -> str:
    if name in meant:
        return f"; did you mean {quote(meant[name])}?"
    return did_you_mean(name, known[:2000]) if at < MAX_CASES else ""


def _find_repair(workspace: Workspace, wanted: Sequence[str], test: Table, meant: Mapping[str, str]) -> str:
    """Returns the change of the config that makes the rows the sample's, after trying it; else what to check."""
    data, root = workspace.competition.data, workspace.root
    for change in _changes(data, test, set(wanted), meant):
        changed = data.model_copy(update=change)
        with suppress(KitError), warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)
            repaired = test_table(workspace, changed, test.classes)
            if set(repaired.by_answer.ids.tolist()) == set(wanted) and len(train_table(root, changed)):
                ((key, value),) = change.items()
                return shlex.quote(f"data.{key}={'null' if value is None else value}")
    answer = "" if data.answer is None else f", data.answer is {data.answer}"
    return f"use a test table with the sample's ids: data.test is {data.test}, data.id is {data.id}{answer}"


def _changes(data: Data, test: Table, wanted: set[str], meant: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yields changes of the config that may make the ids match.

    The changes are: the sample's ids as rows, a column of answers, a name with another prefix or suffix.
    """
    yield {"test": None}
    rows = test.ids.tolist()
    for column in test.frame.columns:
        if column != data.answer and set(test.frame[column].tolist()) == wanted:
            yield {"answer": str(column)}
    around = {
        (other[: other.find(name)], other[other.find(name) + len(name) :]) if name in other else None
        for name, other in meant.items()
    }
    if len(meant) == len(set(rows)) and len(around) == 1 and None not in around:
        before, after = next(pair for pair in around if pair is not None)
        pattern = data.id if "{" in data.id else "{" + data.id + "}"
        yield {"id": f"{before}{pattern}{after}"}


def _of_classes(workspace: Workspace, sample: pd.DataFrame, train: Table) -> Iterator[Misfit]:
    """Yields faults of a sample that allows no submission, found by writing one of its first rows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)
            shape = choose_format(workspace, sample, train.classes, labels=train.label_kind)
            answers = shape.ids(sample, train.classes)
            ids = list(dict.fromkeys(answers))[:TRIED_IDS]
            some = sample[np.isin(answers, ids)].reset_index(drop=True)
            make_table(_guess(ids, train), some, shape)
    except (ConfigError, InvalidError) as error:
        cases, more = _differences(sample, train)
        hint = rename_line(workspace.competition.data.label_from.rename, more) if more else error.hint
        yield Misfit(
            "classes",
            f"the sample does not match the {len(train.classes)} classes: {error.code} {error.summary}",
            (*cases, *error.cases),
            hint,
        )


def _guess(ids: Sequence[str], train: Table) -> Predictions:
    """Returns equal probabilities of all classes for each id."""
    return Predictions(
        np.array(ids, dtype=str),
        np.full(len(ids), -1),
        train.classes,
        train.target.guess(len(ids), len(train.classes)),
        target=train.target,
    )


def _differences(sample: pd.DataFrame, train: Table) -> tuple[list[Case], dict[str, str]]:
    """Returns columns or labels of the sample that are not a class, with the nearest one; and the renames, if
    they are unique.
    """
    classes, columns = set(train.classes), list(map(str, sample.columns[1:]))
    by_column = len(columns) > 1 and (set(columns) & classes or len(columns) == len(classes))
    sample_names, what = (columns, "column") if by_column else (_labels(sample, classes), "label")
    strange = [name for name in sample_names if name not in classes]
    if not strange:
        return [], {}
    free = [name for name in train.classes if name not in set(sample_names)]
    cases = [
        Case(
            f"{what} {quote(name)} is not a "
            f"class{did_you_mean(name, free or train.classes) if at < MAX_CASES else ''}"
        )
        for at, name in enumerate(strange)
    ]
    if by_column:
        cases = cases[:MAX_CASES] + [Case(f"class {quote(name)} has no column") for name in free]
    return cases[: 2 * MAX_CASES], _renames(strange, free, train) if by_column else {}


def _labels(sample: pd.DataFrame, classes: set[str]) -> list[str]:
    """Returns the labels of a sample's cells, split if most parts are classes; empty if all cells are numbers."""
    cells = sorted(set(sample.iloc[:, 1]) - {""})
    for by in SEPARATORS:
        parts = sorted({part for cell in cells for part in cell.split(by)} - {""})
        if len(set(parts) & classes) * 2 > len(parts) and not set(cells) & classes:
            return parts
    return cells


def _renames(strange: Sequence[str], free: Sequence[str], train: Table) -> dict[str, str]:
    """Returns the classes without a column by the columns that are not a class, if each has a nearest one."""
    import difflib

    if len(strange) != len(free) or len(strange) > 50:
        return {}
    pairs = {name: difflib.get_close_matches(name, list(strange), n=1, cutoff=0.6) for name in free}
    nearest_names = {name: near[0] for name, near in pairs.items() if near}
    if len(nearest_names) < len(free) or len(set(nearest_names.values())) < len(nearest_names):
        return {}
    return {
        spelling.label: nearest_names[spelling.name]
        for spelling in train.spellings
        if spelling.name in nearest_names
    }


def warn_about_prediction(workspace: Workspace, table: Table) -> None:
    """Warns before training of what would stop `kit tta` (W12) or `kit blend` (W41, W42) after it, and of copies.

    Copies are images that are in both train and test.
    """
    data = workspace.competition.data
    if data.test is None and data.sample is None:
        _warn_about_boxes(workspace, [table])
        return
    test = None
    try:
        test = test_table(workspace, data, table.classes)
    except KitError as error:
        text = f"W12 the test rows cannot be used as they are, kit tta will stop: {error}"
        warnings.warn(KitWarning(text), stacklevel=2)
    else:
        warn_train_test_overlap(table, test)
        _warn_about_boxes(workspace, [table, test])
    try:
        all_misfits = list(misfits(workspace, table, test))
    except KitError as error:
        if test is not None:  # otherwise W12 has reported it
            warnings.warn(
                KitWarning(f"W42 the sample cannot be read, kit blend will stop: {error}"), stacklevel=2
            )
        return
    for misfit in all_misfits:
        code = "W41" if misfit.about == "rows" else "W42"
        lines = [
            f"{code} kit blend will stop: {misfit.summary}",
            *format_cases(misfit.cases),
            f"try: {misfit.hint}",
        ]
        warnings.warn(KitWarning("\n".join(lines)), stacklevel=2)


def _warn_about_boxes(workspace: Workspace, tables: Sequence[Table]) -> None:
    """Warns (W91) of names in the file of `data.box` that belong to none of the tables' rows."""
    data = workspace.competition.data
    unknown, count = names_without_row(workspace.root, data, tables)
    if unknown:
        examples = ", ".join(map(repr, unknown[:MAX_CASES]))
        text = f"W91 {len(unknown)} of {count} names in {data.box[0]} belong to no training or test row: {examples}"
        warnings.warn(KitWarning(text), stacklevel=3)
