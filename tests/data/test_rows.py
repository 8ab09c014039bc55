"""Cells with line breaks: in ids and labels an error, elsewhere text, unless they look like rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.models import Data, External
from kit.config.workspace import Workspace
from kit.data.external_rows import is_allowed
from kit.data.folds import Folds, make_folds
from kit.data.predictions import Predictions
from kit.data.table import Table, sample_frame, train_table
from kit.errors import ConfigError, DataError, KitWarning
from kit.kinds import Splitter
from kit.runs.run import Run
from kit.stages.checks.check import run_checks
from kit.stages.training.train import train
from tests.conftest import Kit
from tests.data.test_folds import table
from tests.drawn_tables import FILES, IMAGES, PLAIN, csv, make

THREE = [f"images/{name}.jpg" for name in "abc"]


def refused(root: Path, text: str, data: Data = PLAIN) -> DataError:
    make(root, {**FILES, "train.csv": text}, THREE)
    with pytest.raises(DataError) as caught:
        train_table(root, data)
    return caught.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'id,label\nc,dog\n"a,cat\nb,dog\nx",cat\n',
            "column 'id': a quote opens on line 3 and closes on line 5",
        ),
        ('id,label\na,"cat\nb,dog"\nc,cat\n', "column 'label': a quote opens on line 2 and closes on line 3"),
        ('id,label\r\n"a\r\n",cat\r\nb,dog\r\n', "column 'id': a quote opens on line 2 and closes on line 3"),
        ('id,note,label\na,"x\ny","cat\n"\n', "column 'label': a quote opens on line 3 and closes on line 4"),
    ],
)
def test_a_line_break_in_an_id_or_label_is_reported_with_the_line_where_the_quote_opens(
    text: str, words: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, text)
    assert (error.code, error.exit_code) == ("D73", 3)
    assert words in error.summary


def test_a_group_may_not_hold_one_either(tmp_path: Path) -> None:
    data = PLAIN.model_copy(update={"group": "who"})
    assert refused(tmp_path, 'id,label,who\na,cat,"p\nb,dog,q"\n', data).code == "D73"


def test_the_sample_holds_none_at_all(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "sample.csv": 'id,label\nt2,"cat\nt1,cat"\n'}, IMAGES)
    with pytest.raises(DataError, match="D73"):
        sample_frame(tmp_path, PLAIN)


def test_text_of_several_lines_is_a_cell(tmp_path: Path) -> None:
    text = 'id,label,note\na,cat,"one line\nand, with commas, another"\nb,dog,"two\n\nlines"\n'
    make(tmp_path, {**FILES, "train.csv": text}, IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train_table(tmp_path, PLAIN).frame["note"][0] == "one line\nand, with commas, another"


def test_rows_that_another_column_swallows_are_reported(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "train.csv": 'id,label,note\na,cat,"x\nb,dog,y\nc,cat,z"\n'}, THREE)
    words = "W56 .* 2 rows may be lost .* in column 'note' a quote opens on line 2 and closes on line 4"
    with pytest.warns(KitWarning, match=words):
        assert len(train_table(tmp_path, PLAIN)) == 1


DATA = Data(train="train.csv", sample=None, images="images/{id}")
OWN = ("id,label,person", "a,cat,p", "b,dog,q", "c,cat,q")
MORE = (
    "id,label,source,licence,origin",
    "w1,dog,web,CC-BY-4.0,https://x",
    "w2,cat,web,CC-BY-4.0,https://x",
    "v,cat,,,",
)
EXTERNAL_IMAGES = [f"images/{name}.png" for name in ("a", "b", "c", "w1", "w2", "v")]


def read(root: Path, external: dict[str, Any] | None = None, **keys: Any) -> Table:
    make(root, {"train.csv": csv(*OWN), "more.csv": csv(*MORE)}, EXTERNAL_IMAGES)
    parsed = External.model_validate({"train": "more.csv", **(external or {})})
    return train_table(root, DATA.model_copy(update={"external": parsed, **keys}))


# --------------------------------------------------------------------------------------------- tables


def test_a_second_table_adds_rows_whose_source_is_named_or_the_files(tmp_path: Path) -> None:
    rows = read(tmp_path)
    assert rows.ids.tolist() == ["a", "b", "c", "w1", "w2", "v"]
    assert rows.sources is not None
    assert rows.sources.tolist() == ["", "", "", "web", "web", "more"]
    assert rows.competition_rows.tolist() == [True] * 3 + [False] * 3
    assert [str(source) for source in rows.external_rows()] == [
        "1 rows, no licence",
        "2 rows, licence CC-BY-4.0, from https://x",
    ]
    assert rows.prior().tolist() == [2 / 3, 1 / 3]  # of the competition's own rows
    assert rows.take([3, 0]).competition_rows.tolist() == [False, True]


def test_a_column_of_the_one_table_names_sources_too(tmp_path: Path) -> None:
    rows = ("id,label,from", "a,cat,", "b,dog, ", "c,cat,web")
    make(tmp_path, {"train.csv": csv(*rows)}, EXTERNAL_IMAGES)
    all_rows = train_table(tmp_path, DATA.model_copy(update={"external": External(source_column="from")}))
    assert all_rows.competition_rows.tolist() == [True, True, False]
    with pytest.raises(
        ConfigError, match=r"data\.external\.source_column: no column 'form'; did you mean 'from'"
    ):
        train_table(tmp_path, DATA.model_copy(update={"external": External(source_column="form")}))


@pytest.mark.parametrize("column", ["license", "licence", "origin", "source"])
@pytest.mark.parametrize("rule", ["allowed", "forbidden", ("CC-BY-*",)])
def test_a_column_of_that_name_is_no_other_source_unless_the_config_says_so(
    tmp_path: Path, column: str, rule: str | tuple[str, ...]
) -> None:
    rows = (f"id,label,{column}", "a,cat,CC-BY-NC-4.0", "b,dog,", "c,cat,No known copyright")
    make(tmp_path, {"train.csv": csv(*rows)}, EXTERNAL_IMAGES)
    all_rows = train_table(tmp_path, Data.model_validate({**DATA.model_dump(), "external": {"policy": rule}}))
    assert all_rows.ids.tolist() == ["a", "b", "c"]
    assert all_rows.sources is None
    assert all_rows.external_rows() == ()
    assert all_rows.frame[column].tolist() == ["CC-BY-NC-4.0", "", "No known copyright"]


def test_images_of_another_folder_are_found_by_their_own_pattern(tmp_path: Path) -> None:
    make(tmp_path, images=["web/w1.jpg", "web/w2.jpg", "web/v.jpg"])
    rows = read(tmp_path, {"images": "web/{id}"})
    assert [path.parent.name for path in rows.paths] == ["images"] * 3 + ["web"] * 3


def test_an_id_of_both_tables_is_refused(tmp_path: Path) -> None:
    make(tmp_path, {"twice.csv": csv("id,label", "b,dog")})
    with pytest.raises(DataError, match="D24 1 ids of .*twice.csv are also in data.train"):
        read(tmp_path, {"train": "twice.csv"})


def test_an_external_row_without_a_group_is_one_of_its_own(tmp_path: Path) -> None:
    rows = read(tmp_path, group="person")
    assert rows.groups is not None
    assert rows.groups.tolist() == ["p", "q", "q", "web w1", "web w2", "more v"]


# ----------------------------------------------------------------------------------------------- rules


def test_forbidden_sources_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"D63 3 external rows are not allowed \(data.external.policy: forbidden\)"
    ) as caught:
        read(tmp_path, {"policy": "forbidden"})
    assert caught.value.exit_code == 3
    assert "web: 2 rows, licence CC-BY-4.0, from https://x" in str(caught.value)


def test_licences_that_are_not_listed_are_refused_and_others_pass(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 external rows are not") as caught:
        read(tmp_path, {"policy": ["CC-BY-*"]})
    assert [case.path for case in caught.value.cases] == ["more"]
    (tmp_path / "free.csv").write_text(csv("id,label,license", "v,cat,cc by 4.0"))
    assert len(read(tmp_path, {"policy": "CC-BY-*", "train": "free.csv"})) == 4


@pytest.mark.parametrize(
    ("licence", "rule", "allowed"),
    [
        ("", "allowed", True),
        ("MIT", "forbidden", False),
        ("CC BY-SA 4.0", ["cc-by*", "!*-nc*"], True),
        ("CC-BY-NC-4.0", ["cc-by*", "!*-nc*"], False),
        ("CC_BY_NC", ["!*-nc*"], False),
        ("MIT", ["!*-nc*"], True),
        ("", ["!*-nc*"], False),
        ("MIT", ["Apache-2.0"], False),
        ("MIT", [], False),
    ],
)
def test_a_rule_is_a_list_of_patterns_of_licences(
    licence: str, rule: str | Sequence[str], allowed: bool
) -> None:
    assert is_allowed(licence, rule) == allowed


def test_nothing_but_other_sources_is_no_competition(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,label,source", "a,cat,web", "b,dog,web")}, EXTERNAL_IMAGES)
    with pytest.raises(DataError, match="D29 all rows are external"):
        train_table(tmp_path, DATA.model_copy(update={"external": External(source_column="source")}))


# ----------------------------------------------------------------------------------------------- folds


def with_sources(rows: Table, external: Sequence[int]) -> Table:
    from dataclasses import replace

    sources = np.full(len(rows), "", dtype="<U3")
    sources[list(external)] = "web"
    return replace(rows, sources=sources)


SPLITTERS = [
    {"name": "stratified_kfold", "folds": 3},
    {"name": "kfold", "folds": 3},
    {"name": "holdout"},
    {"name": "repeated", "repeats": 2, "base": {"name": "stratified_kfold", "folds": 3}},
    {"name": "time", "folds": 3, "column": "when"},
]


@pytest.mark.parametrize("spec", SPLITTERS, ids=lambda spec: spec["name"])
def test_external_rows_are_never_held_out_and_train_unless_their_twin_is(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    from dataclasses import replace

    import pandas as pd

    contents = [f"{row:04d}".encode() for row in range(36)]
    contents[30] = contents[4]  # the web has the photo of row 4
    contents[0] = contents[8]
    rows = with_sources(table([0, 1] * 18, contents=contents, folder=tmp_path), [0, *range(30, 36)])
    rows = replace(rows, frame=pd.DataFrame({"when": [str(row) for row in range(30)] + ["none"] * 6}))
    splitter = Splitter.open(spec)
    with pytest.warns(KitWarning, match="W01"):
        folds = make_folds(rows, splitter, 0)
    assert (folds.numbers[[0, *range(30, 36)]] == -1).all()
    for fold in range(folds.count):
        trained = folds.training_mask(splitter, fold)
        assert trained[31:].all()
        assert (trained[0], trained[30]) == (trained[8], trained[4])
        assert not folds.oof_mask(fold)[30:].any()


def test_folds_of_the_own_rows_are_those_without_external_rows() -> None:
    rows = table([0, 1] * 15)
    more = with_sources(table([0, 1] * 18), range(30, 36))
    splitter = Splitter.open("stratified_kfold")
    assert (make_folds(more, splitter, 0).numbers[:30] == make_folds(rows, splitter, 0).numbers).all()


def test_an_external_row_of_a_group_stays_out_with_it() -> None:
    groups = [f"g{row // 3}" for row in range(30)] + ["g0", "g0", "other"]
    rows = with_sources(table([0, 1] * 15 + [0, 1, 0], groups), (30, 31, 32))
    splitter = Splitter.open("stratified_group_kfold")
    folds = make_folds(rows, splitter, 0)
    fold = int(folds.numbers[0, 0])
    assert folds.training_mask(splitter, fold)[30:].tolist() == [False, False, True]
    assert folds.training_mask(splitter, (fold + 1) % 5)[30:].all()


def test_folds_with_related_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    for numbers, related in (([[0], [-1], [1]], [[0], [1], [1]]), ([[0, 2], [-1, -1]], [[0, 2], [0, 2]])):
        folds = Folds(np.array(["a", "b", "c"][: len(numbers)]), np.array(numbers), np.array(related))
        folds.write(tmp_path / "folds.csv")
        again = Folds.read(tmp_path / "folds.csv")
        assert again.numbers.tolist() == numbers
        assert again.folds_of_related_rows.tolist() == related
        assert again.fingerprint() == folds.fingerprint() != Folds(folds.ids, folds.numbers).fingerprint()
        text = (tmp_path / "folds.csv").read_text()
        assert "related_to" in text
        (tmp_path / "before.csv").write_text(text.replace("related_to", "kin"))
        assert Folds.read(tmp_path / "before.csv").fingerprint() == folds.fingerprint()


# ------------------------------------------------------------------------------------------------- runs


@pytest.fixture
def workspace(competition: Path) -> Workspace:
    """The drawn competition with six more rows: copies of own images' names under another folder's files."""
    rng = np.random.default_rng(5)
    import cv2

    from tests.drawing import draw

    lines = ["id,label,person,source,licence,origin"]
    for number, label in enumerate(["blob", "cross", "ring"] * 2):
        cv2.imwrite(str(competition / f"data/images/w{number}.png"), draw(label, rng))
        lines.append(f"w{number},{label},{'p0' if number == 0 else ''},web,CC0,https://x")
    (competition / "data/more.csv").write_text("\n".join(lines) + "\n")
    return Workspace.find(competition)


MORE_ROWS = ("data.external.train=data/more.csv", "epochs=1")


def test_a_run_trains_on_external_rows_and_predicts_none_of_them(workspace: Workspace, kit: Kit) -> None:
    grouped = ("data.group=person", "splitter=stratified_group_kfold", "splitter.folds=2")
    assert kit("train", "--name", "r", *MORE_ROWS, *grouped)[0] == 0
    run = Run(workspace.runs / "r")
    oof = Predictions.read(run.predictions("plain") / "oof.parquet")
    assert len(oof) == 60
    assert not any(name.startswith("w") for name in oof.ids.tolist())
    folds = run.folds()
    at = {name: row for row, name in enumerate(folds.ids.tolist())}
    assert (
        folds.folds_of_related_rows[at["w0"]].tolist()
        == folds.numbers[at["000"]].tolist()
        == folds.numbers[at["005"]].tolist()
    )
    assert folds.folds_of_related_rows[at["w1"]].tolist() == [-1]
    assert kit("tta", "--checkpoints", "runs/r", *MORE_ROWS[:1], *grouped[:1])[0] == 0
    assert kit("blend", "runs/r", *MORE_ROWS[:1], *grouped[:1])[0] == 0
    _, output, _ = kit("runs", "show", "r")
    assert "web  6 rows, licence CC0, from https://x" in output
    assert run.manifest["provenance"]["sources"] == {"web": "6 rows, licence CC0, from https://x"}


def test_a_run_does_not_go_on_with_other_sources(workspace: Workspace) -> None:
    train(workspace.root, MORE_ROWS, name="r", folds=[0])
    file = workspace.root / "data/more.csv"
    file.write_text(file.read_text().replace("CC0", "MIT"))
    with pytest.raises(DataError, match="D60") as caught:
        train(workspace.root, MORE_ROWS, name="r", folds=[1])
    cases = [str(case) for case in caught.value.cases]
    assert cases == [
        "sources web: 6 rows, licence CC0, from https://x then, 6 rows, licence MIT, from https://x now"
    ]
    with pytest.raises(DataError, match=r"D60[\s\S]*sources: changed"):
        train(workspace.root, MORE_ROWS[1:], name="r", folds=[1])


def test_a_refused_source_ends_the_command_with_3(workspace: Workspace, kit: Kit) -> None:
    status, _, said = kit("train", "--name", "r", *MORE_ROWS, "data.external.policy=forbidden")
    assert status == 3
    assert "D63 6 external rows are not allowed" in said
    assert not (workspace.runs / "r" / "fold-0").exists()


def test_check_lists_the_sources_and_warns_where_one_is_silent(workspace: Workspace) -> None:
    def sources_finding() -> tuple[str, str]:
        space = Workspace.find(workspace.root, MORE_ROWS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)
            finding = next(one for one in run_checks(space).findings if one.code == "K12")
        return finding.level, finding.summary

    assert sources_finding() == ("note", "6 rows are from 1 external sources")
    file = workspace.root / "data/more.csv"
    file.write_text(file.read_text().replace("CC0", ""))
    assert sources_finding() == (
        "warning",
        "6 rows are from 1 external sources, 1 of them without licence or origin",
    )
