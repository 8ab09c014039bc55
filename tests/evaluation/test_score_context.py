"""Metrics that want groups, ids or weights of rows know them of exactly the rows that are scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.data.table import Table, train_table
from kit.errors import ConfigError, DataError
from kit.evaluation import bootstrap
from kit.evaluation.competition import bind_classes, bind_rows, for_metric
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler, Metric
from kit.kinds.decision import Decision
from kit.stages.blending.blend import blend
from tests.blends import submit_blend
from tests.drawn_tables import csv, make, train_error
from tests.written_runs import competition

ROWS = 12
TRUTH = np.arange(ROWS) % 2
GROUPS = np.array([f"patient {number // 3}" for number in range(ROWS)])


class PatientAccuracy(Metric):
    """Share of patients whose rows are all right."""

    wants = ("groups", "ids", "classes")

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        context = self.context
        assert context.groups is not None
        assert context.ids is not None
        assert context.groups.tolist() == [GROUPS[int(name)] for name in context.ids]
        assert context.classes == ("no", "yes")
        assert len(context.groups) == len(truth)
        right = probabilities.argmax(axis=1) == truth
        return float(np.mean([right[context.groups == name].all() for name in np.unique(context.groups)]))


class Remembering(Ensembler):
    """Blends as the first member does, and remembers what its metric scored."""

    fitted = True
    metric: Metric | None = None
    best: float = -1.0

    def fit(self, members: np.ndarray, truth: np.ndarray) -> Self:
        assert self.metric is not None
        return self.model_copy(update={"best": self.metric.score(truth, members[0])})

    def blend(self, members: np.ndarray) -> np.ndarray:
        return np.full_like(members[0], self.best)


@pytest.fixture
def table() -> Table:
    return Table(np.arange(ROWS).astype(str), [Path()] * ROWS, ("no", "yes"), TRUTH, GROUPS)


def predictions() -> np.ndarray:
    """All rows right but those of the first and the last patient's last row."""
    wrong = np.isin(np.arange(ROWS), [2, 11])
    return np.eye(2)[np.where(wrong, 1 - TRUTH, TRUTH)]


def test_a_metric_knows_the_groups_of_the_scored_rows(table: Table) -> None:
    assert bind_rows(PatientAccuracy(), table).score(TRUTH, predictions()) == 0.5
    backwards = np.arange(ROWS)[::-1]
    turned = bind_rows(PatientAccuracy(), table.take(backwards))
    assert turned.score(TRUTH[backwards], predictions()[backwards]) == 0.5
    first = bind_rows(PatientAccuracy(), table).take_rows(np.arange(ROWS) < 3)
    assert first.score(TRUTH[:3], predictions()[:3]) == 0


def test_the_bootstrap_draws_groups_with_their_rows(table: Table) -> None:
    metric = bind_rows(PatientAccuracy(), table)
    drawn = bootstrap.resample_scores(metric, TRUTH, [predictions()], GROUPS)
    # a draw has each patient once or several times; two of the four are right
    assert set(drawn[:, 0]) <= {0, 1 / 3, 1 / 2, 2 / 3, 1}


def test_cross_fitting_hands_each_part_its_own_rows(table: Table) -> None:
    recipe = bind_rows(for_metric(Remembering(), PatientAccuracy()), table)
    folds = np.arange(ROWS) // 3
    honest, fitted = cross_fit(recipe, predictions()[None], TRUTH, folds)
    # without the first or the last patient one of three is wrong, without another two of three
    assert honest[:, 0].tolist() == pytest.approx([2 / 3] * 3 + [1 / 3] * 6 + [2 / 3] * 3)
    assert isinstance(fitted, Remembering)
    assert fitted.best == 0.5


def test_a_metric_that_wants_nothing_is_left_as_it_is(table: Table) -> None:
    metric, recipe = Metric.open("auc"), Ensembler.open("hill_climb")
    assert bind_rows(metric, table) is metric
    assert bind_rows(recipe, table) is recipe
    assert metric.take_rows(np.arange(3)) is metric


def test_a_metric_whose_groups_or_weights_the_config_does_not_name_is_refused(
    table: Table, tmp_path: Path
) -> None:
    space = Workspace.open(make(tmp_path, {"config.json": "{}"}))
    bind_classes(Metric.open("accuracy"), space, replace(table, groups=None), Decision())
    with pytest.raises(ConfigError, match="C47") as caught:
        bind_classes(Named.with_groups(), space, replace(table, groups=None), Decision())
    assert caught.value.hint == "data.group=COLUMN"


