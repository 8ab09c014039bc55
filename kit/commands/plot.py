"""`kit plot`: draws the effect of a setting before a run, and the similarity of members."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kit.commands._console import echo, print_json, show_progress
from kit.commands._member_arguments import split_members

if TYPE_CHECKING:
    from kit.stages.figures.plot import PlotResult

F = TypeVar("F", bound=Callable[..., Any])


def _picture(file: str) -> Callable[[F], F]:
    """Returns the option --out, with this file by default. It must end in .png."""

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
    from kit.stages.figures.plot import plot_augment

    workspace = Workspace.find(".", overrides)
    _print(show_progress(plot_augment.with_progress(workspace, out, rows, variants, seed)), as_json)


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
    from kit.stages.profiling.lr_plot import plot_lr, plot_lr_range

    workspace = Workspace.find(".", overrides)
    if find:
        work = plot_lr_range.with_progress(workspace, out, lowest, highest, steps)
    else:
        work = plot_lr.with_progress(workspace, out)
    _print(show_progress(work), as_json)


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
    from kit.stages.figures.plot import plot_members

    runs, overrides = split_members(members)
    overrides = [*([f"ensembler={ensembler}"] if ensembler else []), *overrides]
    result = plot_members(Workspace.find(overrides=overrides), runs, out)
    if result.diversity is not None and not as_json:
        console(stderr=True).print(_members.table(result.diversity))
    _print(result, as_json)


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
    from kit.stages.figures.plot import plot_retrieve

    workspace = Workspace.find(".")
    _print(
        show_progress(plot_retrieve.with_progress(workspace, member, out, queries, neighbours, seed)), as_json
    )


def _print(result: PlotResult, as_json: bool) -> None:
    """Prints the findings on stderr, and the files, or all numbers as JSON, on stdout."""
    for line in result.lines:
        echo(line)
    if as_json:
        print_json(result.values)
        return
    for file in result.files:
        click.echo(file)
