"""Classes that are renamed after training are the same classes: a run continues, and submits the new names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.spelling import Spelled
from kit.data.table import Naming, Table, as_now, as_then, names_now
from kit.errors import DataError, InvalidError
from kit.kinds.levels import Level
from kit.stages.blending.blend import blend
from kit.stages.checks.check import run_checks
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend

# new names in another order than the old ones: blob cross ring
NAMES = {"blob": "zebra", "cross": "ant", "ring": "bee"}


def table(*spellings: tuple[str, str], labels: list[int] | None = None, names: tuple[str, ...] = ()) -> Table:
    names = names or tuple(sorted({name for _, name in spellings}))
    row_labels = labels if labels is not None else list(range(len(names)))
    ids = np.array([f"r{row}" for row in range(len(row_labels))])
    return Table(
        ids,
        [Path(name) for name in ids],
        names,
        np.array(row_labels),
        class_groups=tuple(f"g{name}" for name in names),
        class_levels=(Level("genus", tuple(f"p{name}" for name in names)),),
        spellings=tuple(Spelled(label, name, 1) for label, name in spellings),
    )


@pytest.mark.parametrize(
    ("then", "rename", "now", "names"),
    [
        (("0", "1"), {}, [("0", "dog"), ("1", "cat")], ("dog", "cat")),
        (("a", "b"), {}, [("a", "b"), ("b", "a")], ("b", "a")),  # the names were exchanged
        (("x", "y"), {"0": "x", "1": "y"}, [("0", "0"), ("1", "1")], ("0", "1")),  # a rename was taken back
        (("0.0", "1.0"), {}, [("0.0", "0"), ("1.0", "1")], ("0", "1")),
        (("0", "1"), {}, [("0.0", "no"), ("1.0", "yes")], ("no", "yes")),
        (("a", "b"), {}, [("a", "c"), ("b", "c")], None),  # joined
        (("c", "d"), {"a": "c", "b": "c"}, [("a", "a"), ("b", "b"), ("d", "d")], None),  # split
        (("a", "b"), {}, [("a", "a"), ("new", "new")], None),
    ],
)
def test_the_names_of_now_are_known_by_the_labels_of_the_table(
    then: tuple[str, ...], rename: dict[str, str], now: list[tuple[str, str]], names: tuple[str, ...] | None
) -> None:
    assert names_now(Naming(then, rename), table(*now), {}) == names


def test_a_listed_class_without_a_row_is_known_by_the_rename() -> None:
    rows = table(("a", "A"), names=("A", "B"), labels=[0])
    assert names_now(Naming(("b", "a"), {}), rows, {"a": "A", "b": "B"}) == ("B", "A")
    assert names_now(Naming(("b", "a"), {}), rows, {"a": "A"}) is None


def test_labels_and_columns_move_with_the_names() -> None:
    now = table(("blob", "zebra"), ("cross", "ant"), ("ring", "bee"), labels=[0, 1, 2, 2])  # ant bee zebra
    then = Naming(("blob", "cross", "ring"), {})
    old = as_then(now, then, NAMES)
    assert old.classes == then.classes
    assert old.targets().tolist() == [1, 2, 0, 0]
    assert old.class_groups == ("gzebra", "gant", "gbee")
    assert old.class_levels == (Level("genus", ("pzebra", "pant", "pbee")),)
    assert [old.label_names(row) for row in range(3)] == [("cross",), ("ring",), ("blob",)]
    shares = np.array([[0.7, 0.2, 0.1]], dtype=np.float32)
    predictions = Predictions(np.array(["t"]), np.array([0]), then.classes, shares)
    named = as_now(predictions, then, now, NAMES)
    assert named.classes == ("ant", "bee", "zebra")
    np.testing.assert_array_equal(named.probabilities, shares[:, [1, 2, 0]])


def rename(space: Path, names: dict[str, str] = NAMES) -> None:
    """Renames classes in the config and in the sample, as a team does that reads the hint of C21."""
    config = json.loads((space / "config.json").read_text())
    config["data"] = {**config.get("data", {}), "label_from": {"rename": names}}
    (space / "config.json").write_text(json.dumps(config))
    sample = space / "data" / "sample_submission.csv"
    sample.write_text(sample.read_text().replace("blob", names["blob"]))


def submitted(space: Path, *members: str) -> list[tuple[str, ...]]:
    rows = submit_blend(Workspace.open(space), members).path.read_text().splitlines()[1:]
    return [tuple(row.split(",")) for row in rows]


def test_a_run_continues_and_its_submission_has_the_new_names(space: Path, tmp_path: Path) -> None:
    tta(space, ["runs/a"])
    (plain,) = tta(space, ["runs/a"], "hflip")
    old = submitted(space, "runs/a@hflip", "runs/a")
    rename(space)
    train(space, name="a")
    assert submitted(space, "runs/a@hflip", "runs/a") == [(name, NAMES[label]) for name, label in old]
    shutil.rmtree(plain.folder)
    (again,) = tta(space, ["runs/a"], "hflip")
    assert again.scores == plain.scores
    assert again.plain == plain.plain
    assert submitted(space, "runs/a@hflip", "runs/a") == [(name, NAMES[label]) for name, label in old]
    predictions = Predictions.read(again.folder / "oof.parquet")
    assert predictions.classes == ("blob", "cross", "ring")
    codes = {one.code for one in run_checks(Workspace.open(space), ["runs/a"]).findings}
    assert "K18" in codes


def test_a_run_that_was_stopped_ends_with_the_same_bits(space: Path) -> None:
    whole = Predictions.read(space / "runs/a/predictions/plain/oof.parquet")
    for place in ("runs/a/fold-1", "runs/a/predictions", "runs/a/fold-0/oof.parquet"):
        path = space / place
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    rename(space)
    train(space, name="a")
    predictions = Predictions.read(space / "runs/a/predictions/plain/oof.parquet")
    assert predictions.classes == whole.classes
    np.testing.assert_array_equal(predictions.align(whole.ids), whole.align(whole.ids))
    assert submitted_names(space) <= set(NAMES.values())


def submitted_names(space: Path) -> set[str]:
    tta(space, ["runs/a"])
    return {label for _, label in submitted(space, "runs/a")}


def test_names_that_are_exchanged_are_not_taken_for_the_old_ones(space: Path) -> None:
    tta(space, ["runs/a"])
    old = submitted(space, "runs/a")
    swap = {"blob": "ring", "ring": "blob"}
    rename(space, swap)
    assert submitted(space, "runs/a") == [(name, swap.get(label, label)) for name, label in old]


def test_a_rename_that_joins_classes_is_another_task(space: Path) -> None:
    tta(space, ["runs/a"])
    rename(space, {"ring": "blob", "blob": "blob"})
    with pytest.raises(InvalidError, match="D42"):
        blend(Workspace.open(space), ["runs/a"])
    (space / "runs/a/fold-1/oof.parquet").unlink()
    with pytest.raises(DataError, match="D60"):
        train(space, name="a")
