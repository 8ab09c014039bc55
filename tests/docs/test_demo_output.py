"""The output of `kit demo` in the tutorial and in README has the lines that a run on fewer scans prints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from sklearn import datasets
from sklearn.utils import Bunch

from kit.commands import demo
from kit.commands._menu import run
from kit.stages.demo import digits
from tests.documented import DOCS

README = (DOCS.parent / "README.md").read_text()
TUTORIAL = (DOCS / "tutorial.md").read_text()
SCANS = 150
# below 32 px the last stride of the second network sees one pixel, for which torch 2.13 on a CPU with avx512_bf16 and
# without AMX gives weight gradients of uninitialised memory
SMALLER = {
    **digits.DEMO_CONFIG,
    "image_size": 32,
    "cache_size": 32,
    "epochs": 2,
    "backbone": {"name": "small", "width": 8, "stages": 2},
}


def block(page: str, pattern: str) -> list[str]:
    """The lines of a page's fenced block."""
    match = re.search(pattern, page, flags=re.DOTALL | re.MULTILINE)
    assert match is not None, pattern
    return match[1].splitlines()


def shown_in_tutorial() -> list[str]:
    return block(TUTORIAL, r"^## The demo\n.*?```text\n(.*?)```")


# Endings and lines that the scores choose; each is written as kit prints it.
VERDICTS = (
    "is not significant: the interval includes 0",
    "is a significant loss: the interval is below 0",
    "is significant: the interval is above 0",
    "has no interval: too few bootstrap draws have a score",
    "not significant",
    "a gain",
    "a loss",
)
SCORES_DECIDE = ("simpler choice: ", "over MEMBER, the best member on all rows: GAIN")


def shapes(lines: Iterable[str]) -> set[str]:
    """Lines without what depends on scans or machine: numbers, device, better member, and sign of a gain."""
    lines_of_shape = set()
    for line in lines:
        text = re.sub(r"^device: .+ loader processes$", "device: MACHINE", line)
        text = re.sub(r"\b(small|resnet)@shift", "MEMBER", text)
        text = re.sub(r"[+-]?\d[\d.]*", "0", text)
        text = re.sub(r"( 0 \(0 to 0\)| -)(?= |$)", " GAIN", re.sub(r"\s+", " ", text.rstrip()))
        text = re.sub(f"({'|'.join(VERDICTS)})$", "VERDICT", text)
        if not text.strip().startswith(SCORES_DECIDE):
            lines_of_shape.add(text)
    return lines_of_shape - {"", "..."}


def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run(["demo", str(folder)]) == 0
    talk = capsys.readouterr()
    return f"{talk.err}\n{talk.out}".replace(str(folder), "~/digits").splitlines()


def test_the_tutorial_shows_the_lines_that_the_demo_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = datasets.load_digits()
    part = Bunch(images=whole.images[:SCANS], target=whole.target[:SCANS])
    monkeypatch.setattr(datasets, "load_digits", lambda: part)
    monkeypatch.setattr(digits, "DEMO_CONFIG", SMALLER)
    quick = tuple(line.replace("epochs=6", "epochs=2") for line in demo.COMMANDS)
    assert quick != demo.COMMANDS
    monkeypatch.setattr(demo, "COMMANDS", quick)
    monkeypatch.chdir(tmp_path)
    printed_shapes, shown = shapes(printed(tmp_path / "digits", capsys)), shapes(shown_in_tutorial())
    assert shown - printed_shapes == set(), "the tutorial shows lines that kit demo does not print"
    assert printed_shapes - shown == set(), "kit demo prints lines that the tutorial does not show"


def test_the_tutorial_shows_the_output_of_each_command_of_the_demo() -> None:
    text = "\n".join(shown_in_tutorial())
    assert re.findall(r"^\$ kit (.*)$", text, flags=re.MULTILINE) == list(demo.COMMANDS)
    for output in text.split("\n$ kit ")[1:]:
        assert len(output.splitlines()) > 3, output


def test_the_readme_ends_the_demo_as_the_tutorial_does() -> None:
    lines = block(README, r"^\$ make demo[^\n]*\n\.\.\.\n(.*?)```")
    assert [line.rpartition(" ")[0] for line in lines] == ["test macro_f1", "test accuracy"]
    assert set(lines) <= set(shown_in_tutorial())
    assert all(float(line.rpartition(" ")[2]) > 0.97 for line in lines)  # of scans that are nearly all read
