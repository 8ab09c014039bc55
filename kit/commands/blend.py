"""`kit blend`: members' predictions as one submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kit.commands import _console
from kit.errors import ConfigError

if TYPE_CHECKING:
    from kit.stages.blending.blend import BlendResult, Submitted


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]... [KEY=VALUE]...")
@click.option("--ensembler", help="Ensembler plugin; `kit plugins ensembler` lists them.")
@click.option("--name", help="Name of the submission. By default the ensembler and the runs.")
@click.option("--top-k", type=int, help="Labels per row, if the sample has ranked labels.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...], ensembler: str | None, name: str | None, top_k: int | None, as_json: bool
) -> None:
    """Blend the predictions of runs and write the submission. It is added to the board.

    \b
    kit blend runs/a@d4 runs/b@d4
    kit blend runs/a runs/b --ensembler geometric --name first
    kit blend runs/a runs/b ensembler=weighted ensembler.weights=[2,1]
    kit blend runs/a@d4 --top-k 5
    """
    from dataclasses import asdict

    from kit.config.workspace import Workspace
    from kit.stages.blending.blend import Submitted, blend
    from kit.stages.blending.unscored import UnscoredSubmission
    from kit.stages.submission.upload import upload_command

    runs = [text for text in members if "=" not in text]
    overrides = [text for text in members if "=" in text]
    if ensembler is not None:
        if any(text.startswith("ensembler=") for text in overrides):
            raise ConfigError("give either --ensembler or ensembler=, not both", code="C05")
        overrides = [f"ensembler={ensembler}", *overrides]
    workspace = Workspace.find(overrides=overrides)
    made = _console.show_progress(blend.with_progress(workspace, runs, name=name, top_k=top_k))
    if isinstance(made, UnscoredSubmission):
        for line in made.describe():
            _console.echo(line)
        _console.echo(f"upload: {upload_command(workspace, made.number)}")
        _console.print_result(asdict(made), [made.path], as_json)
        return
    _show(made)
    if isinstance(made, Submitted):
        _console.echo(f"upload: {upload_command(workspace, made.number)}")
    else:
        _console.echo("no file was written, because data.sample is null")
    if as_json:
        _console.print_json(_as_json(made))
    elif isinstance(made, Submitted):
        click.echo(made.path)


def _show(made: BlendResult) -> None:
    """Prints the scores and gains as two small tables, on stderr."""
    from kit.commands._scores import format_aggregators, format_recipe, gains, recommendation, scores
    from kit.stages.blending.blend import Submitted

    comparison = made.comparison
    alone = len(comparison.members) == 1 and comparison.blend.cv == comparison.mean.cv
    out = _console.console(stderr=True)
    out.print(scores(comparison, made.metric))
    if fitted := format_recipe(made.ensembler, [score.name for score in comparison.members]):
        _console.echo(fitted)
    if not alone:
        out.print(gains(comparison))
        _console.echo(recommendation(comparison))
    for line in _describe_file(made):
        _console.echo(line)
    if made.aggregators:
        _console.echo(format_aggregators(made.aggregators, [score.name for score in comparison.members]))
    what = "answers" if made.aggregators else "rows"
    scored = f"scored on {made.rows} out-of-fold {what} that all members predict"
    if not isinstance(made, Submitted):
        _console.echo(scored)
        return
    _console.echo(
        f"{scored}; submission {made.number}: {made.test_rows} rows, format {made.format}, {_rank(made)}"
    )


def _rank(made: Submitted) -> str:
    """Returns the submission's rank among those scored on the same rows, and which do not compare."""
    if made.is_apart:
        return f"not ranked on the board: {made.elsewhere} submissions were scored on other rows"
    others = f", not counting {made.elsewhere} scored on other rows" if made.elsewhere else ""
    return f"rank {made.rank} on the board{others}{'' if made.is_new else ', as before'}"


def _describe_file(made: BlendResult) -> list[str]:
    """Returns the decision rule and the score of the file's content, if rows have several labels or the two
    scores differ.
    """
    written, metric = made.written, made.metric
    score = "no score" if written.score is None else f"{metric} {written.score:.4f}"
    if written.rule and not written.in_file:
        return [f"decision: {written.rule}; used only for scores, because the file contains probabilities"]
    if written.rule:
        empty = f"{written.without_label} of {made.rows} rows have no label"
        return [f"decision: {written.rule}", f"out-of-fold score of the written decisions: {score}, {empty}"]
    if not written.in_file or written.score == made.cv:
        return []
    return [
        f"out-of-fold score of the written decisions: {score}; the table shows {metric} of the probabilities"
    ]


def _as_json(made: BlendResult) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(made), "scores": [asdict(score) for score in made.scores], "cv": made.cv}
