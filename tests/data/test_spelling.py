"""Labels that are equal as numbers are one class, and spellings of one class share a key."""

from __future__ import annotations

import unicodedata

import pytest

from kit.data.spelling import as_numbers, fold_spelling, is_tidy, put_right, quote, rename_labels, rename_line


@pytest.mark.parametrize(
    ("labels", "reference", "found"),
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
    labels: list[str], reference: list[str], found: dict[str, str]
) -> None:
    assert as_numbers(labels, reference) == found


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
    assert apply_overrides({}, [word])["data"]["rename"] == {"C": "cat", "it's\u00a0": "it's"}
