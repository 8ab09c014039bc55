"""Formats: each writes its sample's shape, and exactly one of them knows a sample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.experiment.sample_format import find_formats, make_table, matches
from kit.kinds import Format, registry
from kit.kinds.decision import Decision
from kit.kinds.targets import MULTI_HOT

CLASSES = ("ant", "bee", "cat")


def predictions(rows: dict[str, list[float]], classes: tuple[str, ...] = CLASSES) -> Predictions:
    ids = np.array(list(rows), dtype=str)
    return Predictions(ids, np.full(len(ids), -1), classes, np.array(list(rows.values()), dtype=np.float32))


THREE = predictions({"b": [0.2, 0.5, 0.3], "007": [0.7, 0.1, 0.2]})
TWO = predictions({"b": [0.25, 0.75], "007": [1, 0]}, ("no", "yes"))


def sample(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": ["007", "b"], **columns}, dtype=str)


def written(spec: str | dict[str, Any], rows: Predictions, shape: pd.DataFrame) -> list[list[str]]:
    return Format.open(spec).write(rows, shape).to_numpy().tolist()


def test_label_writes_the_most_probable_class() -> None:
    assert written("label", THREE, sample(label="ant")) == [["007", "ant"], ["b", "bee"]]


def test_probabilities_stand_under_the_sample_columns() -> None:
    shape = sample(cat="0", ant="0", bee="0")
    assert written("probabilities", THREE, shape) == [
        ["007", "0.2", "0.7", "0.1"],
        ["b", "0.3", "0.2", "0.5"],
    ]


def test_top_k_writes_as_many_labels_as_the_sample_shows() -> None:
    assert written("top_k", THREE, sample(label="ant bee")) == [["007", "ant cat"], ["b", "bee cat"]]


def test_top_k_writes_as_many_labels_as_asked_for() -> None:
    shape = sample(label="ant bee")
    assert written({"name": "top_k", "k": 3}, THREE, shape)[0] == ["007", "ant cat bee"]
    with pytest.raises(ConfigError, match="4 labels per row of 3 classes"):
        written({"name": "top_k", "k": 4}, THREE, shape)


def test_equal_probabilities_are_ranked_in_class_order() -> None:
    even = predictions({"007": [0.25, 0.5, 0.25], "b": [1 / 3, 1 / 3, 1 / 3]})
    assert written({"name": "top_k", "k": 3}, even, sample(label="a b")) == [
        ["007", "bee ant cat"],
        ["b", "ant bee cat"],
    ]


def test_one_hot_marks_the_most_probable_class_under_the_sample_columns() -> None:
    shape = sample(cat="0", ant="1", bee="0")
    assert written("one_hot", THREE, shape) == [["007", "0", "1", "0"], ["b", "0", "0", "1"]]


def test_ranked_columns_hold_the_labels_from_the_best_on() -> None:
    shape = sample(first="ant", second="cat")
    assert written("ranked_columns", THREE, shape) == [["007", "ant", "cat"], ["b", "bee", "cat"]]


def several_rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": ["007", "007", "b", "b"], **columns}, dtype=str)


def test_a_ranking_has_a_row_a_label() -> None:
    shape = several_rows(label=["ant", "bee"] * 2)
    assert written("ranking", THREE, shape) == [["007", "ant"], ["007", "cat"], ["b", "bee"], ["b", "cat"]]


@pytest.mark.parametrize("first", [0, 1])
def test_a_ranking_may_show_rank_and_probability_in_any_order(first: int) -> None:
    rank = [str(first), str(first + 1)] * 2
    shape = several_rows(p=["0.5"] * 4, rank=rank, species=["ant", "bee"] * 2)
    assert written("ranking", THREE, shape) == [
        ["007", "0.7", rank[0], "ant"],
        ["007", "0.2", rank[1], "cat"],
        ["b", "0.5", rank[0], "bee"],
        ["b", "0.3", rank[1], "cat"],
    ]


def test_labels_that_are_numbers_are_distinguished_from_ranks_by_the_columns_name() -> None:
    drawn_predictions = predictions({"b": [0.2, 0.5, 0.3], "007": [0.7, 0.1, 0.2]}, ("0", "1", "2"))
    shape = several_rows(label=["0", "1"] * 2, rank=["0", "1"] * 2)
    assert written("ranking", drawn_predictions, shape)[1] == ["007", "2", "1"]
    unclear = several_rows(one=["0", "1"] * 2, other=["0", "1"] * 2)
    assert matching(unclear, drawn_predictions.classes) == []


def test_more_labels_an_id_than_classes_are_refused() -> None:
    two = predictions({"007": [0.7, 0.3], "b": [0.5, 0.5]}, ("ant", "bee"))
    with pytest.raises(ConfigError, match="3 labels per row of 2 classes"):
        written("ranked_columns", two, sample(a="ant", b="bee", c="ant"))
    shape = pd.DataFrame({"id": ["007"] * 3 + ["b"] * 3, "label": ["ant", "bee", "ant"] * 2})
    with pytest.raises(ConfigError, match="C21"):
        written("ranking", two, shape)


def test_positive_writes_the_second_class_by_default() -> None:
    assert written("binary_probability", TWO, sample(target="0.5")) == [["007", "0.0"], ["b", "0.75"]]


def test_positive_writes_the_class_its_column_is_named_after() -> None:
    assert written("binary_probability", TWO, sample(no="0.5")) == [["007", "1.0"], ["b", "0.25"]]


def test_positive_writes_the_class_that_is_asked_for() -> None:
    assert written({"name": "binary_probability", "positive": "no"}, TWO, sample(target="0.5"))[1] == [
        "b",
        "0.25",
    ]
    with pytest.raises(ConfigError, match="no class 'yess'; did you mean 'yes'"):
        written({"name": "binary_probability", "positive": "yess"}, TWO, sample(target="0.5"))


def test_small_probabilities_are_written_in_full_without_exponents() -> None:
    tiny = predictions({"007": [1e-9, 1], "b": [0.1, 0.9]}, ("no", "yes"))
    cells = [
        row[1]
        for row in written({"name": "binary_probability", "positive": "no"}, tiny, sample(target="0.5"))
    ]
    assert cells == ["0.000000001", "0.1"]


def matching(shape: pd.DataFrame, classes: tuple[str, ...]) -> list[str]:
    """The formats for one label per row that know a sample."""
    return [name for name in registry.locations("format") if matches(Format.open(name), shape, classes)]


def drawn_sample(rng: np.random.Generator, kind: str, classes: tuple[str, ...]) -> pd.DataFrame:
    rows = int(rng.integers(1, 6))
    ids = {"id": [f"{rng.integers(100):03d}{n}" for n in range(rows)]}
    if kind == "label":
        return pd.DataFrame({**ids, "label": rng.choice(classes, rows)}, dtype=str)
    if kind == "probabilities":
        return pd.DataFrame({**ids, **{name: rng.random(rows) for name in rng.permutation(classes)}}).astype(
            str
        )
    if kind == "top_k":
        k = int(rng.integers(2, len(classes) + 1))
        cells = [" ".join(rng.permutation(classes)[:k]) for _ in range(rows)]
        return pd.DataFrame({**ids, "labels": cells}, dtype=str)
    if kind == "one_hot":
        ones = rng.integers(len(classes), size=rows)
        return pd.DataFrame({**ids, **{name: (ones == n) * 1 for n, name in enumerate(classes)}}).astype(str)
    if kind == "ranked_columns":
        ranked = np.array([rng.permutation(classes)[:2] for _ in range(rows)])
        return pd.DataFrame({**ids, "best": ranked[:, 0], "second": ranked[:, 1]}, dtype=str)
    if kind == "ranking":
        labels = [name for _ in range(rows) for name in rng.permutation(classes)[:2]]
        rank = {"rank": ["1", "2"] * rows} if rng.random() < 0.5 else {}
        return pd.DataFrame({"id": np.repeat(ids["id"], 2), "label": labels, **rank}, dtype=str)
    cells = [str(rng.choice(["0.5", "0.25", "5e-1"])) for _ in range(rows)]
    return pd.DataFrame({**ids, str(rng.choice(["target", classes[1]])): cells}, dtype=str)


@pytest.mark.parametrize(
    "kind", ["label", "probabilities", "top_k", "binary_probability", "one_hot", "ranked_columns", "ranking"]
)
@pytest.mark.parametrize("classes", [("0", "1"), ("no", "yes"), ("0", "1", "2"), CLASSES], ids="-".join)
def test_exactly_one_format_knows_a_sample(kind: str, classes: tuple[str, ...]) -> None:
    if kind == "binary_probability" and len(classes) != 2:
        classes = classes[:2]
    rng = np.random.default_rng(len(classes))
    for _ in range(30):
        shape = drawn_sample(rng, kind, classes)
        assert matching(shape, classes) == [kind], shape


@pytest.mark.parametrize(
    "shape",
    [
        sample(label=""),
        sample(label="wasp"),
        sample(ant="0.5", bee="0.5"),
        sample(ant="x", bee="0.5", cat="0.5"),
        sample(label="ant ant"),
        sample(label="0.5"),
        sample(),
        sample(label="ant").iloc[:0],
        sample(a="ant", b="ant"),
        sample(ant="1", bee="2", cat="0"),
        pd.DataFrame({"id": ["7", "7", "b"], "label": ["ant", "bee", "cat"]}),
        pd.DataFrame({"id": ["7", "7", "b", "b"], "label": ["ant", "ant", "bee", "cat"]}),
    ],
    ids=[
        "empty cells",
        "unknown label",
        "a class lacks",
        "no number",
        "label twice",
        "three classes",
        "ids",
        "no rows",
        "ranked twice",
        "no share",
        "unequal rows an id",
        "a label twice an id",
    ],
)
def test_an_unclear_sample_is_known_by_none(shape: pd.DataFrame) -> None:
    assert matching(shape, CLASSES) == []


# ------------------------------------------------------------------------------ several labels a row

MANY = replace(
    predictions({"b": [0.2, 0.5, 0.9], "007": [0.7, 0.1, 0.6], "x": [0.1, 0.3, 0.2]}), target=MULTI_HOT
)


def shaped(*cells: str) -> pd.DataFrame:
    return pd.DataFrame({"id": ["007", "b", "x"], "labels": cells}, dtype=str)


@pytest.mark.parametrize("separator", [" ", ",", "|", ";", ", "])
def test_labels_stand_as_the_sample_separates_them(separator: str) -> None:
    shape = shaped("ant", f"ant{separator}cat", "bee")
    assert Format.open("labels").matches(shape, CLASSES)
    cells = [row[1] for row in written("labels", MANY, shape)]
    assert cells == [f"ant{separator}cat", f"bee{separator}cat", ""]


def test_labels_stand_in_brackets_as_in_the_sample() -> None:
    shape = shaped("[ant, cat]", "[]", "[bee]")
    labels = Format.open("labels")
    assert labels.matches(shape, CLASSES)
    assert [row[1] for row in written("labels", MANY, shape)] == ["[ant, cat]", "[bee, cat]", "[]"]
    wrong = shape.assign(labels=["[ant, cat]", "bee", "[ant, wasp]"])
    findings = labels.check_rows(wrong, shape, CLASSES)
    assert findings is not None
    assert [row for row, _ in findings] == [1, 2]
    assert not labels.matches(shaped("[ant]", "ant", "[bee]"), CLASSES)
    assert labels.matches(shaped("[a]", "b", "[a]"), ("[a]", "b"))  # classes that have brackets themselves


def test_labels_are_in_the_order_of_the_classes_or_likeliest_first_as_in_the_sample() -> None:
    assert written("labels", MANY, shaped("cat", "ant cat", "cat"))[1] == ["b", "bee cat"]
    assert written("labels", MANY, shaped("cat", "cat ant", "cat"))[1] == ["b", "cat bee"]


def decided(name: str, rule: Decision, shape: pd.DataFrame) -> list[list[str]]:
    submission_format = Format.open(name).with_known(decision=rule)
    return [list(row) for row in make_table(MANY, shape, submission_format).itertuples(index=False)]


def test_the_rule_decides_which_labels_a_row_has_and_how_many_at_least() -> None:
    shape = shaped("cat", "cat", "cat")
    one, none, two = Decision(0.65, 1), Decision(0.65, 0), Decision(0.65, 2)
    assert [row[1] for row in decided("labels", one, shape)] == ["ant", "cat", "bee"]
    assert [row[1] for row in decided("labels", none, shape)] == ["ant", "cat", ""]
    assert [row[1] for row in decided("labels", two, shape)] == ["ant cat", "bee cat", "bee cat"]
    assert Format.open("labels").with_known(decision=one).empty_cells() == ()
    assert Format.open("labels").with_known(decision=none).empty_cells() == ("",)


@pytest.mark.parametrize("name", ["labels", "multi_hot"])
def test_a_rule_of_the_formats_own_is_refused_with_the_keys_that_replace_it(name: str) -> None:
    with pytest.raises(ConfigError, match="C02 2 invalid options") as caught:
        Format.open({"name": name, "threshold": 0.4, "at_least_one": False})
    assert caught.value.hint == (
        "remove threshold from format, and set decision.threshold=0.4; "
        "remove at_least_one from format, and set decision.min_labels=0"
    )


@pytest.mark.parametrize("name", ["labels", "multi_hot", "label", "one_hot"])
def test_what_a_file_holds_as_probabilities_is_its_own_decisions(name: str) -> None:
    shares = np.array([[0.2, 0.5, 0.3], [0.6, 0.9, 0.1], [0.1, 0.1, 0.2]])
    submission_format = Format.open(name).with_known(decision=Decision(0.5, 1))
    several = [[0, 1, 0], [1, 1, 0], [0, 0, 1]]
    alone = [[0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert submission_format.output_of(shares).tolist() == (
        several if name in ("labels", "multi_hot") else alone
    )
    assert Format.open("probabilities").output_of(shares) is shares


def test_a_separator_that_is_asked_for_is_the_only_one() -> None:
    spec = {"name": "labels", "separator": ";"}
    assert written(spec, MANY, shaped("cat", "cat", "cat"))[0] == ["007", "ant;cat"]
    assert not Format.open(spec).matches(shaped("cat", "ant cat", "cat"), CLASSES)


@pytest.mark.parametrize(
    "shape",
    [shaped("ant", "wasp", "bee"), shaped("ant ant", "bee", "bee"), sample(ant="0", bee="1", cat="0")],
)
def test_labels_do_not_know_what_is_no_list_of_classes(shape: pd.DataFrame) -> None:
    assert not Format.open("labels").matches(shape, CLASSES)


def test_probabilities_and_rankings_are_for_several_labels_too() -> None:
    shape = pd.DataFrame({"id": ["b"], "cat": "0", "ant": "0", "bee": "0"}, dtype=str)
    one = MANY.take(MANY.ids == "b")
    assert written("probabilities", one, shape) == [["b", "0.9", "0.2", "0.5"]]
    assert written({"name": "top_k", "k": 2}, one, pd.DataFrame({"id": ["b"], "labels": "ant"})) == [
        ["b", "cat bee"]
    ]
    takes = [name for name in registry.locations("format") if Format.open(name).takes_labels("multi_hot")]
    assert takes == ["labels", "long", "multi_hot", "probabilities", "ranked_columns", "ranking", "top_k"]


def test_multi_hot_writes_1_for_what_reaches_the_threshold() -> None:
    shape = pd.DataFrame({"id": ["007", "b", "x"], "cat": "0", "ant": "1", "bee": "1"}, dtype=str)
    assert Format.open("multi_hot").matches(shape, CLASSES)
    # ant .7 .2 .1, bee .1 .5 .3, cat .6 .9 .2: the last row reaches none, and has its most probable one
    assert decided("multi_hot", Decision(0.5, 1), shape) == [
        ["007", "1", "1", "0"],
        ["b", "1", "0", "1"],
        ["x", "0", "0", "1"],
    ]
    assert decided("multi_hot", Decision(0.6, 0), shape)[2] == ["x", "0", "0", "0"]


@pytest.mark.parametrize("row", [["1", "1", "2"], ["1", "0.5", "0"], ["0", "0", "0"]])
def test_multi_hot_knows_no_other_cells_and_leaves_zeros_to_probabilities(row: list[str]) -> None:
    shape = pd.DataFrame({"id": ["b"], **dict(zip(CLASSES, row, strict=True))}, dtype=str)
    assert not Format.open("multi_hot").matches(shape, CLASSES)
    assert known(shape) == (["probabilities"] if "2" not in row else [])


def known(shape: pd.DataFrame, classes: tuple[str, ...] = CLASSES) -> list[str]:
    """The formats for several labels per row that know a sample, as a blend asks for them."""
    return [one.plugin_name() for one in find_formats(None, shape, classes, "multi_hot")]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("labels", sample(labels="ant")),
        ("labels", sample(labels="ant cat")),
        ("labels", sample(labels="")),
        ("probabilities", sample(ant="0", bee="0", cat="0")),
        ("probabilities", sample(ant="0.5", bee="1", cat="0")),
        ("multi_hot", sample(ant="0", bee="1", cat="0")),
        ("multi_hot", sample(ant="1", bee="1", cat="1")),
        ("ranked_columns", sample(first="ant", second="cat")),
    ],
)
def test_exactly_one_format_knows_a_sample_of_several_labels(kind: str, shape: pd.DataFrame) -> None:
    assert known(shape) == [kind]
