"""Prose follows STYLE.md as far as a test can say; `python -m tools.prose` lists the findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.prose import (
    MAX_WORDS,
    ROOT,
    Prose,
    docstrings_of_module,
    find_long_sentences,
    find_private_words,
    find_wide_lines,
    lines_of_page,
    pages,
    prose_of_docstrings,
    prose_of_help,
    prose_of_messages,
    prose_of_module,
    prose_of_page,
    prose_of_template,
    prose_of_templates,
)

MAX_ENTRIES = 20


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_narrow_and_its_sentences_are_short(page: Path) -> None:
    assert not find_wide_lines(page)
    assert not find_long_sentences(prose_of_page(page))
    assert not find_private_words(prose_of_page(page))
    assert not find_private_words(lines_of_page(page))


def test_help_has_short_sentences_and_words_of_the_field() -> None:
    assert not find_long_sentences(prose_of_help())
    assert not find_private_words(prose_of_help())


def test_messages_use_words_of_the_field() -> None:
    assert not find_private_words(prose_of_messages())


def test_the_report_has_short_sentences_and_words_of_the_field() -> None:
    assert not find_long_sentences(prose_of_templates())
    assert not find_private_words(prose_of_templates())


def test_docstrings_have_short_sentences_and_words_of_the_field() -> None:
    docstrings = list(prose_of_docstrings())
    assert not find_long_sentences(iter(docstrings))
    assert not find_private_words(iter(docstrings))


def test_the_top_of_kit_fits_one_screen() -> None:
    entries = [path.name for path in (ROOT / "kit").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES, sorted(entries)


# ------------------------------------------------------------------------------- the test finds what is wrong


def test_long_sentences_are_found_in_paragraphs_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.prose.ROOT", tmp_path)
    page = tmp_path / "page.md"
    long = "word " * MAX_WORDS
    page.write_text(
        f"# Title\n\nShort. A {long.strip()}.\n\n- One.\n- Two {long.strip()}.\n\n```\n{long * 2}\n```\n"
    )
    assert len(find_long_sentences(prose_of_page(page))) == 2
    page.write_text(f"Ends here. A {'word ' * (MAX_WORDS - 2)}end.\n\n| {long} {long} |\n")
    assert not find_long_sentences(prose_of_page(page))


def test_wide_lines_are_found_outside_of_code_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.prose.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        f"{'word ' * 21}\n```\n{'word ' * 21}\n```\n| {'word ' * 21} |\n{'x' * 120}\n{'word ' * 20}\n"
    )
    assert [line.split(":")[1] for line in find_wide_lines(page)] == ["1"]


@pytest.mark.parametrize(
    "text",
    [
        "no number flatters a run",
        "8 of 8 rows are told right",
        "the fold's kin is left out",
        "training goes on from the checkpoint",
        "kit train writes it anew",
        "the shelf of a plugin is kit",
    ],
)
def test_a_private_word_is_found(text: str) -> None:
    assert find_private_words(iter([Prose("planted", text)]))


@pytest.mark.parametrize(
    "text",
    [
        "use `kin` as a column",
        "the file data/kin.csv has no id",
        "pass --judge to the script",
        "a teacher predicts rows",
    ],
)
def test_a_name_in_code_and_words_of_the_field_pass(text: str) -> None:
    assert not find_private_words(iter([Prose("planted", text)]))


def test_messages_of_a_module_are_its_strings_without_docstrings(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(
        '"""The road of a row is told here."""\n\n\ndef f(name):\n    """Nobody hears this one."""\n'
        '    raise ValueError(f"run {name} goes on from here", "short")\n'
    )
    texts = list(prose_of_module(file, tmp_path))
    assert [each.text for each in texts] == ["run X goes on from here"]
    assert len(find_private_words(iter(texts))) == 1


def test_texts_of_a_template_are_read_without_tags_and_expressions(tmp_path: Path) -> None:
    file = tmp_path / "planted.html"
    file.write_text(
        '<p class="kin">{{ luck }} rows are <strong>told</strong> wrong.</p>{% if kin %}<b>Done</b>{% endif %}'
        "<!-- Whoever hears. -->\n"
    )
    texts = list(prose_of_template(file, tmp_path))
    assert [each.text for each in texts] == ["X rows are told wrong.", "Done", "Whoever hears."]
    assert len(find_private_words(iter(texts))) == 3


def test_docstrings_of_a_module_are_read_without_examples_and_tables(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(
        '"""Sums rows.\n\n    made   a table\n    kin    a table\n\n- Kin are rows.\n\nSource: "Kin".\n"""\n\n\n'
        'class Sum:\n    """Adds.\n\n    \\b\n    kit sum --luck\n    """\n\n'
        '    def f(self):\n        """Returns luck.\n\n            x = kin\n\n        Done.\n        """\n'
        '        return "kin"\n'
    )
    texts = list(docstrings_of_module(file, tmp_path))
    assert [each.text for each in texts] == [
        "Sums rows.",
        "- Kin are rows.",
        'Source: "...".',
        "Adds.",
        "Returns luck.",
        "Done.",
    ]
    assert [line.split(":")[1] for line in find_private_words(iter(texts))] == ["1", "19"]
