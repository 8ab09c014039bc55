"""Draws a page of queries and their nearest images, and a map, as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kit.stages.retrieval.examples import ExampleImage, Map, Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 1.5  # inches of an image
MAX_LEGEND_GROUPS = 20  # groups named in a legend; more are only coloured
RIGHT, WRONG = "#0072b2", "#d55e00"  # distinguishable with any colour vision (Okabe and Ito 2008)


def neighbour_figure(page: Page, title: str) -> Figure:
    """Draws one row per query: its image, then the nearest ones, each with its class, its cosine and whether
    it is correct.
    """
    from matplotlib.figure import Figure

    lines, columns = len(page.queries), max(map(len, page.queries))
    figure = Figure(
        figsize=(CELL * columns + 0.2, (CELL + 0.42) * lines + 0.5), dpi=100, layout="constrained"
    )
    figure.suptitle(title, fontsize=10)
    grid: Any = figure.subplots(lines, columns, squeeze=False)
    for line, strip in zip(grid, page.queries, strict=True):
        for axes, example in zip(line, strip, strict=True):
            _cell(axes, example, strip[0])
    return figure


def _cell(axes: Any, example: ExampleImage, query: ExampleImage) -> None:
    axes.imshow(example.image)
    axes.set_xticks([])
    axes.set_yticks([])
    name = example.label if len(example.label) <= 22 else example.label[:21] + "…"
    if example is query:
        axes.set_title(f"query\n{name}", fontsize=7, color="black", fontweight="bold")
        return
    right = example.label == query.label
    colour = RIGHT if right else WRONG
    axes.set_title(
        f"{'right' if right else 'WRONG'} {example.similarity:.2f}\n{name}", fontsize=7, color=colour
    )
    for spine in axes.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(2.5)


def embedding_map(embedding: Map, title: str) -> Figure:
    """Draws the map twice, coloured by class and by superclass; once if there are no superclasses."""
    from matplotlib.figure import Figure

    panels = {"class": embedding.labels} | ({"superclass": embedding.shapes} if len(embedding.shapes) else {})
    figure = Figure(figsize=(7.5 * len(panels), 7), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=10)
    for number, (what, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), number)
        kinds, kind_of_point = np.unique(names, return_inverse=True)
        axes.scatter(
            embedding.places[:, 0], embedding.places[:, 1], c=kind_of_point, cmap="turbo", s=9, linewidths=0
        )
        for kind in range(len(kinds) if len(kinds) <= MAX_LEGEND_GROUPS else 0):
            middle, box = (
                np.median(embedding.places[kind_of_point == kind], axis=0),
                {"fc": "white", "alpha": 0.7, "lw": 0},
            )
            axes.annotate(str(kinds[kind]), middle, fontsize=7, ha="center", bbox=box)
        axes.set_title(f"by {what} ({len(kinds)})", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure
