"""Chooses the metric that the sample submission suggests: one of probabilities, of labels, or of ranked labels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from kit.config.models import Competition, Data
from kit.data.csv_file import is_number
from kit.data.table import Table, read_labelled_rows, sample_frame
from kit.errors import KitError
from kit.experiment.sample_format import find_formats
from kit.kinds import Metric
from kit.kinds.label_kinds import check_takes
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import LabelKind
from kit.kinds.unclear_sample import different_cells
from kit.stages.discovery.metric_names import read_metric

Suggested = tuple[dict[str, Any], str]  # the metric's spec, and the reason

LABELS = "macro_f1"


def suggest(root: Path, data: Data, name: str | None = None) -> Suggested:
    """Returns the metric for a competition's tables, and why.

    `name` is a name with options, or a common name such as QWK.

    Raises ConfigError and PluginError for an `name` metric that is unknown or does not take the table's
    labels. Raises C20 for a common name that means different metrics, C47 for options that do not fit the
    classes.
    """
    spec = None if name is None else read_metric(name, root)
    metric = None if spec is None else Metric.open(spec, root, where="metric")
    reason = (
        "as asked for" if spec is None or spec["name"] in str(name) else f"{name!r} is this metric in kit"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the next reader of the tables gives the warning
        try:
            table = read_labelled_rows(root, data)
            sample = sample_frame(root, data) if data.sample else None
        except KitError as error:
            return (spec, reason) if spec else (_default(), f"the tables cannot be read yet ({error.code})")
    if spec is not None and metric is not None:
        check_takes([metric], table.label_kind, root)
        known = ScoreContext(table.classes, table.class_groups, table.target, levels=table.class_levels)
        metric.with_known(context=known, home=root).check_context()
        return spec, reason
    if sample is None and table.target.has_classes:
        return _default(), "no sample submission shows what is scored"
    return _by_sample(root, table, pd.DataFrame() if sample is None else sample)


def _default() -> dict[str, Any]:
    return dict(Competition().metric)


def _by_sample(root: Path, table: Table, sample: pd.DataFrame) -> Suggested:
    answers, classes = sample.iloc[:, 1:], table.classes
    cells = different_cells(sample)
    if not table.target.has_classes:
        return {"name": "rmse"}, "the label is a number; r2 or mae if the competition's page says so"
    if table.target.kind == "several":
        return _of_parts(sample)
    if table.target.kind == "soft":
        return {"name": "kl_divergence"}, "the labels are shares of the classes"
    if len(classes) > 1 and sorted(answers.columns) == sorted(classes):
        return _of_columns(answers, cells)
    if answers.shape[1] == 1 and len(classes) == 2 and not table.is_multi_label and _is_one_number(cells):
        cells_text = (
            f"every cell of the sample is {min(cells)}" if len(cells) == 1 else "the sample has fractions"
        )
        return {"name": "auc"}, f"{cells_text}, for two classes: read as the probability of one"
    return _by_format(root, sample, classes, table.label_kind)


def _of_parts(sample: pd.DataFrame) -> Suggested:
    """Returns probabilities of each part, or one class, as the sample's columns show."""
    cells = different_cells(sample)
    if cells and all(is_number(cell) and not float(cell).is_integer() for cell in cells):
        return {"name": "parts"}, "the sample has probabilities for each part of an answer"
    inner = {"name": "recall", "average": "macro"}
    return {"name": "parts", "of": inner}, "the sample has one class for each part of an answer"


def _of_columns(answers: pd.DataFrame, cells: set[str]) -> Suggested:
    """Returns probabilities for one column per class, unless different rows of 0 and 1 show labels."""
    if cells <= {"0", "1"} and len(answers.drop_duplicates()) > 1:
        return {"name": LABELS}, "the sample has a column of 0 and 1 for each class"
    return {"name": "log_loss"}, "the sample has a column for each class, read as probabilities"


def _is_one_number(cells: set[str]) -> bool:
    """Whether cells are numbers from 0 to 1, and either all alike or not all whole."""
    if not all(is_number(cell) and 0 <= float(cell) <= 1 for cell in cells):
        return False
    return len(cells) == 1 or any(float(cell) not in (0, 1) for cell in cells)


def _by_format(root: Path, sample: pd.DataFrame, classes: tuple[str, ...], labels: LabelKind) -> Suggested:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [shape.plugin_name() for shape in find_formats(root, sample, classes, labels)]
    cells = different_cells(sample)
    if len(names) != 1 and len(cells) == 1:
        return (
            _default(),
            f"every cell of the sample is {cells.pop() or 'empty'}, which shows no other metric",
        )
    if len(names) != 1:
        return (
            _default(),
            "the sample is of no known format" if not names else "the sample fits several formats",
        )
    if names[0] in ("id_list", "image_rows"):
        return (
            _default(),
            "the sample wants ids of images: kit retrieve RUN --within test scores them by the mean F1 of rows",
        )
    if names[0] == "label_confidence":
        return {"name": "gap"}, "the sample has a label and its confidence in a cell"
    if names[0] == "long":
        return {"name": "log_loss"}, "the sample has a row for each id and class, read as probabilities"
    ranks = _ranks(names[0], sample)
    if ranks and labels == "class_index":
        return {"name": "map_at_k", "k": ranks}, f"the sample ranks {ranks} labels per row"
    if ranks:
        return {"name": "average_precision"}, "the sample ranks labels, of which a row has several"
    if names[0] == "labels":
        return {"name": "samples_f1"}, "the sample has any number of labels in a cell"
    return {"name": LABELS}, f"the sample is of format {names[0]}, one label per row"


def _ranks(name: str, sample: pd.DataFrame) -> int:
    """Returns the number of ranked labels per row; 0 for a format without a ranking."""
    if name == "top_k":
        return max(len(cell.split(" ")) for cell in sample.iloc[:, 1])
    if name == "ranked_columns":
        return sample.shape[1] - 1
    return len(sample) // max(sample.iloc[:, 0].nunique(), 1) if name == "ranking" else 0
