"""Page: facts as one HTML file that needs no other file and loads nothing from outside.

All names are escaped: jinja2 escapes all values, and `<` is \\u003c in embedded JSON. A
Content-Security-Policy allows only this page's own style and script, by their hashes, and embedded pictures.
No address, event handler or other script would run.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kit.core.legible import legible
from kit.stages.reporting import charts
from kit.stages.reporting.charts import Line
from kit.stages.reporting.facts import DataSection, Facts, Missing, TrainedRun
from kit.stages.reporting.mistakes import MAX_MISTAKES
from kit.stages.reporting.row_facts import Calibration, ClassScore, ColumnScore

TEMPLATES = Path(__file__).with_name("templates")
MAX_PAGE_BYTES = 5_000_000  # bytes of a page
MAX_NAME_CHARACTERS = 60  # characters of a displayed name
CELLS = 25  # classes of a confusion matrix in numbers; a larger one is a picture
CHARTED = 40  # runs whose curves are drawn
SETTINGS_WITH_COLUMNS = (
    "backbone",
    "backbone.arch",
    "image_size",
    "epochs",
)  # settings that have their own columns
HEAT = (0, 90, 181)  # the colour of a cell, by its share


def page(facts: Facts) -> str:
    """Returns the report as HTML of less than 5 MB; if it would be larger, without pictures."""
    text = _render(facts, pictures=True)
    return text if len(text.encode()) < MAX_PAGE_BYTES else _render(facts, pictures=False)


def _render(facts: Facts, pictures: bool) -> str:
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    return legible(
        environment(html=True)
        .get_template("page.html")
        .render(
            facts=facts,
            pictures=pictures,
            style=Markup(style),
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            order=_order(facts),
            charted=CHARTED,
        )
    )


def environment(html: bool) -> Environment:
    """Returns jinja2's environment with this report's filters; every value in HTML is escaped."""
    new = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    new.tests["absent"] = lambda value: isinstance(value, Missing)
    new.filters |= {
        "score": score,
        "signed": format_signed,
        "short": short,
        "percent": percent,
        "heat": heat,
        "weakest": weakest,
    }
    new.globals |= {
        "curves": curves,
        "bars": class_sizes,
        "reliability": reliability,
        "scatter": charts.diagonal,
        "column_scatter": column_scatter,
        "column_errors": column_errors,
        "share": charts.share,
        "matrix": matrix,
        "CELLS": CELLS,
        "WORST": MAX_MISTAKES,
        "hidden_settings": SETTINGS_WITH_COLUMNS,
    }
    return new


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _order(facts: Facts) -> dict[str, int]:
    """Returns the number of each class, by which the page's filter finds its rows."""
    names = () if isinstance(facts.data, Missing) else facts.data.counts
    return {name: number for number, name in enumerate(names)}


def score(value: float | None) -> str:
    """Returns a score with four digits."""
    return "–" if value is None else f"{value:.4f}"


def format_signed(value: float | None) -> str:
    """Returns a difference with its sign; zero has none."""
    return "–" if value is None else f"{value:+.4f}" if abs(value) >= 5e-5 else "0.0000"


def percent(value: float | None) -> str:
    """Returns a share in per cent."""
    return "–" if value is None else f"{100 * value:.1f} %"


def short(text: str, longest: int = MAX_NAME_CHARACTERS) -> str:
    """Returns a name, or its displayed beginning."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def heat(value: float, low: float = 0.0) -> int:
    """Returns a step from 0 to 10 for a cell's colour."""
    return round(10 * min(max((value - low) / (1 - low), 0.0), 1.0)) if low < 1 else 10


def weakest(classes: Sequence[ClassScore]) -> list[ClassScore]:
    """Returns the classes, the lowest F1 first; those without rows last."""
    return sorted(classes, key=lambda of_class: (not of_class.rows, of_class.f1 or 0.0))


def curves(run: TrainedRun, name: str, title: str, y: str, first_only: bool = False) -> Markup:
    """Draws a run's numbers of one name by epoch, one line per fold; `first_only`: only the first fold, because all
    are alike.
    """
    shown_curves = run.curves[:1] if first_only else run.curves
    lines_drawn = [
        Line(f"fold {curve.fold}", curve.epochs, curve.values[name])
        for curve in shown_curves
        if name in curve.values
    ]
    return charts.lines(lines_drawn, title, "epoch", y)


def class_sizes(data: DataSection) -> Markup:
    """Draws the number of rows of the classes, the largest first."""
    sizes = sorted(data.counts.values(), reverse=True)
    if not sizes or not data.has_classes:
        return Markup()
    text = f"rows of {len(sizes)} classes, from {sizes[0]} to {sizes[-1]}, {sizes[len(sizes) // 2]} in the middle"
    return charts.bars(sizes, "Rows of each class, the largest first", text, f"{len(sizes)} classes")


def reliability(calibration: Calibration) -> Markup:
    """Draws accuracy by confidence; below the diagonal the member is overconfident."""
    points = [(bin_of_rows.confidence, bin_of_rows.accuracy, "") for bin_of_rows in calibration.bins]
    return charts.diagonal(points, "Accuracy by confidence", "confidence", "accuracy", whole=True)


def column_scatter(column: ColumnScore) -> Markup:
    """Draws predicted by true values of one column, beside the diagonal."""
    points = [(truth, given, "") for truth, given in column.points]
    return charts.diagonal(points, f"{column.name}: predicted by true values", "true", "predicted")


def column_errors(column: ColumnScore) -> Markup:
    """Draws how many rows have which error, from too low to too high."""
    limits = f"from -{column.reach:.4g} to {column.reach:.4g}"
    text = f"{len(column.errors)} bins of the error, {limits}; its mean is {column.bias:.4g}"
    return charts.bars(column.errors, f"{column.name}: rows by error", text, f"error {limits}")


def matrix(counts: Sequence[Sequence[int]]) -> str:
    """Returns a confusion matrix as a PNG's data address: one pixel per cell, as dark as its share of the
    true class's rows.
    """
    from PIL import Image

    cells = np.asarray(counts, dtype=np.float64)
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    depth = np.where(cells > 0, np.clip(40 + 215 * shares, 0, 255), 0).astype(np.uint8)
    pixels = np.empty((*cells.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = HEAT, depth
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
