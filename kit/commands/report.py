"""`kit report`: writes the facts of a workspace as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands._console import echo, print_json, show_progress


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN[@VIEWS]]...")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE.html",
    help="File of the page. The numbers go into the .json beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option(
    "--write-up", is_flag=True, help="Also write a summary as Markdown, into the .md beside the page."
)
@click.option("--cam", is_flag=True, help="Show Grad-CAM heat maps of the worst mistakes.")
@click.option("--no-check", is_flag=True, help="Skip the findings of kit check, which may take a minute.")
def command(
    runs: tuple[str, ...], out: Path, as_json: bool, write_up: bool, cam: bool, no_check: bool
) -> None:
    """Write an HTML report of data, runs, mistakes and blends. If a part is missing, the page shows the
    command that creates it.

    The page is one file below 5 MB without external resources. With RUNs it covers only these runs. Mistakes
    and label errors come from the first RUN with @VIEWS, otherwise from the best run. kit never overwrites
    an edited write-up.

    \b
    kit report
    kit report --no-check --out today.html
    kit report r@hflip s --cam
    kit report --write-up
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{str(out)!r} does not end in .html", param_hint="--out")
    from kit.config.workspace import Workspace
    from kit.stages.reporting.facts import as_json as values
    from kit.stages.reporting.report import write_report

    result = show_progress(
        write_report.with_progress(
            Workspace.find(), runs, out, write_up=write_up, check=not no_check, cam=cam
        )
    )
    if result.write_up is not None:
        echo(f"write-up to edit: {result.write_up}")
    echo(result.describe_size())
    if as_json:
        print_json(values(result.facts))
    else:
        click.echo(out)
