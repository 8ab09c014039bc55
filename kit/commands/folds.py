"""`kit folds`: shows which fold holds out which row, as counts or as a file."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands import _console

MAX_CLASS_COLUMNS = 6  # of the table in the terminal; --json has all


@click.command()
@click.argument("run", required=False, metavar="[RUN]")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path), help="Write the folds to this CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str | None, overrides: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Show the folds that the config makes, or a run's, and write them for others.

    A notebook or a team mate that trains on the file's folds gets members that `kit runs import` can check and `kit
    blend` can score. The columns are id and fold. A row with fold -1 is never held out.

    \b
    kit folds
    kit folds --out folds.csv
    kit folds runs/r --out folds.csv
    kit folds splitter.folds=10
    """
    from dataclasses import asdict

    from kit.config.workspace import Workspace
    from kit.stages.sharing.fold_file import show_folds

    if run is not None and "=" in run:
        overrides, run = (run, *overrides), None
    workspace = Workspace.find(".", overrides)
    result = _console.show_progress(show_folds.with_progress(workspace, run, out))
    if as_json:
        _console.print_json(asdict(result))
        return
    from rich.table import Table

    names = list(result.by_class) if len(result.by_class) <= MAX_CLASS_COLUMNS else []
    folds_table = Table(box=None, pad_edge=False)
    for heading in ("fold", "rows", *names):
        folds_table.add_column(heading, justify="right")
    for fold, rows in enumerate(result.held_out):
        folds_table.add_row(str(fold), str(rows), *(str(result.by_class[name][fold]) for name in names))
    _console.console(stderr=True).print(folds_table, markup=False)
    for line in result.describe():
        _console.echo(line)
    if result.path is not None:
        click.echo(result.path)
