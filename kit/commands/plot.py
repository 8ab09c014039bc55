"""`kit plot`: pictures of what a setting does, before a run is spent on it, and of how alike members are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kit.commands._console import echo, print_json, show_progress

if TYPE_CHECKING:
    from kit.config.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def _picture(file: str) -> Callable[[F], F]:
    """The option --out, with this file by default; it must end in .png."""

    def is_png(context: click.Context, option: click.Parameter, out: Path) -> Path:
        if out.suffix.lower() != ".png":
            raise click.BadParameter(f"{str(out)!r} does not end in .png", param_hint="--out")
        return out

    return click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path(file),
        show_default=True,
        metavar="FILE.png",
        help="File of the picture.",
        callback=is_png,
    )


@click.group()
def command() -> None:
    """Plot augmentation, learning rate, members or neighbours.

    \b
    kit plot augment
    kit plot augment augmenter=heavy --rows 4 --variants 8
    kit plot lr scheduler=one_cycle
    kit plot lr --find
    kit plot members runs/a@d4 runs/b@d4
    kit plot retrieve runs/a@d4
    """


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@_picture("augment.png")
@click.option(
    "--rows", type=click.IntRange(1, 100), default=6, show_default=True, help="Number of training rows."
)
@click.option(
    "--variants", type=click.IntRange(1, 50), default=6, show_default=True, help="Variants per row."
)
@click.option(
    "--seed", type=click.IntRange(0), help="Seed for rows and variants. By default the config's seed."
)
@click.option("--json", "as_json", is_flag=True, help="Print the file, rows and number of variants as JSON.")
def augment(
    overrides: tuple[str, ...], out: Path, rows: int, variants: int, seed: int | None, as_json: bool
) -> None:
    """Plot training images beside their augmented variants. The variants are those of fold 0 in its first
    epochs.

    \b
    kit plot augment
    kit plot augment augmenter=retail augmenter.rotate=20 --out retail.png
    kit plot augment augmenter=copies --rows 3 --variants 12 --seed 1
    """
    from kit.config.workspace import Workspace
    from kit.kinds import Augmenter
    from kit.stages.figures.pictures import arrange_grid, augment_rows, write_png

    workspace = Workspace.find(".", overrides)
    strips = show_progress(augment_rows.with_progress(workspace, rows, variants, seed))
    name = workspace.experiment.open(Augmenter, workspace.root).plugin_name()
    write_png(out, arrange_grid(strips, f"augmenter {name}: image and {variants} variants"))
    if as_json:
        print_json({"file": str(out), "rows": [strip.id for strip in strips], "variants": variants})
        return
    echo(f"{len(strips)} rows with {variants} variants each, augmenter {name}")
    click.echo(out)


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@_picture("lr.png")
@click.option("--find", is_flag=True, help="Run a learning-rate range test: the rate rises at each step.")
@click.option(
    "--from",
    "lowest",
    type=click.FloatRange(0, min_open=True),
    default=1e-6,
    show_default=True,
    help="Lowest learning rate of --find.",
)
@click.option(
    "--to",
    "highest",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Highest learning rate of --find.",
)
@click.option("--steps", type=click.IntRange(10), default=120, show_default=True, help="Steps of --find.")
@click.option("--json", "as_json", is_flag=True, help="Print the file and the numbers as JSON.")
def lr(
    overrides: tuple[str, ...],
    out: Path,
    find: bool,
    lowest: float,
    highest: float,
    steps: int,
    as_json: bool,
) -> None:
    """Plot the learning rate of each step, or find a good peak. The plot covers all stages of a fold.

    \b
    kit plot lr
    kit plot lr scheduler=one_cycle epochs=40 --out one_cycle.png
    kit plot lr --find
    kit plot lr --find --from 1e-5 --to 0.1 --steps 300 loss=arcface
    """
    if highest <= lowest:
        raise click.BadParameter(f"{highest:g} is not larger than --from {lowest:g}", param_hint="--to")
    from kit.config.workspace import Workspace

    workspace = Workspace.find(".", overrides)
    found = _find(workspace, out, lowest, highest, steps) if find else _draw(workspace, out)
    if as_json:
        print_json({"file": str(out), **found})
    else:
        click.echo(out)


def _draw(workspace: Workspace, out: Path) -> dict[str, Any]:
    """Draws the plan's learning rates, says their peak, and returns the numbers."""
    from kit.stages.figures.plots import draw_curves, write_figure
    from kit.stages.profiling.lr_finder import compute_lr_schedule

    curve = show_progress(compute_lr_schedule.with_progress(workspace))
    epochs = [curve.epoch_of(step + 1) for step in range(len(curve.rates))]
    peak = max(curve.rates)
    at = curve.rates.index(peak) + 1
    lines = {"lr": (epochs, curve.rates)}
    write_figure(
        out, draw_curves(lines, f"learning rate, {len(curve.rates)} steps per fold", "epoch", "highest rate")
    )
    echo(f"{sum(curve.epochs)} epochs, {len(curve.rates)} steps per fold")
    echo(f"peak {peak:.3g} at step {at} (epoch {curve.epoch_of(at):.1f}), {curve.rates[-1]:.3g} at the end")
    return {
        "steps": len(curve.rates),
        "peak": peak,
        "peak_step": at,
        "first": curve.rates[0],
        "last": curve.rates[-1],
        "stages": [
            {"epochs": e, "steps_per_epoch": s} for e, s in zip(curve.epochs, curve.steps, strict=True)
        ],
    }


