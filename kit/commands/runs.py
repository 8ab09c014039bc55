"""`kit runs`: lists the runs of a workspace, their progress and their provenance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kit.commands import _console
from kit.errors import ConfigError

if TYPE_CHECKING:
    from kit.runs.records import Record

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


SORT = click.option(
    "--sort",
    "key",
    default="run",
    show_default=True,
    help="Sort by a score, run, network, folds, state or started.",
)


@click.group(invoke_without_command=True)
@SORT
@JSON
@click.pass_context
def command(context: click.Context, key: str, as_json: bool) -> None:
    """List, show, compare, import and export runs.

    \b
    kit runs                             the same as kit runs ls
    kit runs --sort macro_f1
    kit runs show r
    kit runs diff r s
    kit runs import /kaggle/input/first-notebook
    kit runs import test.csv --oof oof.csv --as lightgbm
    kit runs export r@hflip --out r.zip
    kit train --name r --restart           trains r again; the old run becomes r.replaced-1
    kit train --name again --config runs/r/config.json
    """
    if context.invoked_subcommand is None:
        _list(key, as_json)


@command.command()
@SORT
@JSON
def ls(key: str, as_json: bool) -> None:
    """List runs with network, out-of-fold scores and progress.

    \b
    kit runs ls
    kit runs ls --sort log_loss
    """
    _list(key, as_json)


def _list(key: str, as_json: bool) -> None:
    from kit.config.workspace import Workspace
    from kit.runs.records import all_records, sort_records

    workspace = Workspace.find()
    records = sort_records(all_records(workspace), key, workspace.root)
    if as_json:
        _console.print_json([_values(run_record) for run_record in records])
        return
    if not records:
        _console.echo("no runs yet: kit train creates one")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    names = list(dict.fromkeys(name for run_record in records for name in run_record.scores))
    for heading in ("run", "network", "px", *names, "folds", "state", "other views"):
        table.add_column(heading, justify="right" if heading in (*names, "px") else "left")
    for run_record in records:
        scores = [f"{run_record.scores[name]:.4f}" if name in run_record.scores else "" for name in names]
        views = " ".join(name for name in run_record.views if name != "plain")
        folds = f"{len(run_record.done)}/{run_record.folds or '?'}"
        table.add_row(
            run_record.run.name,
            run_record.network,
            str(run_record.image_size or ""),
            *scores,
            folds,
            run_record.state,
            views,
        )
    _console.console().print(table, markup=False)


@command.command()
@click.argument("run")
@JSON
def show(run: str, as_json: bool) -> None:
    """Show a run's config, provenance, scores and checkpoints.

    \b
    kit runs show r
    kit runs show runs/r --json
    """
    from kit.config.workspace import Workspace
    from kit.runs.records import record, resolve_run

    run_record = record(resolve_run(Workspace.find(), run))
    manifest = run_record.run.manifest
    origin = {key: manifest.get(key) for key in ("started", "git", "asked", "provenance")}
    values = {**_values(run_record), **origin, "checkpoints": [str(path) for path in run_record.checkpoints]}
    if as_json:
        _console.print_json(values)
    else:
        _tell(values)


@command.command()
@click.argument("one")
@click.argument("other")
@JSON
def diff(one: str, other: str, as_json: bool) -> None:
    """Compare the settings and out-of-fold scores of two runs. Scores are compared on rows that both runs
    predict out of fold.

    \b
    kit runs diff r s
    kit runs diff r s --json
    """
    from dataclasses import asdict

    from kit.commands import _run_diff
    from kit.config.workspace import Workspace
    from kit.runs.diff import compare_runs
    from kit.runs.records import resolve_run

    workspace = Workspace.find()
    difference = compare_runs(workspace, resolve_run(workspace, one), resolve_run(workspace, other))
    if as_json:
        _console.print_json(asdict(difference))
    else:
        _run_diff.tell(difference)


def _values(run_record: Record) -> dict[str, Any]:
    return {
        "run": f"runs/{run_record.run.name}",
        "state": run_record.state,
        "network": run_record.network,
        "image_size": run_record.image_size,
        "epochs": run_record.epochs,
        "folds": run_record.folds,
        "done": list(run_record.done),
        "views": dict(run_record.views),
    }


def _tell(values: dict[str, Any]) -> None:
    git = values.pop("git")
    if git:
        values["git"] = git["commit"] + (" with uncommitted changes" if git["dirty"] else "")
    for name, value in values.items():
        key = "request" if name == "asked" else name  # the manifest's key
        if isinstance(value, dict):
            click.echo(key.replace("_", " "))
            for line in _lines(value, "  "):
                click.echo(line)
        elif isinstance(value, list):
            click.echo(f"{key:12} {' '.join(map(str, value))}")
        elif value is not None:
            click.echo(f"{key.replace('_', ' '):12} {value}")


def _lines(value: dict[str, Any], indent: str) -> list[str]:
    """Returns a nested object as indented lines; hashes as their first 12 digits."""
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            lines += [f"{indent}{key}", *_lines(inner, indent + "  ")]
        else:
            value_shown = inner[:12] if isinstance(inner, str) and len(inner) == 64 else inner
            lines.append(
                f"{indent}{key}  {f'{value_shown:.4g}' if isinstance(value_shown, float) else value_shown}"
            )
    return lines


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--prefix", default="", help="Put this before the names of the imported runs, such as anna-.")
@click.option("--run", "only", multiple=True, metavar="RUN", help="Import only this run. Can be repeated.")
@click.option("--as", "name", metavar="NAME", help="SOURCE is a table of predictions; import it as this run.")
@click.option(
    "--oof", type=click.Path(path_type=Path), help="With --as: the table of the out-of-fold predictions."
)
@click.option("--folds", help="With --oof: a fold file of `kit folds`, or a run with the same folds.")
@JSON
def import_(
    source: Path,
    prefix: str,
    only: tuple[str, ...],
    name: str | None,
    oof: Path | None,
    folds: str | None,
    as_json: bool,
) -> None:
    """Import runs, or predictions of another framework.

    A folder or zip is the output of an earlier session, a team mate's workspace or an export. The board is
    imported too. Hashes, ids, classes and folds are checked first. Nothing is overwritten. A run that is not
    finished continues with the command that started it.

    With --as NAME the source is a CSV or parquet table that predicts the test rows. It has an id and one column of
    probabilities per class, or the sample's own format. --oof is such a table of the training rows. Its column fold,
    or --folds, has the fold that held out each row. Without folds `kit blend` gives the member no score.

    \b
    kit runs import /kaggle/input/first-notebook
    kit runs import anna.zip --prefix anna-
    kit runs import ../first --run r
    kit runs import test.csv --oof oof.csv --as lightgbm
    kit runs import test.csv --oof oof.csv --folds folds.csv --as lightgbm
    kit runs import public_notebook.csv --as public
    """
    from dataclasses import asdict

    from kit.stages.sharing.importing import import_runs

    if name is not None:
        if prefix or only:
            raise ConfigError(
                "--prefix and --run belong to runs, and --as to a table of predictions",
                code="C05",
                hint="kit runs import test.csv --oof oof.csv --as NAME",
            )
        _import_table(source, name, oof, folds, as_json)
        return
    if oof is not None or folds is not None:
        raise ConfigError("--oof and --folds need --as", code="C05", hint="--as NAME names the run")
    result = _console.show_progress(import_runs.with_progress(".", source, prefix, only))
    if as_json:
        _console.print_json(asdict(result))
        return
    for line in result.describe():
        click.echo(line)


def _import_table(source: Path, name: str, oof: Path | None, folds: str | None, as_json: bool) -> None:
    from kit.stages.sharing.foreign import as_json as values
    from kit.stages.sharing.foreign import import_predictions

    result = _console.show_progress(import_predictions.with_progress(".", source, name, oof, folds))
    if as_json:
        _console.print_json(values(result))
        return
    for line in result.describe():
        click.echo(line)
    _console.echo(f"next: kit blend RUN {result.member}")


@command.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The zip file to write.")
@click.option("--weights", is_flag=True, help="Pack checkpoints and embeddings too.")
@JSON
def export(members: tuple[str, ...], out: Path, weights: bool, as_json: bool) -> None:
    """Pack runs into a zip for kit runs import.

    The zip has predictions, config, folds and logs. RUN@VIEWS packs these predictions and the plain ones,
    RUN packs all of them. Without --weights, a team mate can blend the run and retrain it with kit final,
    but not predict with it.

    \b
    kit runs export r@hflip --out r.zip
    kit runs export r s@d4 --out runs.zip --weights
    """
    from dataclasses import asdict

    from kit.core.files import format_bytes
    from kit.stages.sharing.exporting import export_runs

    result = _console.show_progress(export_runs.with_progress(".", members, out, weights))
    _console.echo(f"{result.files} files, {format_bytes(result.bytes)}: kit runs import {result.path.name}")
    _console.print_result(asdict(result), [result.path], as_json)
