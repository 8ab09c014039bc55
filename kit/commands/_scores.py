"""Prints scores: one table of scores, one of gains, and one sentence of advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.stages.blending.scores import BLEND, MEAN

if TYPE_CHECKING:
    from rich.table import Table

    from kit.evaluation.bootstrap import Gain
    from kit.stages.blending.scores import Comparison, Score


def scores(comparison: Comparison, metric: str) -> Table:
    """Returns a table of each member, the plain mean and the blend: in sample, out of sample, and by fold."""
    folds = list(comparison.blend.folds)
    table = _table(metric, "in-sample", "nested", *(f"fold {fold}" for fold in folds))
    for score in _rows(comparison):
        cells = [
            _number(value) for value in (score.in_sample, score.cv, *(score.folds[fold] for fold in folds))
        ]
        table.add_row(score.name, *cells, style=_style(score))
    return table


def gains(comparison: Comparison) -> Table:
    """Returns a table of the gains over the best member of each draw and over the mean, with the bootstrap's
    interval.
    """
    drawn = f"{comparison.draws} draws of {'groups' if comparison.by_groups else 'rows'}"
    table = _table(f"gain (95 % of {drawn})", "over the best member", "over the mean")
    for score in _rows(comparison):
        best, mean, _ = score.gains
        cells = [_gain(gain, score) for gain in (best, mean)]
        if comparison.sole is not None and score.name == BLEND:
            cells = ["-"] * len(cells)  # the row of the member that has all the weight shows it
        table.add_row(score.name, *cells, style=_style(score))
    return table


def recommendation(comparison: Comparison) -> str:
    """Returns whether the blend's gains are significant, in lines, and the simpler choice if they are not."""
    if comparison.sole is not None:
        return f"{comparison.explain_sole()}; kit blend {comparison.sole}"
    top = comparison.blend.gains[2]
    lines = [
        f"the blend's gain over the {gain.over} {describe_significance(gain)}"
        for gain in comparison.claimed_gains
    ]
    lines.insert(1, f"over {top.over}, the best member on all rows: {_gain(top, comparison.blend)}")
    if comparison.recommended == comparison.best:
        lines.append(f"simpler choice: {comparison.best} alone, kit blend {comparison.best}")
    elif comparison.recommended == MEAN and not comparison.blend_is_mean:
        lines.append("simpler choice: the plain mean, --ensembler mean")
    return "\n".join(lines)


def describe_significance(gain: Gain) -> str:
    if gain.low is None or gain.high is None:
        return "has no interval: too few bootstrap draws have a score"
    if gain.is_significant:
        return "is significant: the interval is above 0"
    return (
        "is a significant loss: the interval is below 0"
        if gain.high < 0
        else ("is not significant: the interval includes 0")
    )


def format_recipe(spec: Mapping[str, Any], members: Sequence[str]) -> str:
    """Returns the fitted values in a line or two: the candidates' scores, the weights, the temperatures.

    It is empty for a mean.
    """
    lines = []
    if spec.get("scores") and spec.get("candidates"):
        candidates = zip(spec["candidates"], spec["scores"], strict=True)
        lines.append("nested scores: " + ", ".join(f"{one['name']} {score:.4f}" for one, score in candidates))
        lines.append(f"chosen: {spec['chosen']['name']}")
    for key in ("weights", "temperatures"):
        if spec.get(key):
            parts = [f"{name} {value:.3g}" for name, value in zip(members, spec[key], strict=True) if value]
            lines.append(f"{key}: {', '.join(parts)}")
    inner = [spec[key] for key in ("chosen", "base") if isinstance(spec.get(key), Mapping)]
    return "\n".join([*lines, *filter(None, (format_recipe(one, members) for one in inner))])


def format_aggregators(specs: Sequence[Mapping[str, Any]], members: Sequence[str]) -> str:
    """Returns the aggregator of the answers, with the options of each member if they differ."""
    texts = []
    for spec in specs:
        options = [f"{key} {value:.3g}" for key, value in spec.items() if isinstance(value, int | float)]
        texts.append(", ".join(options))
    name = str(specs[0]["name"])
    if len(set(texts)) == 1:
        return f"answers by aggregator {name}" + (f", {texts[0]}" if texts[0] else "")
    listed = "; ".join(f"{member} {text}" for member, text in zip(members, texts, strict=True))
    return f"answers by aggregator {name}: {listed}"


def _rows(comparison: Comparison) -> tuple[Score, ...]:
    mean = () if comparison.blend_is_mean or len(comparison.members) == 1 else (comparison.mean,)
    return (*comparison.members, *mean, comparison.blend)


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def _style(score: Score) -> str | None:
    return "bold" if score.name == BLEND else None


def _gain(gain: Gain, score: Score) -> str:
    if gain.over == score.name or gain.value == gain.low == gain.high == 0:
        return "-"
    interval = "no interval" if gain.low is None else f"{gain.low:+.4f} to {gain.high:+.4f}"
    return f"{gain.value:+.4f} ({interval})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
