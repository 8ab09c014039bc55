"""`kit submission`: checks a file before it is sent, and uploads it to Kaggle."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands import _console


@click.group(cls=_console.Group)
def command() -> None:
    """Check a submission, or upload it to Kaggle.

    \b
    kit submission check mine.csv          lists the lines and ids that do not match the sample
    kit submission send 3                  checks submission 3, asks, and uploads it
    kit submission upload-command 3        prints the upload command; kit never runs it
    """


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(file: Path, as_json: bool) -> None:
    """Check the columns, ids and cells of any submission. The exit status is 4 if it does not match the
    sample.

    The file is read as UTF-8, otherwise in the encoding of the tables. The rows may have any order.

    \b
    kit submission check mine.csv
    kit submission check mine.csv --json
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
        click.echo(f"{file} matches {sample}: {checked.rows} rows, format {checked.format}")


@command.command("upload-command")
@click.argument("number")
def upload(number: str) -> None:
    """Print the Kaggle upload command of a submission. The command is not run.

    \b
    kit submission upload-command 3
    """
    from kit.config.workspace import Workspace
    from kit.stages.submission.upload import PLACEHOLDER, upload_command

    text = upload_command(Workspace.find(), number)
    click.echo(text)
    if PLACEHOLDER in text:
        _console.echo('set "kaggle" in config.json to fill in the competition')


@command.command()
@click.argument("number")
@click.option("--yes", is_flag=True, help="Upload without asking.")
@click.option("--resend", is_flag=True, help="Upload even if this submission was sent before.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def send(number: str, yes: bool, resend: bool, as_json: bool) -> None:
    """Upload a submission to Kaggle. Before that, check the file, the daily limit and whether it was sent before.

    The package kaggle uploads it and finds your credentials; `kit board sync` reads the score afterwards.

    \b
    pip install 'kit-competitions[kaggle]'
    kit submission send 3
    kit submission send 3 --yes
    """
    from dataclasses import asdict

    from kit.config.workspace import Workspace
    from kit.stages.submission.sending import plan_upload, send_submission

    plan = plan_upload(Workspace.find(), number, resend)
    for line in plan.describe():
        _console.echo(line)
    if not yes:
        _confirm(plan.question(), number)
    sent = send_submission(plan)
    if as_json:
        _console.print_json(asdict(sent))
    else:
        for line in sent.describe():
            click.echo(line)


def _confirm(question: str, number: str) -> None:
    """Asks on the terminal. Raises ConfigError C05 without one; a refusal ends the command with status 1."""
    import sys

    from kit.errors import ConfigError, RunError

    if not sys.stdin.isatty():
        raise ConfigError(
            "kit asks before it uploads a submission, and no terminal or notebook takes the answer",
            code="C05",
            hint=f"kit submission send {number} --yes",
        )
    if not click.confirm(question, err=True):
        raise RunError("nothing was sent")
