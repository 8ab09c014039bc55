"""`kit blend`: members' predictions as one submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kit.commands import _console
from kit.commands._member_arguments import split_members
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

    runs, overrides = split_members(members)
    if ensembler is not None:
        if any(text.startswith("ensembler=") for text in overrides):
            raise ConfigError("give either --ensembler or ensembler=, not both", code="C05")
        overrides = [f"ensembler={ensembler}", *overrides]
    workspace = Workspace.find(overrides=overrides)
    result = _console.show_progress(blend.with_progress(workspace, runs, name=name, top_k=top_k))
    if isinstance(result, UnscoredSubmission):
        for line in result.describe():
            _console.echo(line)
        _console.echo(f"upload: {upload_command(workspace, result.number)}")
        _console.print_result(asdict(result), [result.path], as_json)
        return
    _show(result)
    if isinstance(result, Submitted):
        _console.echo(f"upload: {upload_command(workspace, result.number)}")
    else:
        _console.echo("no file was written, because data.sample is null")
    if as_json:
        _console.print_json(_as_json(result))
    elif isinstance(result, Submitted):
        click.echo(result.path)


def _show(result: BlendResult) -> None:
    """Prints the scores and gains as two small tables, on stderr."""
    from kit.commands._scores import format_aggregators, format_recipe, gains, recommendation, scores
    from kit.stages.blending.blend import Submitted

    comparison = result.comparison
    alone = len(comparison.members) == 1 and comparison.blend.cv == comparison.mean.cv
    out = _console.console(stderr=True)
    out.print(scores(comparison, result.metric))
    if fitted := format_recipe(result.ensembler, [score.name for score in comparison.members]):
        _console.echo(fitted)
    if not alone:
        out.print(gains(comparison))
        _console.echo(recommendation(comparison))
    for line in _describe_file(result):
        _console.echo(line)
    if result.aggregators:
        _console.echo(format_aggregators(result.aggregators, [score.name for score in comparison.members]))
    what = "answers" if result.aggregators else "rows"
    scored = f"scored on {result.rows} out-of-fold {what} that all members predict"
    if not isinstance(result, Submitted):
        _console.echo(scored)
        return
    _console.echo(
        f"{scored}; submission {result.number}: {result.test_rows} rows, format {result.format}, {_rank(result)}"
    )


def _rank(submitted: Submitted) -> str:
    """Returns the submission's rank among those scored on the same rows, and which do not compare."""
    if submitted.is_apart:
        return f"not ranked on the board: {submitted.elsewhere} submissions were scored on other rows"
    others = f", not counting {submitted.elsewhere} scored on other rows" if submitted.elsewhere else ""
    return f"rank {submitted.rank} on the board{others}{'' if submitted.is_new else ', as before'}"


def _describe_file(result: BlendResult) -> list[str]:
    """Returns the decision rule and the score of the file's content, if rows have several labels or the two
    scores differ.
    """
    written, metric = result.written, result.metric
    score = "no score" if written.score is None else f"{metric} {written.score:.4f}"
    if written.rule and not written.in_file:
        return [f"decision: {written.rule}; used only for scores, because the file contains probabilities"]
    if written.rule:
        empty = f"{written.without_label} of {result.rows} rows have no label"
        return [f"decision: {written.rule}", f"out-of-fold score of the written decisions: {score}, {empty}"]
    if not written.in_file or written.score == result.cv:
        return []
    return [
        f"out-of-fold score of the written decisions: {score}; the table shows {metric} of the probabilities"
    ]


def _as_json(result: BlendResult) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(result), "scores": [asdict(score) for score in result.scores], "cv": result.cv}
