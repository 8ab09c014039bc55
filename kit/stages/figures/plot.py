"""Plot: the pictures of `kit plot`, each with its numbers and a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.core.display import Displayed, frame
from kit.core.progress import Work, stage
from kit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from kit.config.workspace import Workspace
    from kit.stages.blending.diversity import Diversity


@dataclass(frozen=True, repr=False, eq=False)
class PlotResult(Displayed):
    """Pictures that were written, and their numbers."""

    files: tuple[Path, ...]
    lines: tuple[str, ...]
    values: dict[str, Any]  # as --json prints them
    rows: Sequence[dict[str, Any]]  # of the table
    diversity: Diversity | None = None  # of a plot of members

    def _lines(self) -> Sequence[str]:
        return [*self.lines, *map(str, self.files)]

    def _pictures(self) -> Sequence[bytes]:
        return [file.read_bytes() for file in self.files if file.is_file()]

    def to_frame(self) -> pd.DataFrame:
        """Returns the numbers of the plot: a row per training row, step, member or neighbour."""
        return frame(self.rows)


@stage
def plot_augment(
    workspace: Workspace, out: Path, rows: int, variants: int, seed: int | None
) -> Work[PlotResult]:
    """Plots training images beside their augmented variants."""
    from kit.kinds import Augmenter
    from kit.stages.figures.pictures import arrange_grid, augment_rows, write_png

    check_picture(out)
    strips = yield from augment_rows.with_progress(workspace, rows, variants, seed)
    name = workspace.experiment.open(Augmenter, workspace.root).plugin_name()
    write_png(out, arrange_grid(strips, f"augmenter {name}: image and {variants} variants"))
    return PlotResult(
        (out,),
        (f"{len(strips)} rows with {variants} variants each, augmenter {name}",),
        {"file": str(out), "rows": [strip.id for strip in strips], "variants": variants},
        [{"id": strip.id, "label": strip.label} for strip in strips],
    )


def plot_members(workspace: Workspace, members: Sequence[str], out: Path) -> PlotResult:
    """Plots correlation, error overlap and gain of blend members."""
    from kit.core import files
    from kit.stages.blending.blend import diversity
    from kit.stages.blending.heat_map import png

    check_picture(out)
    measured = diversity(workspace, members)
    files.write_bytes(out, png(measured))
    rows = [
        {
            "member": name,
            measured.metric: measured.scores[index],
            "gain": measured.gains[index].value if measured.gains else None,
            **{f"correlation with {other}": value for other, value in zip(measured.names, line, strict=True)},
        }
        for index, (name, line) in enumerate(zip(measured.names, measured.correlation.tolist(), strict=True))
    ]
    score = f"{measured.metric} {measured.score:.4f} on {measured.rows} out-of-fold rows"
    line = f"{measured.ensembler} of all members: {score}"
    return PlotResult((out,), (line,), {"file": str(out), **measured.as_json()}, rows, measured)


@stage
def plot_retrieve(
    workspace: Workspace, member: str, out: Path, queries: int, neighbours: int, seed: int
) -> Work[PlotResult]:
    """Plots held-out rows beside their nearest training images, and a map of the embeddings in a second picture."""
    from kit.stages.figures.plots import write_figure
    from kit.stages.retrieval.examples import example_page
    from kit.stages.retrieval.figures import embedding_map, neighbour_figure

    check_picture(out)
    page = yield from example_page.with_progress(workspace, member, queries, neighbours, seed)
    beside = out.with_name(f"{out.stem}-map.png")
    share = f"the nearest image of {page.wrong} of {page.rows} held-out rows has another class"
    write_figure(out, neighbour_figure(page, f"{member}: {share}"))
    title = f"{member}: {len(page.map.labels)} held-out rows by t-SNE"
    write_figure(beside, embedding_map(page.map, title))
    strips = [
        [{"id": image.id, "label": image.label, "cosine": image.similarity} for image in query]
        for query in page.queries
    ]
    rows = [{"query": strip[0]["id"], **image} for strip in strips for image in strip[1:]]
    values = {
        "files": [str(out), str(beside)],
        "wrong": page.wrong,
        "rows": page.rows,
        "queries": strips,
    }
    return PlotResult((out, beside), (share,), values, rows)


def check_picture(out: Path) -> None:
    """Raises ConfigError C05 for a file that does not end in .png."""
    if out.suffix.lower() != ".png":
        raise ConfigError(f"{str(out)!r} does not end in .png", code="C05")
