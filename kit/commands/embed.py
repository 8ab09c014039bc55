"""`kit embed`: every image as a unit vector."""

from __future__ import annotations

from dataclasses import asdict

import click

from kit.commands._console import echo, print_result, show_progress
from kit.commands._plugin_options import read_spec
from kit.commands.tta import RepeatedPathsCommand


@click.command(cls=RepeatedPathsCommand)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--checkpoints",
    "-c",
    multiple=True,
    metavar="PATH...",
    help="Runs, folds or checkpoint folders. Can be repeated.",
)
@click.option(
    "--untrained", metavar="NAME", help="Embed with the config's untrained network, as a run of this name."
)
@click.option("--views", default="plain", show_default=True, help="Views plugin, or JSON with options.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    overrides: tuple[str, ...],
    checkpoints: tuple[str, ...],
    untrained: str | None,
    views: str,
    device: str,
    as_json: bool,
) -> None:
    """Embed training and test images for `kit retrieve`. Each image becomes a vector of length 1.

    The network of each fold embeds all rows, averaged over the views, into runs/RUN/embeddings/VIEWS/FOLD/.
    Existing embeddings are reused.

    \b
    kit embed --checkpoints runs/r
    kit embed --checkpoints runs/r runs/s --views hflip
    kit embed --untrained bare backbone.arch=resnet50 backbone.pretrained=true image_size=224
    """
    from kit.config.workspace import Workspace
    from kit.stages.prediction.embed import embed, embed_untrained

    if bool(checkpoints) == (untrained is not None):
        raise click.UsageError("give either --checkpoints, or --untrained NAME")
    spec, workspace = read_spec(views, "--views"), Workspace.find(".", overrides)
    if untrained is None:
        made = show_progress(embed.with_progress(workspace, checkpoints, spec, device))
    else:
        made = [show_progress(embed_untrained.with_progress(workspace, untrained, spec, device))]
    for each in made:
        echo(repr(each))
    echo(f"next: kit retrieve {' '.join(each.member for each in made)}")
    print_result([asdict(each) for each in made], [each.member for each in made], as_json)
