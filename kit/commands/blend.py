"""`kit blend`: members' predictions as one submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kit.commands import _console
from kit.errors import ConfigError

if TYPE_CHECKING:
    from kit.blend import Submitted


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]... [KEY=VALUE]...")
@click.option("--ensembler", help="How members are blended: a name of `kit plugins ensembler`.")
@click.option("--name", help="The submission's name; by default made from the ensembler and the runs.")
@click.option("--top-k", type=int, help="Labels a row, where the sample shows ranked labels.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...], ensembler: str | None, name: str | None, top_k: int | None, as_json: bool
) -> None:
    """Blend runs' predictions, write the submission, and enter it into the board.

    \b
    kit blend runs/a@d4 runs/b@d4
    kit blend runs/a runs/b --ensembler geometric --name first
    kit blend runs/a runs/b ensembler=weighted ensembler.weights=[2,1]
    kit blend runs/a@d4 --top-k 5
    """
    from kit.blend import blend
    from kit.upload import upload_command
    from kit.workspace import Workspace

    runs = [text for text in members if "=" not in text]
    overrides = [text for text in members if "=" in text]
    if ensembler is not None:
        if any(text.startswith("ensembler=") for text in overrides):
            raise ConfigError("--ensembler and ensembler= are both given", code="C05")
        overrides = [f"ensembler={ensembler}", *overrides]
    workspace = Workspace.find(overrides=overrides)
    submitted = blend(workspace, runs, name=name, top_k=top_k)
    _show(submitted)
    _console.say(f"upload: {upload_command(workspace, submitted.number)}")
    if as_json:
        _console.emit(_as_json(submitted))
    else:
        click.echo(submitted.path)


def _show(submitted: Submitted) -> None:
    """The scores and what they show as two small tables, on stderr."""
    from kit.commands._scores import gains, recipe, scores, verdict

    comparison = submitted.comparison
    alone = len(comparison.members) == 1 and comparison.blend.cv == comparison.mean.cv
    out = _console.console(stderr=True)
    out.print(scores(comparison, submitted.metric))
    if fitted := recipe(submitted.ensembler, [score.name for score in comparison.members]):
        _console.say(fitted)
    if not alone:
        out.print(gains(comparison))
        _console.say(verdict(comparison))
    _console.say(
        f"scored on {submitted.rows} out-of-fold rows that all members cover; "
        f"submission {submitted.number}: {submitted.test_rows} rows, format {submitted.format}, "
        f"rank {submitted.rank} on the board{'' if submitted.is_new else ', where it was before'}"
    )


def _as_json(submitted: Submitted) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(submitted), "scores": [asdict(one) for one in submitted.scores], "cv": submitted.cv}
