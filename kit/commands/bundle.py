"""kit bundle."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands._console import echo, print_result, show_progress


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RECORD.json | RUN[@VIEWS]...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to create.")
@click.option("--ensembler", help="Ensembler of runs. A submission's record already names one.")
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
    from kit.errors import ConfigError
    from kit.stages.bundles.bundling import NotebookRequest, make_bundle

    if time_limit is not None and not notebook:
        raise ConfigError("--time is the time limit of a notebook", code="C05", hint="add --notebook")
    notebook_request = NotebookRequest(user=kaggle_user, time_limit=time_limit) if notebook else None
    result = show_progress(
        make_bundle.with_progress(
            Workspace.find("."), members, out, ensembler, wheels, tries, notebook_request
        )
    )
    for line in result.describe():
        echo(line)
    print_result(result.as_json(), [result.folder], as_json)