class Named(PatientAccuracy):
    """The same with a name, as messages need one."""

    @classmethod
    def plugin_name(cls) -> str:
        return "patient_accuracy"

    @classmethod
    def with_groups(cls) -> Metric:
        return cls()


def test_weights_are_read_and_a_cell_that_is_no_weight_is_an_error(tmp_path: Path) -> None:
    data = Data(sample=None, weight="w")
    rows = csv("id,label,w", "a,x,0.5", "b,y,2")
    root = make(tmp_path, {"data/train.csv": rows}, ["data/images/a.png", "data/images/b.png"])
    weighted_table = train_table(root, data)
    assert weighted_table.weights is not None
    assert weighted_table.weights.tolist() == [0.5, 2]
    weights = weighted_table.take([1]).weights
    assert weights is not None
    assert weights.tolist() == [2]
    error = train_error(root, Data(sample=None, weight="wt"))
    assert isinstance(error, ConfigError)
    assert error.code == "C07"
    assert "did you mean 'w'?" in error.summary
    for wrong in ("-1", "nan", "much", ""):
        (root / "data/train.csv").write_text(rows.replace("0.5", wrong))
        error = train_error(root, data)
        assert isinstance(error, DataError)
        assert (error.code, len(error.cases)) == ("D31", 1)


# ------------------------------------------------------------------------------------- a whole workspace

PLUGIN = """
import numpy as np
from kit.kinds import Metric


class PatientAccuracy(Metric):
    \"\"\"Share of groups whose rows are all right. Source: the competition's page.\"\"\"

    wants = ("groups",)

    def score(self, truth, probabilities):
        groups, right = self.context.groups, probabilities.argmax(axis=1) == truth
        return float(np.mean([right[groups == name].all() for name in np.unique(groups)]))
"""


@pytest.mark.parametrize("ensembler", ["mean", "auto"])
def test_a_metric_of_the_workspace_scores_groups_in_a_blend(ensembler: str, tmp_path: Path) -> None:
    space = competition(tmp_path, metric="patient_accuracy", ensembler=ensembler)
    (tmp_path / "plugins" / "metric").mkdir(parents=True)
    (tmp_path / "plugins" / "metric" / "patient_accuracy.py").write_text(PLUGIN)
    scores = {one.name: one for one in submit_blend(space, ["runs/a", "runs/b"]).scores}
    # run b is wrong in one of the nine rows, so one of the three people is wrong
    assert scores["a@plain"].cv == 1
    assert scores["b@plain"].cv == pytest.approx(2 / 3)
    assert scores["b@plain"].folds == {0: 1, 1: 0, 2: 1}
    (tmp_path / "config.json").write_text('{"metric": "patient_accuracy", "data": {"group": null}}')
    with pytest.raises(ConfigError, match="C47 metric 'patient_accuracy' needs groups of rows"):
        blend(Workspace.open(tmp_path), ["runs/a"])


def test_rows_count_by_their_weights_in_a_blend(tmp_path: Path) -> None:
    space = competition(tmp_path, metric="row_weighted", data={"weight": "w"})
    file = tmp_path / "data" / "train.csv"
    header, *rows = file.read_text().splitlines()
    # the row that run b has wrong is the fifth
    weighted = [f"{row},{3 if number == 4 else 1}" for number, row in enumerate(rows)]
    file.write_text("\n".join([f"{header},w", *weighted]) + "\n")
    scores = {one.name: one for one in submit_blend(space, ["runs/a", "runs/b"]).scores}
    assert scores["b@plain"].cv == pytest.approx(8 / 11)
    assert scores["b@plain"].folds == {0: 1, 1: pytest.approx(2 / 5), 2: 1}
    file.write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(ConfigError, match="C07 data.weight"):
        blend(space, ["runs/a"])


def test_class_weights_reach_a_blend_beside_the_plain_log_loss(tmp_path: Path) -> None:
    space = competition(tmp_path, metric={"name": "log_loss", "class_weights": {"bee": 3}})
    scores = {one.name: one for one in submit_blend(space, ["runs/a", "runs/b"]).scores}
    # run b gives the true class 0.6 but 0.2 in one row of bees
    theirs = (-np.log([0.6, 0.6]).sum() * 3 - 3 * np.log(0.2) - 6 * np.log(0.6)) / 15
    assert scores["b@plain"].cv == pytest.approx(theirs, rel=1e-6)
    (tmp_path / "config.json").write_text('{"metric": {"name": "log_loss", "class_weights": {"bees": 3}}}')
    with pytest.raises(ConfigError, match="C47 metric.class_weights: no class is named 'bees'"):
        blend(Workspace.open(tmp_path), ["runs/a"])
