"""What a terminal shows of a stage's progress, and what it shows without one."""

from __future__ import annotations

import io
import re

import pytest

from kit.commands._console import show_progress
from kit.core.progress import Progress, Work

LINE = "fold 0 epoch 1/2: loss 1.0045, macro_f1 0.1667, log_loss 1.0703, accuracy 0.3333, lr 0.0084, 1606 images/s"


def stage() -> Work[str]:
    for number in range(5):
        yield Progress("images", number, 4)
    for number in range(5):
        yield Progress("train", number / 8, 1, "fold 0 epoch 1/2")
    yield Progress("train", 0.5, 1, LINE, line=True)
    for number in range(5):
        yield Progress("train", (4 + number) / 8, 1, "fold 0 epoch 2/2")
    return "done"


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> str:
    """All that a terminal of 80 columns is sent."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    assert show_progress(stage()) == "done"
    return stream.getvalue()


def test_a_terminal_shows_one_bar_at_a_time(shown: str) -> None:
    bars = [line for line in re.split(r"[\r\n]+", shown) if re.search(r"\d+%", line)]
    assert bars
    assert all(len(re.findall(r"\d+%", line)) == 1 for line in bars)
    assert "\x1b[1A\x1b[2K\x1b[1A" not in shown  # a second line would be cleared by a second move upwards


def test_the_bar_keeps_its_eta_beside_long_lines(shown: str) -> None:
    last = [line for line in shown.split("\r") if "train" in line and "%" in line][-1]
    assert re.search(r"train\s+\S+\s*100%\s+\d:\d\d:\d\d\s+\d:\d\d:\d\d\s+fold 0 epoch 2/2", last)


def test_what_is_worth_a_line_is_not_cut(shown: str) -> None:
    assert f"train: {LINE}" in shown


def test_no_color_is_kept_to(shown: str) -> None:
    assert not re.search(r"\x1b\[[0-9;]*m", shown.replace("\x1b[0m", ""))


def test_without_a_terminal_there_is_a_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_progress(stage()) == "done"
    talk = capsys.readouterr()
    assert talk.err == f"train: {LINE}\n"
    assert talk.out == ""
