"""If the sample's cells show no format, the metric decides between labels and probabilities."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from kit.config.workspace import Workspace
from kit.errors import ConfigError
from kit.experiment.sample_format import choose_format
from kit.kinds import Metric
from kit.kinds.decision import Decision
from kit.kinds.targets import LabelKind
from kit.kinds.unclear_sample import detect_scored_input
from tests.drawn_tables import make

METRICS = {
    "accuracy": "labels",
    "macro_f1": "labels",
    "map_at_k": "ranking",
    "auc": "probabilities",
    "log_loss": "probabilities",
    "average_precision": "probabilities",
    "f1": "labels",
    "cohen_kappa": "labels",
    "cost_matrix": "labels",
    "partial_auc": "probabilities",
    "weighted_auc": "probabilities",
    "gap": "probabilities",
}


def frame(header: str, *cells: str) -> pd.DataFrame:
    rows = [[f"t{number}", *row.split(",")] for number, row in enumerate(cells)]
    return pd.DataFrame(rows, columns=header.split(","), dtype=str)


def chosen(
    root: Path, sample: pd.DataFrame, metric: str, classes: tuple[str, ...], labels: LabelKind = "class_index"
) -> tuple[str, list[str]]:
    """The format for a sample, and what is warned of."""
    make(root, {"config.json": f'{{"metric": "{metric}"}}'})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        shape = choose_format(Workspace.open(root), sample, classes, labels=labels)
    return shape.plugin_name(), [str(warning.message) for warning in said]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("classes", [3, 5, 30])
def test_what_a_metric_scores_is_measured(name: str, classes: int) -> None:
    assert detect_scored_input(Metric.open(name), "class_index", classes) == METRICS[name]


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["macro_f1", "samples_f1", "accuracy"])
def test_a_threshold_makes_a_metric_one_of_labels(name: str, threshold: float) -> None:
    metric = Metric.open(name).with_known(decision=Decision(threshold))
    assert detect_scored_input(metric, "multi_hot", 4) == "labels"


def test_a_workspaces_own_metric_needs_no_declaration(tmp_path: Path) -> None:
    text = (
        "from sklearn import metrics\nfrom kit.kinds import Metric\n\n\nclass {0}(Metric):\n"
        "    def score(self, truth, probabilities):\n        return float({1})\n"
    )
    kappa = "metrics.cohen_kappa_score(truth, probabilities.argmax(axis=1), weights='quadratic')"
    partial = "metrics.roc_auc_score(truth, probabilities[:, 1], max_fpr=0.2)"
    broken = "1 / 0"
    files = {"kappa": ("Kappa", kappa), "partial": ("Partial", partial), "broken": ("Broken", broken)}
    make(tmp_path, {f"plugins/metric/{name}.py": text.format(*parts) for name, parts in files.items()})
    inputs = {name: detect_scored_input(Metric.open(name, tmp_path), "class_index", 2) for name in files}
    assert inputs == {"kappa": "labels", "partial": "probabilities", "broken": None}


@pytest.mark.parametrize("metric", ["auc", "log_loss", "average_precision"])
@pytest.mark.parametrize("cell", ["0", "1", "0.0", "0.5", "1.0", ""])
@pytest.mark.parametrize("classes", [("0", "1"), ("benign", "malignant"), ("0.0", "1.0")])
def test_one_column_gets_probabilities_for_a_metric_on_probabilities(
    metric: str, cell: str, classes: tuple[str, ...], tmp_path: Path
) -> None:
    sample = frame("id,target", cell, cell, cell)
    assert chosen(tmp_path, sample, metric, classes)[0] == "binary_probability"


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize(
    ("cell", "classes"),
    [
        *((cell, ("0", "1")) for cell in ("0", "1", "0.0", "0.5", "")),
        ("", ("benign", "malignant")),
        ("benign", ("benign", "malignant")),
        ("", ("cat", "dog", "eel")),
        ("4", ("0", "1", "2", "3", "4")),
        ("0.5", ("0", "1", "2", "3", "4")),
    ],
)
def test_one_column_gets_labels_for_a_metric_on_labels(
    metric: str, cell: str, classes: tuple[str, ...], tmp_path: Path
) -> None:
    sample = frame("id,target", cell, cell, cell)
    assert chosen(tmp_path, sample, metric, classes)[0] == "label"


def test_the_choice_and_its_reason_are_said(tmp_path: Path) -> None:
    sample = frame("image_name,target", "0", "0")
    assert chosen(tmp_path, sample, "auc", ("0", "1")) == (
        "binary_probability",
        [
            "W11 every cell of the sample is 0, read as a probability: metric auc scores probabilities; "
            "format=label writes labels"
        ],
    )
    assert chosen(tmp_path, sample, "accuracy", ("0", "1")) == (
        "label",
        [
            "W11 every cell of the sample is 0, read as a label: metric accuracy scores labels; "
            "format=binary_probability writes probabilities"
        ],
    )


def test_a_format_in_the_config_is_taken_before_the_metrics(tmp_path: Path) -> None:
    make(tmp_path, {"config.json": '{"metric": "auc", "format": "label"}'})
    sample = frame("id,target", "0", "0")
    assert choose_format(Workspace.open(tmp_path), sample, ("0", "1")).plugin_name() == "label"


def test_a_sample_of_zeros_and_ones_is_probabilities_only_for_a_metric_on_those(tmp_path: Path) -> None:
    sample = frame("id,target", "0", "1", "1")
    assert chosen(tmp_path, sample, "auc", ("0", "1"))[0] == "binary_probability"
    assert chosen(tmp_path, sample, "accuracy", ("0", "1")) == ("label", [])


def test_a_sample_that_shows_its_format_keeps_it_whatever_the_metric(tmp_path: Path) -> None:
    fractions = frame("id,target", "0.2", "0.7")
    words = frame("id,target", "cat", "dog")
    ranked = frame("id,target", "cat dog", "dog cat")
    for metric in METRICS:
        assert chosen(tmp_path, fractions, metric, ("cat", "dog")) == ("binary_probability", [])
        assert chosen(tmp_path, words, metric, ("cat", "dog")) == ("label", [])
        assert chosen(tmp_path, ranked, metric, ("cat", "dog")) == ("top_k", [])


@pytest.mark.parametrize("cells", [("0", "0"), ("1", "1"), ("0", "1")])
def test_codes_for_classes_that_have_names_are_asked_for(cells: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the classes are cat and dog") as caught:
        chosen(tmp_path, frame("id,target", *cells), "accuracy", ("cat", "dog"))
    assert caught.value.code == "C21"
    assert """'data.label_from.rename={"cat": "0", "dog": "1"}'""" in caught.value.hint


@pytest.mark.parametrize(
    ("row", "labels", "on_probabilities", "on_labels"),
    [
        ("0,0,0", "class_index", "probabilities", "one_hot"),
        ("1,0,0", "class_index", "probabilities", "one_hot"),
        (",,", "class_index", "probabilities", "one_hot"),
        ("0.0,0.0,0.0", "class_index", "probabilities", "probabilities"),
        ("0.33,0.33,0.33", "class_index", "probabilities", "probabilities"),
        ("0,0,0", "multi_hot", "probabilities", "multi_hot"),
        ("1,1,0", "multi_hot", "probabilities", "multi_hot"),
        (",,", "multi_hot", "probabilities", "multi_hot"),
        ("0.5,0.5,0.5", "multi_hot", "probabilities", "probabilities"),
    ],
)
def test_a_column_a_class_gets_what_the_metric_scores(
    row: str, labels: LabelKind, on_probabilities: str, on_labels: str, tmp_path: Path
) -> None:
    sample = frame("id,cat,dog,eel", row, row)
    classes = ("cat", "dog", "eel")
    assert chosen(tmp_path, sample, "log_loss", classes, labels)[0] == on_probabilities
    assert chosen(tmp_path, sample, "accuracy", classes, labels)[0] == on_labels


def test_an_empty_cell_gets_as_many_ranked_labels_as_the_metric_scores(tmp_path: Path) -> None:
    make(tmp_path, {"config.json": '{"metric": {"name": "map_at_k", "k": 3}}'})
    sample = frame("id,whale", "", "")
    with pytest.warns(UserWarning, match="read as ranked labels"):
        shape = choose_format(Workspace.open(tmp_path), sample, ("a", "b", "c", "d"))
    assert shape.spec() == {"name": "top_k", "k": 3}
