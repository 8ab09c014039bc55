"""`kit board`: lists every submission, best cross-validated score first, and the agreement of their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kit.commands import _console

if TYPE_CHECKING:
    from kit.config.workspace import Workspace
    from kit.stages.leaderboard.overview import Overview
    from kit.stages.submission.board import Board

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group(cls=_console.Group, invoke_without_command=True)
@click.option(
    "--submissions-left",
    type=click.IntRange(min=1),
    help="Recommend candidates for the N submissions left today.",
)
@JSON
@click.pass_context
def command(context: click.Context, submissions_left: int | None, as_json: bool) -> None:
    """Rank submissions by CV score, beside their leaderboard scores. Also show how well the two scores agree.

    \b
    kit board
    kit board --submissions-left 3    recommends candidates for today's last 3 submissions
    kit board score 7 0.8123          records the leaderboard score of submission 7
    kit board sync                    reads all scores from Kaggle
    kit board explain-gap             explains the gap to the leaderboard
    kit board choose-final 2          proposes two final submissions
    kit board diff 7 9                lists the rows that differ
    kit board undo                    removes the last submission
    """
    if context.invoked_subcommand is not None:
        return
    workspace, board = _read()
    if submissions_left is None and as_json:
        _show(board, as_json=True)
        return
    board_overview = _overview(workspace, board)
    if submissions_left is not None and as_json:
        _emit_sending(workspace, board_overview, submissions_left)
        return
    _show(board, as_json=False)
    _tell(workspace, board_overview, submissions_left)


def _overview(workspace: Workspace, board: Board) -> Overview:
    from kit.stages.leaderboard.overview import overview

    return overview(workspace, board)


def _tell(workspace: Workspace, board_overview: Overview, submissions_left: int | None) -> None:
    from kit.commands._leaderboard import print_overview, print_send_plan
    from kit.stages.leaderboard.advice import worth_sending
    from kit.stages.leaderboard.overview import readable_answers

    print_overview(board_overview)
    if submissions_left is not None:
        answers = readable_answers(workspace, board_overview.entries)
        print_send_plan(
            worth_sending(board_overview.entries, answers, submissions_left, board_overview.other_rows),
            submissions_left,
        )


def _emit_sending(workspace: Workspace, board_overview: Overview, submissions_left: int) -> None:
    from dataclasses import asdict

    from kit.stages.leaderboard.advice import worth_sending
    from kit.stages.leaderboard.overview import readable_answers

    sending = worth_sending(
        board_overview.entries,
        readable_answers(workspace, board_overview.entries),
        submissions_left,
        board_overview.other_rows,
    )
    _console.print_json({**asdict(board_overview), **asdict(sending)})


@command.command(context_settings={"ignore_unknown_options": True})  # a score may be negative
@click.argument("number")
@click.argument("value", type=float)
@click.option("--force", is_flag=True, help="Record the score even if the metric cannot have it.")
@JSON
def score(number: str, value: float, force: bool, as_json: bool) -> None:
    """Record the leaderboard score of a submission. Name the submission by its number or its file.

    \b
    kit board score 7 0.8123
    kit board score 0007-mean-a.csv 0.8123
    kit board score 7 81.23 --force   if the leaderboard shows percent
    """
    workspace, board = _read()
    board = board.score(number, value, force)
    _show(board, as_json)
    if not as_json:
        _tell(workspace, _overview(workspace, board), None)


@command.command()
@JSON
def sync(as_json: bool) -> None:
    """Record the public scores of all submissions on Kaggle. Match them by message, or by file name.

    \b
    pip install 'kit-competitions[kaggle]'
    kit board sync
    """
    from kit.config.workspace import Workspace
    from kit.stages.submission.site_scores import sync_scores

    workspace = Workspace.find()
    result = sync_scores(workspace)
    for line in result.describe():
        _console.echo(line)
    _show(result.board, as_json)
    if not as_json:
        _tell(workspace, _overview(workspace, result.board), None)


@command.command("choose-final")
@click.argument("count", type=click.IntRange(min=1))
@JSON
def choose_final(count: int, as_json: bool) -> None:
    """Propose final submissions. The first has the best CV score. The others score about as well and
    differ most from it.

    \b
    kit board choose-final 2
    """
    from dataclasses import asdict

    from kit.commands._leaderboard import advice
    from kit.stages.leaderboard.advice import picks
    from kit.stages.leaderboard.overview import readable_answers

    workspace, board = _read()
    board_overview = _overview(workspace, board)
    noise = None if board_overview.noise is None else board_overview.noise.of_final
    chosen = picks(
        board_overview.entries,
        readable_answers(workspace, board_overview.entries),
        count,
        noise,
        board_overview.other_rows,
    )
    if as_json:
        _console.print_json([asdict(recommendation) for recommendation in chosen])
    elif chosen:
        _console.console().print(advice(chosen), markup=False)
    else:
        _console.echo("no submission has both a CV score and a file")
    unsent = [
        str(recommendation.entry.number)
        for recommendation in chosen
        if recommendation.entry.leaderboard is None
    ]
    if unsent:
        _console.echo(
            f"perhaps not submitted yet, because no leaderboard score is recorded: {', '.join(unsent)}"
        )


@command.command("explain-gap")
@JSON
def explain_gap(as_json: bool) -> None:
    """Explain the gap between leaderboard and CV scores. It may be sampling noise, or a leak or shift that
    `kit check` has found.

    \b
    kit board explain-gap
    kit board explain-gap --json
    """
    from dataclasses import asdict

    from kit.commands._leaderboard import print_gap

    board_overview = _overview(*_read())
    if as_json:
        _console.print_json(None if board_overview.gap is None else asdict(board_overview.gap))
    elif board_overview.gap is not None:
        print_gap(board_overview.gap)
    else:
        why = board_overview.unknown or "no submission has both scores: kit board score N VALUE"
        _console.echo(f"no gap to explain: {why}")


@command.command()
@JSON
def undo(as_json: bool) -> None:
    """Remove the last submission from the board. Its files go to submissions/undone/.

    \b
    kit board undo
    """
    _, board = _read()
    entry, board = board.undo()
    _console.echo(f"{entry.file} and its record are in {board.submissions / 'undone'}")
    _show(board, as_json)


@command.command()
@click.argument("one")
@click.argument("other")
@JSON
def diff(one: str, other: str, as_json: bool) -> None:
    """Show rows with different predictions in two submissions.

    \b
    kit board diff 7 9
    kit board diff 7 9 --json         prints all ids
    """
    from dataclasses import asdict

    from kit.commands._leaderboard import MAX_LISTED_IDS, table_of_changes
    from kit.stages.leaderboard.submission_diff import changes, difference, read_answers

    workspace, board = _read()
    data, entries = workspace.competition.data, [board.entry(name) for name in (one, other)]
    read = [read_answers(workspace.submissions / entry.file, data.sep, data.encoding) for entry in entries]
    row_changes, apart = changes(read[0], read[1]), difference(read[0], read[1])
    rows = sum(len(change.ids) for change in row_changes)
    if as_json:
        _console.print_json(
            {"rows": rows, "difference": apart, "changes": [asdict(change) for change in row_changes]}
        )
        return
    if row_changes:
        _console.console().print(
            table_of_changes(row_changes, *(entry.stem for entry in entries)), markup=False
        )
    if len(row_changes) > MAX_LISTED_IDS:
        _console.echo(f"… and {len(row_changes) - MAX_LISTED_IDS} more pairs; --json lists all")
    _console.echo(
        f"{rows} of {len(read[0].ids)} rows differ, {rows / len(read[0].ids):.1%}; difference {apart:.4f}"
    )


def _read() -> tuple[Workspace, Board]:
    from kit.config.workspace import Workspace
    from kit.stages.submission.board import Board

    workspace = Workspace.find()
    return workspace, Board.read(workspace.submissions)


def _show(board: Board, as_json: bool) -> None:
    """Prints the ranking on stdout: a table for people, or JSON. Submissions scored on other rows have no rank."""
    from dataclasses import asdict

    entries = board.sort_entries()
    ranks = {entry.key: None if board.is_apart(entry) else board.rank_of(entry) for entry in entries}
    if as_json:
        _console.print_json([{**asdict(entry), "rank": ranks[entry.key]} for entry in entries])
        return
    from kit.commands._leaderboard import number, table

    ranking = table("rank", "number", "name", "metric", "cv", "rows", "leaderboard", "members", "ensembler")
    for entry in entries:
        ranking.add_row(
            str(ranks[entry.key] or ""),
            str(entry.number),
            entry.name,
            entry.metric,
            number(entry.cv),
            str(entry.rows),
            number(entry.leaderboard),
            entry.members,
            entry.ensembler,
        )
    if entries:
        _console.console().print(ranking, markup=False)
    else:
        _console.echo("no submissions yet; kit blend creates one")
    apart = [f"{entry.number} ({entry.rows} rows)" for entry in entries if board.is_apart(entry)]
    if apart:
        text = "not ranked, because they were scored on different rows"
        _console.echo(f"{text}: {', '.join(apart)}")
