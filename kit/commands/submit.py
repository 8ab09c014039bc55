"""`kit submit`: a file checked before it is sent, and the command that sends it."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands import _console


@click.group()
def command() -> None:
    """Check any submission against the sample, or print the command that uploads one.

    \b
    kit submit check mine.csv         which line and id does not fit, and why
    kit submit command 3              what uploads submission 3; kit never runs it
    """


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check(file: Path, as_json: bool) -> None:
    """Check columns, ids and cells of any submission; exit status 4 if it does not fit the sample.

    UTF-8 is read, or else the encoding of the tables. Rows may be in any order.

    \b
    kit submit check mine.csv
    kit submit check mine.csv --json
    """
    from dataclasses import asdict

    from kit.config.workspace import Workspace
    from kit.stages.submission.validation import check_submission

    workspace = Workspace.find()
    checked = check_submission(workspace, file)
    if as_json:
        _console.print_json({"valid": not checked.faults, **asdict(checked)})
    if checked.faults:
        raise checked.error()
    for note in checked.notes:
        _console.echo(f"note: {note}")
    if not as_json:
        sample = workspace.competition.data.sample
        click.echo(f"{file} fits {sample}: {checked.rows} rows, format {checked.format}")


@command.command("command")
@click.argument("number")
def upload(number: str) -> None:
    """Print the command that uploads a submission of the board to Kaggle; it is not run.

    \b
    kit submit command 3
    """
    from kit.config.workspace import Workspace
    from kit.stages.submission.upload import PLACEHOLDER, upload_command

    text = upload_command(Workspace.find(), number)
    click.echo(text)
    if PLACEHOLDER in text:
        _console.echo('"kaggle" in config.json fills in the competition')
