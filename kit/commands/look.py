"""`kit look`: pictures of what a setting does, before a run is spent on it."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands._console import emit, follow, say


@click.group()
def command() -> None:
    """Draw what a setting does, before a run is spent on it.

    \b
    kit look augment
    kit look augment augmenter=heavy --rows 4 --variants 8
    """


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("augment.png"), show_default=True,
    metavar="FILE.png", help="The picture's file.",
)  # fmt: skip
@click.option(
    "--rows", type=click.IntRange(1, 100), default=6, show_default=True, help="Rows of the training table."
)
@click.option(
    "--variants", type=click.IntRange(1, 50), default=6, show_default=True, help="Variants of each row."
)
@click.option("--seed", type=click.IntRange(0), help="Of rows and draws; by default the experiment's.")
@click.option("--json", "as_json", is_flag=True, help="Print the file, its rows and its variants as JSON.")
def augment(
    overrides: tuple[str, ...], out: Path, rows: int, variants: int, seed: int | None, as_json: bool
) -> None:
    """Draw training images beside their augmented variants, as fold 0 sees them in its first epochs.

    \b
    kit look augment
    kit look augment augmenter=retail augmenter.turn=20 --out retail.png
    kit look augment augmenter=copies --rows 3 --variants 12 --seed 1
    """
    if out.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(out)!r} does not end in .png", param_hint="--out")
    from kit.pictures import augmented, grid, write_png
    from kit.workspace import Workspace

    workspace = Workspace.find(".", overrides)
    strips = follow(augmented(workspace, rows, variants, seed))
    name = workspace.experiment.open("augmenter", workspace.root).plugin_name()
    write_png(out, grid(strips, f"augmenter {name}: the image, then {variants} variants"))
    if as_json:
        emit({"file": str(out), "rows": [strip.id for strip in strips], "variants": variants})
        return
    say(f"{len(strips)} rows, {variants} variants each, by augmenter {name}")
    click.echo(out)
