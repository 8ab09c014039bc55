"""kit bundle."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands._console import answer, say


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RECORD.json | RUN[@VIEWS]...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to make.")
@click.option("--ensembler", help="How members are blended, where no record says so.")
@click.option("--wheels", is_flag=True, help="Fetch the wheels of requirements.txt into it; needs a network.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(members: tuple[str, ...], out: Path, ensembler: str | None, wheels: bool, as_json: bool) -> None:
    """Pack a submission's networks, config, plugins and kit itself for a notebook without a network.

    There, `python predict.py --images DIR --sample sample_submission.csv` predicts the images of that folder as the
    workspace would.

    \b
    kit bundle submissions/0007-final.json --out bundle
    kit bundle runs/r-final@d4 --out bundle --wheels
    kit bundle runs/r@d4 runs/s@d4 --ensembler simplex --out bundle
    kit predict bundle --images data/images --sample data/sample_submission.csv
    """
    from kit.bundles.packing import bundle
    from kit.files import amount
    from kit.workspace import Workspace

    made = bundle(Workspace.find("."), members, out, ensembler, wheels)
    say(f"{', '.join(made.members)}: {made.networks} networks, {amount(made.bytes)}")
    say(f"there: python {made.folder.name}/predict.py --images DIR --sample sample_submission.csv")
    told = {
        "folder": str(made.folder),
        "members": list(made.members),
        "networks": made.networks,
        "bytes": made.bytes,
    }
    answer(told, [made.folder], as_json)
