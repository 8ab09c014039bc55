"""Cells with line breaks: in ids and labels an error, elsewhere text, unless they look like rows."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from kit.config.models import Data
from kit.data.table import sample_frame, train_table
from kit.errors import DataError, KitWarning
from tests.drawn_tables import FILES, IMAGES, PLAIN, make

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
def test_a_line_break_in_an_id_or_label_is_told_with_the_line_where_the_quote_opens(
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


def test_rows_that_another_column_swallows_are_told(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "train.csv": 'id,label,note\na,cat,"x\nb,dog,y\nc,cat,z"\n'}, THREE)
    words = "W56 .* 2 rows may be lost .* in column 'note' a quote opens on line 2 and closes on line 4"
    with pytest.warns(KitWarning, match=words):
        assert len(train_table(tmp_path, PLAIN)) == 1
