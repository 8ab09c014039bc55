"""Labels that are equal as numbers are one class, and spellings of one class share a key."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.data.csv_file import read_csv
from kit.data.spelling import (
    as_numbers,
    fold_spelling,
    is_tidy,
    put_right,
    quote,
    rename_labels,
    rename_line,
    respell,
)
from kit.data.table import test_table, train_table
from kit.errors import DataError, KitWarning
from kit.stages.discovery.discover import discover
from tests.drawn_tables import PLAIN, csv, make


@pytest.mark.parametrize(
    ("labels", "reference", "mapping"),
    [
        (["0.0", "1.0"], ["0"], {"0.0": "0", "1.0": "1"}),
        (["0.", "1."], ["1", "0"], {"0.": "0", "1.": "1"}),
        (["0", "1"], ["0.0", "1.0"], {"0": "0.0", "1": "1.0"}),
        (["0", "0.0", "1", "1.0"], [], {"0.0": "0", "1.0": "1"}),
        (["0.0", "1.0"], [], {}),
        (["1", "7", "12"], ["01", "12"], {"1": "01", "7": "07"}),
        (["01", "07"], ["1"], {"01": "1", "07": "7"}),
        (["-1.0", "0.0"], ["-1", "0"], {"-1.0": "-1", "0.0": "0"}),
        ([".5", "0.25"], ["0.5"], {".5": "0.5"}),
        (["cat", "1.0", "1e5", "NA"], ["1"], {"1.0": "1"}),
        # 9007199254740993 is no float: as one it would be 9007199254740992
        (["9007199254740993", "9007199254740992.0"], [], {}),
    ],
)
def test_equal_numbers_are_one_class_in_the_references_spelling(
    labels: list[str], reference: list[str], mapping: dict[str, str]
) -> None:
    assert as_numbers(labels, reference) == mapping


@pytest.mark.parametrize(
    ("labels", "reference"),
    [
        (["1", "01"], []),  # codes of two classes, perhaps
        (["1", "01"], ["1"]),
        (["1.1", "1.10"], []),  # versions
        (["1", "01"], ["1", "01"]),
        (["1.0", "1"], ["1", "1.0"]),  # both are asked for
        (["١"], ["1"]),
        (["1e0", "0x1", "1_0"], ["1", "10"]),
    ],
)
def test_what_may_be_two_classes_is_not_joined(labels: list[str], reference: list[str]) -> None:
    assert as_numbers(labels, reference) == {}


def test_floats_are_joined_beside_a_label_with_a_leading_zero() -> None:
    assert as_numbers(["1", "1.0", "01"], ["1"]) == {"1.0": "1"}


SAME = [
    ("cat", "cat "),
    ("cat", "Cat"),
    ("cat", "cat\u00a0"),
    ("cat", "ca\u200bt"),
    ("cat", "\ufeffcat"),
    ("two words", "two\u2009 words"),
    ("é", unicodedata.normalize("NFD", "é")),
    ("1", "01"),
    ("1", "1.0"),
    ("1", "\uff11"),
    ("True", "TRUE"),
    ("Straße", "STRASSE"),
    ("ﬁsh", "fish"),
    ("café", "café".encode().decode("cp1252")),
    ("Ábel", "Ábel".encode().decode("latin-1")),
    ("à la", "à la".encode().decode("cp1252")),
    ("日本", "日本".encode().decode("latin-1")),
    ("naïve", "naïve".encode().decode("cp1252").encode().decode("cp1252")),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_class_share_a_key(one: str, other: str) -> None:
    assert one != other
    assert fold_spelling(one) == fold_spelling(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("cat", "cats"), ("1", "10"), ("1", "True"), ("é", "e"), ("a b", "ab"), ("", "0"), ("a_b", "a b")],
)
def test_other_classes_have_other_keys(one: str, other: str) -> None:
    assert fold_spelling(one) != fold_spelling(other)


def test_text_that_is_no_mojibake_stays() -> None:
    for text in ("é", "café", "Ångström", "日本", "Ãº€™x", "naïve", ""):
        assert put_right(text) == text


def test_a_name_is_quoted_so_that_its_fault_is_seen() -> None:
    assert [quote(text) for text in ("cat", "cat ", "cat\u00a0", "ca\u200bt", "é", "e\u0301")] == [
        "'cat'",
        "'cat '",
        "'cat\\xa0'",
        "'ca\\u200bt'",
        "'é'",
        "'e\\u0301'",
    ]
    assert not any(map(is_tidy, ("cat ", "cat\u00a0", "ca\u200bt", "e\u0301", "cafÃ©")))


def test_data_rename_may_spell_its_keys_as_other_numbers() -> None:
    names = {"0": "cat", "1.0": "dog", "02": "eel"}
    assert rename_labels(["0", "0.0", "1", "1.", "2", "02", "x"], names) == [
        "cat",
        "cat",
        "dog",
        "dog",
        "2",
        "eel",
        "x",
    ]
    assert rename_labels(["0.0", "0"], {"0": "a", "0.0": "b"}) == ["b", "a"]


def test_a_rename_line_is_one_word_of_a_shell_with_the_renames_there_are() -> None:
    import shlex

    from kit.config.overrides import apply_overrides

    line = rename_line({"C": "cat"}, {"it's\u00a0": "it's"})
    (word,) = shlex.split(line)
    assert "\u00a0" not in word
    assert apply_overrides({}, [word])["data"]["label_from"]["rename"] == {"C": "cat", "it's\u00a0": "it's"}


NAMES = ("caf\u00e9", "\u00fcber", "plain", "\uac00\ub098")  # Hangul syllables have parts too


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


Forms = tuple[Callable[[str], str], Callable[[str], str]]


@pytest.fixture(params=[(nfc, nfd), (nfd, nfc)], ids=["composed ids", "decomposed ids"])
def forms(request: pytest.FixtureRequest) -> Forms:
    forms: Forms = request.param
    return forms


def test_a_file_is_found_by_the_same_text_in_another_form(tmp_path: Path, forms: Forms) -> None:
    table, disk = forms
    rows = [f"{table(name)},{n % 2}" for n, name in enumerate(NAMES)]
    make(tmp_path, {"train.csv": csv("id,label", *rows)}, [disk(f"images/{name}.JPG") for name in NAMES])
    train = train_table(tmp_path, PLAIN.model_copy(update={"sample": None}))
    assert train.ids.tolist() == [table(name) for name in NAMES]  # ids stay as the table has them
    assert all(path.is_file() for path in train.paths)
    assert [path.stem for path in train.paths] == [disk(name) for name in NAMES]


def test_folders_within_a_path_are_found_too(tmp_path: Path, forms: Forms) -> None:
    table, disk = forms
    rows = [table(f"{n},caf\u00e9/\u00e0/{n}.jpg,\u00e9tude,{n % 2}") for n in range(4)]
    images = [disk(f"im\u00e4ges/caf\u00e9/\u00e0/{n}.jpg") for n in range(4)] + [
        disk(f"im\u00e4ges/\u00e9tude/{n}.png") for n in range(4)
    ]
    make(tmp_path, {"train.csv": csv("id,path,place,label", *rows)}, images)
    for pattern in ("im\u00e4ges/{path}", "im\u00e4ges/{place}/{id}", "im\u00e4ges/{place}/*"):
        data = PLAIN.model_copy(update={"sample": None, "images": table(pattern)})
        if pattern.endswith("/*"):
            data = data.model_copy(update={"id": "{id}-{file}"})
        paths = train_table(tmp_path, data).paths
        assert len(paths) == (16 if pattern.endswith("/*") else 4)
        assert all(path.is_file() for path in paths)


def test_the_name_itself_comes_before_the_same_text(tmp_path: Path) -> None:
    rows = csv("id,label", nfc("\u00e9,0"), nfd("\u00e9,1"))
    make(tmp_path, {"train.csv": rows}, [form("images/\u00e9.jpg") for form in (nfc, nfd)])
    with pytest.warns(KitWarning, match="W03 2 train ids differ only by Unicode form"):
        paths = train_table(tmp_path, PLAIN.model_copy(update={"sample": None})).paths
    assert [path.stem for path in paths] == [nfc("\u00e9"), nfd("\u00e9")]


def test_another_form_opens_no_way_out_of_the_folder(tmp_path: Path) -> None:
    rows = csv("id,label", "../secr\u00e9t,0", "a,1")
    make(tmp_path, {"train.csv": rows}, ["images/a.jpg", nfd("secr\u00e9t.jpg")])
    with pytest.raises(DataError) as caught:
        train_table(tmp_path, PLAIN.model_copy(update={"sample": None}))
    assert caught.value.code == "D20"
    (tmp_path / "images" / nfd("l\u00e9.jpg")).symlink_to(tmp_path / nfd("secr\u00e9t.jpg"))
    (tmp_path / "train.csv").write_text(csv("id,label", nfc("l\u00e9,0"), "a,1"))
    with pytest.raises(DataError) as caught:
        train_table(tmp_path, PLAIN.model_copy(update={"sample": None}))
    assert caught.value.code == "D20"


def test_rows_of_a_test_table_are_called_as_the_sample_calls_them(tmp_path: Path, forms: Forms) -> None:
    sample, table = forms
    make(
        tmp_path,
        {
            "test.csv": csv("id", *map(table, NAMES)),
            "sample.csv": csv("id,label", *(f"{sample(name)},0" for name in NAMES)),
        },
        [f"images/{nfd(name)}.jpg" for name in NAMES],
    )
    rows = test_table(tmp_path, PLAIN.model_copy(update={"test": "test.csv"}), ("0", "1"))
    assert rows.ids.tolist() == [sample(name) for name in NAMES]


def test_kit_init_finds_the_images(tmp_path: Path, forms: Forms) -> None:
    table, disk = forms
    names = [f"\u00e9t\u00e9{n:02d}" for n in range(30)]
    make(
        tmp_path,
        {
            "train.csv": csv("id,label", *(f"{table(name)},{n % 3}" for n, name in enumerate(names))),
            "sample_submission.csv": csv("id,label", *(table(f"\u00fc{n},0") for n in range(9))),
        },
        [disk(f"images/train/{name}.jpg") for name in names]
        + [disk(f"images/test/\u00fc{n}.jpg") for n in range(9)],
    )
    data = discover(tmp_path).data
    assert (data["images"], data["test_images"]) == ("images/train/{id}", "images/test/{id}")


def test_two_names_of_one_text_are_left_as_they_are() -> None:
    both = [nfc("\u00e9"), nfd("\u00e9")]
    assert respell(both, both) == both
    assert respell([nfd("\u00e9"), "x"], [nfc("\u00e9"), "y"]) == [nfc("\u00e9"), "x"]


def test_a_table_in_another_form_is_reported(tmp_path: Path) -> None:
    make(tmp_path, {nfd("donn\u00e9es.csv"): "id\nx\n"})
    with pytest.raises(DataError, match="the same text in another Unicode form"):
        read_csv(tmp_path / nfc("donn\u00e9es.csv"))
