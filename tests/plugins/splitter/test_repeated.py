"""Repeats of another splitter, and the whole road after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.core.randomness import generator
from kit.data.folds import Folds, make_folds
from kit.data.predictions import Predictions
from kit.data.table import Table, train_table
from kit.errors import ConfigError, DataError
from kit.kinds import Metric, Splitter
from kit.plugins.splitter.repeated import Repeated
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition
from tests.kinds.test_registry import put


def table(groups: bool = False) -> Table:
    """40 rows of two classes; 20 groups of two rows where asked for."""
    names = np.array([f"r{row:02d}" for row in range(40)])
    return Table(
        names,
        tuple(Path("nowhere") / name for name in names.tolist()),
        ("a", "b"),
        np.arange(40) // 2 % 2,
        np.array([f"g{row // 2}" for row in range(40)]) if groups else None,
    )


def repeated(base: Any, repeats: int = 3) -> Repeated:
    splitter = Splitter.open({"name": "repeated", "base": base, "repeats": repeats})
    assert isinstance(splitter, Repeated)
    return splitter


def test_each_repeat_is_its_base_drawn_again_and_numbers_run_on() -> None:
    splitter = repeated({"name": "stratified_kfold", "folds": 4})
    numbers = splitter.split(table(), generator(0, "folds"))
    assert numbers.shape == (40, 3)
    seed = int(generator(0, "folds").integers(2**31))
    for repeat in range(3):
        alone = splitter.base.split(table(), generator(seed, "repeat", repeat))
        assert (numbers[:, repeat] == alone[:, 0] + 4 * repeat).all()
    assert len({tuple(column % 4) for column in numbers.T}) == 3


def test_more_repeats_leave_the_first_ones_as_they_were() -> None:
    two, four = (make_folds(table(), repeated("kfold", count), 7).numbers for count in (2, 4))
    assert (two == four[:, :2]).all()


def test_as_sklearns_every_row_is_held_out_once_a_repeat_in_its_class_share() -> None:
    from sklearn.model_selection import RepeatedStratifiedKFold

    rows, splitter = table(), repeated({"name": "stratified_kfold", "folds": 4})
    folds = make_folds(rows, splitter, 0)
    theirs = list(RepeatedStratifiedKFold(n_splits=4, n_repeats=3).split(rows.labels, rows.labels))
    assert folds.count == len(theirs) == 12
    for fold, (trained, held) in enumerate(theirs):
        counts = rows.take(folds.oof_mask(fold)).counts().tolist()
        assert counts == np.bincount(rows.targets()[held]).tolist() == [5, 5]
        assert folds.training_mask(splitter, fold).sum() == len(trained) == 30
        assert (folds.training_mask(splitter, fold) == ~folds.oof_mask(fold)).all()


def test_the_training_rows_are_those_that_the_base_chooses() -> None:
    splitter = repeated({"name": "repeated", "base": "holdout", "repeats": 2}, 2)
    folds = make_folds(table(), splitter, 0)
    assert folds.numbers.shape == (40, 4)
    for fold in range(4):
        held = folds.oof_mask(fold)
        assert held.sum() == 8
        assert (folds.training_mask(splitter, fold) == ~held).all()


def test_groups_are_asked_for_where_the_base_asks_and_stay_whole() -> None:
    splitter = repeated({"name": "stratified_group_kfold", "folds": 4})
    with pytest.raises(ConfigError, match=r"'repeated' needs data\.group"):
        make_folds(table(), splitter, 0)
    folds = make_folds(table(groups=True), splitter, 0)
    assert (folds.numbers[::2] == folds.numbers[1::2]).all()
    with pytest.raises(DataError, match="'repeated' separates 20 of 20 groups"):
        make_folds(table(groups=True), repeated({"name": "kfold", "folds": 4}), 0)
    assert not repeated("kfold").asks_for_groups()


class Chunks(Splitter):
    """Draws nothing, as a splitter by a column."""

    @classmethod
    def plugin_name(cls) -> str:
        return "chunks"

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        return (np.arange(len(table)) % 2)[:, None]


def test_a_base_that_draws_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="'chunks' makes the same folds in all 2 repeats"):
        make_folds(table(), Repeated(base=Chunks(), repeats=2), 0)


def test_its_options_are_those_of_a_nested_plugin() -> None:
    splitter = Splitter.open({"name": "repeated", "base": {"folds": 3}})
    assert splitter.spec() == {
        "name": "repeated",
        "base": {"name": "stratified_kfold", "folds": 3},
        "repeats": 2,
    }
    with pytest.raises(ConfigError, match="did you mean 'folds'"):
        Splitter.open({"name": "repeated", "base": {"fold": 3}})


# ------------------------------------------------------------------------------------- the whole road

SPEC = {"name": "repeated", "base": {"name": "stratified_kfold", "folds": 2}, "repeats": 2}
SUREST = """
    from typing import ClassVar

    import numpy as np
    from kit.kinds import Ensembler


    class Surest(Ensembler):
        fitted: ClassVar[bool] = True
        chosen: int = -1

        def fit(self, members, truth):
            told = members[:, np.arange(len(truth)), truth].mean(axis=1)
            return self.model_copy(update={"chosen": int(told.argmax())})

        def blend(self, members):
            return members[self.chosen]
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition with two members trained on two repeats of two folds, and their predictions from two views."""
    root = draw_competition(tmp_path_factory.mktemp("repeated") / "space", splitter=SPEC, epochs=1)
    put(root, "ensembler", "surest", SUREST)
    for name, seed in (("a", 0), ("b", 1)):
        train(root, [f"seed={seed}"], name=name)
        tta(root, [f"runs/{name}"], "hflip")
    return root


def read(root: Path, views: str, split: str, run: str = "a") -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions" / views / f"{split}.parquet")


def test_folds_csv_has_a_column_a_repeat(space: Path) -> None:
    file = space / "runs" / "a" / "folds.csv"
    assert file.read_text().startswith("id,fold_0,fold_1\n")
    numbers = Folds.read(file).numbers
    assert {tuple(sorted(set(column))) for column in numbers.T.tolist()} == {(0, 1), (2, 3)}


@pytest.mark.parametrize("views", ["plain", "hflip"])
def test_every_row_is_predicted_once_a_repeat_by_models_that_held_it_out(space: Path, views: str) -> None:
    predictions, folds = read(space, views, "oof"), Folds.read(space / "runs" / "a" / "folds.csv")
    assert len(predictions) == 120
    held = dict(zip(folds.ids.tolist(), folds.numbers.tolist(), strict=True))
    for name in folds.ids.tolist():
        assert sorted(predictions.folds[predictions.ids == name].tolist()) == held[name]


@pytest.mark.parametrize("views", ["plain", "hflip"])
def test_scores_are_those_of_the_mean_over_repeats(space: Path, views: str) -> None:
    predictions = read(space, views, "oof")
    table = train_table(space, Workspace.open(space).competition.data)
    mean = np.stack(
        [predictions.probabilities[predictions.ids == name].mean(axis=0) for name in table.ids.tolist()]
    )
    assert predictions.provenance.scores is not None
    for name in ("macro_f1", "log_loss"):
        expected = Metric.open(name).score(table.targets(), mean)
        assert predictions.provenance.scores[name] == pytest.approx(expected, abs=1e-6)
    assert predictions.provenance.fold_scores is not None
    assert set(predictions.provenance.fold_scores) == {"0", "1", "2", "3"}


def test_test_rows_are_predicted_by_the_models_of_all_repeats(space: Path) -> None:
    predictions = read(space, "hflip", "test")
    assert len(predictions) == 12 * 4
    assert set(predictions.folds.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("ensembler", ["mean", "surest"])
def test_members_are_blended_by_id_over_the_mean_of_repeats(space: Path, ensembler: str) -> None:
    submitted = submit_blend(
        Workspace.open(space), ["runs/a@hflip", "runs/b@hflip"], ensembler, name=ensembler
    )
    assert (submitted.rows, submitted.test_rows) == (60, 12)
    first = submitted.scores[0]
    assert set(first.folds) == {0, 1}  # the first repeat's: what is fitted is fitted on the other one of them
    scores = read(space, "hflip", "oof").provenance.scores
    assert scores is not None
    assert first.cv == pytest.approx(scores["macro_f1"])
    assert len(submitted.path.read_text().splitlines()) == 13
    record = json.loads(submitted.record.read_text())
    assert [one["member"] for one in record["members"]] == ["a@hflip", "b@hflip"]


def test_a_run_of_repeats_blends_with_a_run_of_plain_folds(space: Path) -> None:
    train(space, ["splitter=stratified_kfold", "splitter.folds=2"], name="once")
    tta(space, ["runs/once"], "hflip")
    submitted = submit_blend(Workspace.open(space), ["runs/once@hflip", "runs/a@hflip"])
    assert (submitted.rows, len(submitted.scores)) == (60, 3)


def test_started_again_a_run_of_repeats_is_finished(space: Path) -> None:
    before = (space / "runs" / "b" / "fold-3" / "log.jsonl").read_bytes()
    train(space, ["seed=1"], name="b")
    assert (space / "runs" / "b" / "fold-3" / "log.jsonl").read_bytes() == before
