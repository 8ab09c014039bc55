"""The write-up: names stay text in Markdown, and its mark knows an edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kit.stages.reporting.facts import Missing
from kit.stages.reporting.write_up import cell, is_edited, write_up
from tests.drawn_facts import HOSTILE, drawn_facts


def test_names_stay_text_and_stay_in_their_cells() -> None:
    assert cell("a|b\n<i> & `c`") == r"a\|b &lt;i&gt; &amp; \`c\`"
    text = write_up(drawn_facts((HOSTILE, "b", "c"), HOSTILE))
    text_lines = [
        line for line in text.splitlines() if not line.startswith("    ")
    ]  # what is indented is code
    assert not any("<script" in line or "<img" in line for line in text_lines)
    tables = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables if "macro" in line} <= {4, 5, 7, 9}
    assert all(line.endswith("|") for line in tables)


def test_it_tells_the_problem_the_data_what_was_tried_and_the_solution() -> None:
    text = write_up(drawn_facts())
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "The problem",
        "The data",
        "Experiments",
        "The solution",
        "Weaknesses",
    ]
    assert "4000 labelled images of 3 classes" in text
    assert "| drawn1 | resnet18 | 128 | 40 | 4000 | 0.8000 | -0.1000 | loss=drawn |" in text


def test_the_commands_make_the_best_submission_again() -> None:
    facts = drawn_facts()
    assert not isinstance(facts.board, Missing)
    first = replace(facts.board.submissions[0], members="a@hflip b@hflip a@plain", ensembler="mean")
    text = write_up(replace(facts, board=replace(facts.board, submissions=(first,))))
    assert [line.strip() for line in text.splitlines() if line.startswith("    kit ")] == [
        "kit train --name a --config runs/a/config.json",
        "kit train --name b --config runs/b/config.json",
        "kit tta --checkpoints runs/a runs/b --views hflip",
        "kit tta --checkpoints runs/a --views plain",
        "kit blend runs/a@hflip runs/b@hflip runs/a@plain --ensembler mean",
    ]


@pytest.mark.parametrize("change", [lambda text: text + "more", lambda text: text[5:], lambda text: ""])
def test_any_change_is_an_edit(change: Callable[[str], str]) -> None:
    text = write_up(drawn_facts())
    assert not is_edited(text)
    assert is_edited(change(text))
