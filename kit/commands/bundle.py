"""kit bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kit.commands._console import echo, print_result

if TYPE_CHECKING:
    from kit.config.workspace import Workspace


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RECORD.json | RUN[@VIEWS]...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to create.")
@click.option("--ensembler", help="Ensembler, if no record names one.")
@click.option("--wheels", is_flag=True, help="Download the wheels of requirements.txt into the bundle.")
@click.option(
    "--try", "tries", is_flag=True, help="Run the bundle on a few test rows, without kit installed."
)
@click.option(
    "--notebook", is_flag=True, help="Also write a Kaggle notebook that predicts the hidden test set."
)
@click.option("--kaggle-user", metavar="NAME", help="Your name on Kaggle. By default KAGGLE_USERNAME.")
@click.option("--time", "time_limit", metavar="DURATION", help="Time limit of the notebook, such as 8h30m.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...],
    out: Path,
    ensembler: str | None,
    wheels: bool,
    tries: bool,
    notebook: bool,
    kaggle_user: str | None,
    time_limit: str | None,
    as_json: bool,
) -> None:
    """Pack networks, config, plugins and kit for an offline notebook.

    In the notebook, `python predict.py --images DIR --sample sample_submission.csv` predicts the images of
    that folder as the workspace would. If an image is unreadable, its row gets the class prior, or predict.py
    stops with --on-unreadable-test stop.

    \b
    kit bundle submissions/0007-final.json --out bundle
    kit bundle runs/r-final@d4 --out bundle --wheels
    kit bundle runs/r-final@d4 --out bundle --try
    kit bundle runs/r-final@d4 --out bundle --notebook --time 8h30m
    kit bundle runs/r@d4 runs/s@d4 --ensembler simplex --out bundle
    kit predict bundle --images data/images --sample data/sample_submission.csv
    """
    from kit.config.workspace import Workspace
    from kit.core.files import format_bytes
    from kit.errors import ConfigError
    from kit.stages.bundles.packing import bundle
    from kit.stages.bundles.trying import try_bundle

    space = Workspace.find(".")
    if time_limit is not None and not notebook:
        raise ConfigError("--time is the time limit of a notebook", code="C05", hint="add --notebook")
    if notebook:
        from kit.stages.bundles.notebook import check_notebook

        check_notebook(space, out, kaggle_user, time_limit)
    made = bundle(space, members, out, ensembler, wheels, for_kaggle=notebook)
    echo(f"{', '.join(made.members)}: {made.networks} networks, {format_bytes(made.bytes)}")
    if made.no_weight:
        echo(f"not packed, because their weight in the blend is 0: {', '.join(made.no_weight)}")
    table = "" if space.competition.data.test is None else " --test test.csv"
    echo(
        f"in the notebook: python {made.folder.name}/predict.py --images DIR --sample "
        f"sample_submission.csv{table}"
    )
    echo(
        "rows with unreadable images get the class prior and are reported; --on-unreadable-test stop stops instead"
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
        images = (
            "noise images, because this machine has no test image"
            if tried.noise
            else "images of the workspace"
        )
        echo(f"tested without kit and network: {tried.rows} rows in {tried.seconds:.0f} s, {images}")
        told["tried"] = asdict(tried)
    if notebook:
        told["notebook"] = _write_notebook(space, made.folder, kaggle_user, time_limit)
    print_result(told, [made.folder], as_json)


def _write_notebook(
    space: Workspace, folder: Path, user: str | None, time_limit: str | None
) -> dict[str, Any]:
    """Writes the notebook, and prints how long it will take and how to upload it."""
    from kit.core.durations import parse_duration
    from kit.stages.bundles.notebook import write_notebook
    from kit.stages.bundles.timing import measure_prediction_time

    made = write_notebook(space, folder, user, time_limit)
    duration = measure_prediction_time(space, folder)
    echo(duration.describe(None if time_limit is None else parse_duration(time_limit)))
    if made.packages and not (folder / "wheels").is_dir():
        echo(
            f"the notebook needs packages that Kaggle may not have: {', '.join(made.packages)}; --wheels packs them"
        )
    echo(f"kaggle datasets create -p {folder} --dir-mode zip    uploads {made.dataset}")
    echo(f"kaggle kernels push -p {made.folder}    uploads {made.kernel}; submit it on its page")
    return {**asdict(made), "folder": str(made.folder), "time": asdict(duration)}
