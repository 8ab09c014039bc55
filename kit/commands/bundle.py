"""kit bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kit.commands._console import echo, print_result


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RECORD.json | RUN[@VIEWS]...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to make.")
@click.option("--ensembler", help="How members are blended, where no record says so.")
@click.option("--wheels", is_flag=True, help="Fetch the wheels of requirements.txt into it; needs a network.")
@click.option(
    "--try", "tries", is_flag=True, help="Then run it on a few test rows where kit is not installed."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...], out: Path, ensembler: str | None, wheels: bool, tries: bool, as_json: bool
) -> None:
    """Pack a submission's networks, config, plugins and kit itself for a notebook without a network.

    There, `python predict.py --images DIR --sample sample_submission.csv` predicts the images of that folder as the
    workspace would. A row whose image cannot be read gets the class prior there, unless --bad-test stop is given.

    \b
    kit bundle submissions/0007-final.json --out bundle
    kit bundle runs/r-final@d4 --out bundle --wheels
    kit bundle runs/r-final@d4 --out bundle --try
    kit bundle runs/r@d4 runs/s@d4 --ensembler simplex --out bundle
    kit predict bundle --images data/images --sample data/sample_submission.csv
    """
    from kit.config.workspace import Workspace
    from kit.core.files import format_bytes
    from kit.stages.bundles.packing import bundle
    from kit.stages.bundles.trying import try_bundle

    space = Workspace.find(".")
    made = bundle(space, members, out, ensembler, wheels)
    echo(f"{', '.join(made.members)}: {made.networks} networks, {format_bytes(made.bytes)}")
    if made.no_weight:
        echo(
            f"not packed, as their weight is 0 and the blend is the same without: {', '.join(made.no_weight)}"
        )
    table = "" if space.competition.data.test is None else " --test test.csv"
    echo(f"there: python {made.folder.name}/predict.py --images DIR --sample sample_submission.csv{table}")
    echo(
        "a row whose image cannot be read gets the class prior there, and is reported; --bad-test stop ends instead"
    )
    told: dict[str, Any] = {
        "folder": str(made.folder),
        "members": list(made.members),
        "networks": made.networks,
        "no_weight": list(made.no_weight),
        "bytes": made.bytes,
    }
    if tries:
        tried = try_bundle(space, made.folder)
        images = "images of noise, as no test image is here" if tried.noise else "images of the workspace"
        echo(f"tried without kit and network: {tried.rows} rows in {tried.seconds:.0f} s, {images}")
        told["tried"] = asdict(tried)
    print_result(told, [made.folder], as_json)
