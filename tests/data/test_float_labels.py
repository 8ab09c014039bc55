"""Labels that went through a float: format, kit submission check and the written file agree on the spelling."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import sample_frame, train_table
from kit.errors import KitWarning
from kit.experiment.sample_format import choose_format, make_table
from kit.stages.submission.submission import text_of
from kit.stages.submission.validation import check_submission
from tests.drawn_tables import csv, make

IDS = ("t0", "t1", "t2")


@pytest.mark.filterwarnings("ignore:W40")
@pytest.mark.parametrize(
    ("labels", "header", "cells", "name", "written"),
    [
        (["0.0", "1.0"], "id,label", ["0", "1", "0"], "label", ["0", "1", "0"]),
        (["0", "1"], "id,label", ["0.0", "1.0", "0.0"], "label", ["0.0", "1.0", "0.0"]),
        (["1.0", "2.0", "3.0"], "id,label", ["1", "1", "1"], "label", ["1", "2", "1"]),
        (["1", "2", "3"], "id,label", ["01", "02", "01"], "label", ["01", "02", "01"]),
        (["1.0", "2.0", "3.0"], "id,label", ["1 2"] * 3, "top_k", ["1 3", "2 3", "1 3"]),
        (["1.0", "2.0", "3.0"], "id,a,b", ["1,2"] * 3, "ranked_columns", ["1,3", "2,3", "1,3"]),
        (
            ["1.0", "2.0", "3.0"],
            "id,3,2,1",
            ["0,0,1", "0,1,0", "1,0,0"],
            "one_hot",
            ["0,0,1", "0,1,0", "0,0,1"],
        ),
    ],
)
def test_what_is_written_is_spelled_as_the_sample(
    labels: list[str], header: str, cells: list[str], name: str, written: list[str], tmp_path: Path
) -> None:
    config = {
        "data": {"train": "train.csv", "sample": "sample.csv", "images": "images/{id}"},
        "metric": "accuracy",
    }
    rows = [f"{row},{cell}" for row, cell in zip(IDS, cells, strict=True)]
    files = {
        "config.json": json.dumps(config),
        "sample.csv": csv(header, *rows),
        "train.csv": csv("id,label", *(f"a{n},{label}" for n, label in enumerate(labels))),
    }
    make(tmp_path, files, [f"images/a{n}.png" for n in range(len(labels))])
    space = Workspace.open(tmp_path)
    data = space.competition.data
    table, sample = train_table(tmp_path, data), sample_frame(tmp_path, data)
    count = len(table.classes)
    shares = np.full((3, count), 0.1 / count, np.float32)
    shares[[0, 1, 2], [0, 1, 0]] += 0.7  # then the last class, which is the second for two classes
    shares[:, -1] += 0.2
    predictions = Predictions(np.array(IDS), np.full(3, -1), table.classes, shares)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        shape = choose_format(space, sample, table.classes)
    assert shape.plugin_name() == name
    if name == "one_hot":
        predictions = Predictions(predictions.ids, predictions.folds, table.classes, shares[:, [2, 1, 0]])
    text = text_of(make_table(predictions, sample, shape))
    assert text.splitlines()[1:] == [f"{row},{cell}" for row, cell in zip(IDS, written, strict=True)]
    (tmp_path / "mine.csv").write_text(text)
    assert check_submission(space, tmp_path / "mine.csv").faults == ()
