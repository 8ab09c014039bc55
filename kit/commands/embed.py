"""`kit embed`: writes every image as a unit vector."""

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
@click.option("--index", metavar="FILE", help="Embed the images that this CSV lists, instead of the rows.")
@click.option("--index-images", metavar="PATTERN", help="Path of an index image. Default: as for test rows.")
@click.option("--views", default="plain", show_default=True, help="Views plugin, or JSON with options.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    overrides: tuple[str, ...],
    checkpoints: tuple[str, ...],
    untrained: str | None,
    index: str | None,
    index_images: str | None,
    views: str,
    device: str,
    as_json: bool,
) -> None:
    """Embed training and test images for `kit retrieve` and for heads on vectors. Each image becomes a unit vector.

    The network of each fold embeds all rows, averaged over the views, into runs/RUN/embeddings/VIEWS/FOLD/.
    Existing embeddings are reused.

    \b
    kit embed --checkpoints runs/r
    kit embed --checkpoints runs/r runs/s --views hflip
    kit embed --checkpoints runs/r --index index.csv --index-images 'index/{id}.jpg'
    kit embed --untrained bare backbone.arch=resnet50 backbone.pretrained=true image_size=224
    """
    from kit.config.workspace import Workspace
    from kit.stages.prediction.embed import embed, embed_index, embed_untrained
    from kit.stages.retrieval.index_source import INDEX_SUFFIX

    if bool(checkpoints) == (untrained is not None):
        raise click.UsageError("give either --checkpoints, or --untrained NAME")
    if index is None and index_images is not None:
        raise click.UsageError("--index-images needs --index FILE")
    if index is not None and untrained is not None:
        raise click.UsageError("--index needs --checkpoints")
    spec, workspace = read_spec(views, "--views"), Workspace.find(".", overrides)
    if index is not None:
        work = embed_index.with_progress(workspace, checkpoints, index, index_images, spec, device)
        results = show_progress(work)
    elif untrained is None:
        results = show_progress(embed.with_progress(workspace, checkpoints, spec, device))
    else:
        results = [show_progress(embed_untrained.with_progress(workspace, untrained, spec, device))]
    for result in results:
        echo(repr(result))
    more = "" if index is None else f" --index {index}"
    echo(
        f"next: kit retrieve {' '.join(result.member.removesuffix(INDEX_SUFFIX) for result in results)}{more}"
    )
    print_result([asdict(result) for result in results], [result.member for result in results], as_json)