def _find(workspace: Workspace, out: Path, lowest: float, highest: float, steps: int) -> dict[str, Any]:
    """Runs the range test, draws it, says what it suggests, and returns the numbers."""
    from kit.stages.figures.plots import draw_curves, write_figure
    from kit.stages.profiling.lr_finder import run_lr_range_test

    found = show_progress(run_lr_range_test.with_progress(workspace, lowest, highest, steps))
    rates = [trial.lr for trial in found.trials]
    lines = {
        "loss": (rates, [trial.loss for trial in found.trials]),
        "smoothed": (rates, [trial.smoothed for trial in found.trials]),
    }
    marks = {
        f"steepest {found.steepest:.2g}": found.steepest,
        f"min / 10: {found.tenth:.2g}": found.tenth,
    }
    title = f"learning-rate range test, {len(rates)} of {steps} steps"
    write_figure(out, draw_curves(lines, title, "learning rate", "training loss", log_x=True, marks=marks))
    echo(
        f"{len(rates)} of {steps} steps, stopped when the loss diverged"
        if len(rates) < steps
        else f"{steps} steps"
    )
    echo(
        f"steepest descent at {found.steepest:.2g}, a tenth of the rate of the lowest loss "
        f"{found.tenth:.2g}: try optimizer.lr between them"
    )
    return {
        "steepest": found.steepest,
        "tenth": found.tenth,
        "trials": [asdict(trial) for trial in found.trials],
    }


@command.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]... [KEY=VALUE]...")
@_picture("members.png")
@click.option("--ensembler", help="Ensembler of the blend. By default the config's.")
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
def members(members: tuple[str, ...], out: Path, ensembler: str | None, as_json: bool) -> None:
    """Plot correlation, error overlap and gain of blend members.

    The gain of a member is measured by leaving it out of the blend. All numbers use the out-of-fold rows that
    all members predict. Nothing is submitted.

    \b
    kit plot members runs/a@d4 runs/b@d4 runs/c
    kit plot members runs/a runs/b --ensembler hill_climb --out hill.png
    """
    from kit.commands import _members
    from kit.commands._console import console
    from kit.config.workspace import Workspace
    from kit.core import files
    from kit.stages.blending.blend import diversity
    from kit.stages.blending.heat_map import png

    runs = [text for text in members if "=" not in text]
    overrides = [text for text in members if "=" in text]
    overrides = [*([f"ensembler={ensembler}"] if ensembler else []), *overrides]
    found = diversity(Workspace.find(overrides=overrides), runs)
    files.write_bytes(out, png(found))
    if as_json:
        print_json({"file": str(out), **_members.as_json(found)})
        return
    console(stderr=True).print(_members.table(found))
    echo(
        f"{found.ensembler} of all members: {found.metric} {found.score:.4f} on {found.rows} out-of-fold rows"
    )
    click.echo(out)


@command.command()
@click.argument("member", metavar="RUN[@VIEWS]")
@_picture("retrieve.png")
@click.option(
    "--queries", type=click.IntRange(1, 50), default=10, show_default=True, help="Number of held-out rows."
)
@click.option(
    "--neighbours", type=click.IntRange(1, 20), default=6, show_default=True, help="Neighbours per row."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sampled rows."
)
@click.option("--json", "as_json", is_flag=True, help="Print the files and the neighbours as JSON.")
def retrieve(member: str, out: Path, queries: int, neighbours: int, seed: int, as_json: bool) -> None:
    """Plot held-out rows beside their nearest training images. Also plot a map of the embeddings.

    The map is a second picture, FILE-map.png, coloured by class. `kit embed` writes the embeddings.

    \b
    kit plot retrieve runs/r@hflip
    kit plot retrieve runs/r --queries 20 --neighbours 8 --out whales.png
    """
    from kit.config.workspace import Workspace
    from kit.stages.figures.plots import write_figure
    from kit.stages.retrieval.examples import example_page
    from kit.stages.retrieval.figures import embedding_map, neighbour_figure

    found = show_progress(example_page.with_progress(Workspace.find("."), member, queries, neighbours, seed))
    beside = out.with_name(f"{out.stem}-map.png")
    share = f"the nearest image of {found.wrong} of {found.rows} held-out rows has another class"
    write_figure(out, neighbour_figure(found, f"{member}: {share}"))
    write_figure(
        beside, embedding_map(found.map, f"{member}: {len(found.map.labels)} held-out rows by t-SNE")
    )
    echo(share)
    if as_json:
        strips = [
            [{"id": one.id, "label": one.label, "cosine": one.similarity} for one in q] for q in found.queries
        ]
        print_json(
            {"files": [str(out), str(beside)], "wrong": found.wrong, "rows": found.rows, "queries": strips}
        )
        return
    click.echo(out)
    click.echo(beside)
