"""kit merge."""

from __future__ import annotations

import click

from kit.commands._console import echo, print_json, show_progress


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--name", required=True, help="Name of the new run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str, name: str, as_json: bool) -> None:
    """Join heads on cached embeddings with their networks.

    The new run reads images, as other runs do. So kit tta and kit bundle accept it, and init_from starts
    fine-tuning from it.

    \b
    kit embed --untrained dino backbone.pretrained=true
    kit train --name probe backbone=embeddings backbone.run=dino
    kit merge runs/probe --name whole
    kit tta --checkpoints runs/whole --views hflip
    kit bundle runs/whole@hflip --out bundle
    """
    from kit.config.workspace import Workspace
    from kit.stages.training.merge import merge_heads

    result = show_progress(merge_heads.with_progress(Workspace.find("."), run, name))
    for line in str(result).splitlines():
        echo(f"  {line}")
    echo(f"next: kit tta --checkpoints {result.member} --views hflip")
    if as_json:
        print_json(
            {
                "run": result.member,
                "heads": f"runs/{result.heads}",
                "folds": list(result.folds),
                "scores": result.scores,
                "difference": result.difference,
            }
        )
    else:
        click.echo(result.member)
