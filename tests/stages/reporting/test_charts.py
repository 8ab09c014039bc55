"""Charts: round ticks, points where they belong, and names that stay text."""

from __future__ import annotations

import re

import pytest

from kit.stages.reporting.charts import (
    HIGH,
    LEFT,
    POINTS,
    RIGHT,
    WIDTH,
    Line,
    bars,
    diagonal,
    lines,
    share,
    ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.3, 2.9, [1, 2]),
        (0, 0.0031, [0, 0.001, 0.002, 0.003]),
        (-40, 40, [-40, -20, 0, 20, 40]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


def points(text: str) -> list[tuple[float, float]]:
    (line_points,) = re.findall(r'<polyline class="line s0" points="([^"]+)"', text)
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line_points.split())]


def test_a_line_runs_from_edge_to_edge_and_upwards_where_it_grows() -> None:
    coordinates = points(lines([Line("fold 0", [1, 2, 3], [0.1, None, 0.9])], "title", "epoch", "score"))
    assert [x for x, _ in coordinates] == [LEFT, WIDTH - RIGHT]
    assert 0 < coordinates[1][1] < coordinates[0][1] < HIGH


def test_a_line_of_thousands_is_thinned_and_keeps_its_end() -> None:
    coordinates = Line("a", range(10_001), [float(n) for n in range(10_001)]).points()
    assert len(coordinates) <= POINTS + 1
    assert coordinates[-1] == (10_000, 10_000)


def test_one_point_is_a_dot_and_none_is_nothing() -> None:
    assert "<circle" in lines([Line("a", [1, 2], [None, 3.0])], "t", "x", "y")
    assert lines([Line("a", [1], [None])], "t", "x", "y") == ""
    assert diagonal([], "t", "x", "y") == ""


def test_names_stay_text_and_each_picture_says_what_it_shows() -> None:
    evil = "<b onload=1>\"'"
    charts = [
        lines([Line(evil, [1, 2], [1, 2]), Line("b", [1, 2], [2, 1])], evil, evil, evil),
        bars([1, 2], evil, evil, evil),
        diagonal([(0.1, 0.2, evil)], evil, evil, evil),
    ]
    for text in charts:
        assert "<b" not in text
        assert 'role="img" aria-label="&lt;b onload=1&gt;' in text


def test_lines_differ_without_colour() -> None:
    text = lines([Line("a", [1, 2], [1, 2]), Line("b", [1, 2], [2, 1])], "t", "x", "y")
    assert {"line s0", "line s1"} <= set(re.findall(r'class="(line s\d)"', text))


def test_a_share_is_a_bar_between_nothing_and_all() -> None:
    widths = [re.findall(r'<rect width="([\d.]+)"', share(value))[0] for value in (None, 0.25, 7.0)]
    assert widths == ["0.0", "25.0", "100.0"]
