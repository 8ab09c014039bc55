"""Board: the methods of `comp.board`, one per subcommand of `kit board`, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.session.calls import begin_call
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    import pandas as pd

    from kit.stages.leaderboard.advice import Recommendation, SendPlan
    from kit.stages.leaderboard.gap import Gap
    from kit.stages.leaderboard.overview import Overview
    from kit.stages.leaderboard.submission_diff import Change
    from kit.stages.submission.board import Board
    from kit.stages.submission.site_scores import SyncResult


@dataclass(frozen=True, repr=False)
class BoardResult(Displayed):
    """The submissions, best CV score first, the agreement of their two scores, and what to send today if it
    was requested.
    """

    board: Board
    overview: Overview
    plan: SendPlan | None = None

    def _lines(self) -> list[str]:
        entries = self.board.sort_entries()
        if not entries:
            return ["no submissions yet; blend creates one"]
        best = entries[0]
        score = "no score" if best.cv is None else f"{best.metric} {best.cv:.4f}"
        lines = [
            f"{len(entries)} submission{'s' * (len(entries) > 1)}, best: {best.number} {best.name}, {score}"
        ]
        if self.plan is not None:
            numbers = (
                ", ".join(str(recommendation.entry.number) for recommendation in self.plan.worth) or "none"
            )
            lines.append(f"recommended for today: {numbers}")
        if self.overview.agreement.scored:
            lines.append(self.overview.agreement.describe())
        if self.overview.noise is not None:
            lines.append(self.overview.noise.describe())
        return lines

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per submission: its rank, scores, members and ensembler; `why` is the advice, if it
        was requested.
        """
        plan = self.plan
        advised = () if plan is None else (*plan.worth, *plan.others)
        why = {recommendation.entry.key: recommendation.why for recommendation in advised}
        worth = () if plan is None else [recommendation.entry.key for recommendation in plan.worth]
        rows = [
            {
                "rank": None if self.board.is_apart(entry) else self.board.rank_of(entry),
                "number": entry.number,
                "name": entry.name,
                "metric": entry.metric,
                "cv": entry.cv,
                "rows": entry.rows,
                "leaderboard": entry.leaderboard,
                "members": entry.members,
                "ensembler": entry.ensembler,
                **({} if plan is None else {"send": entry.key in worth, "why": why.get(entry.key, "")}),
            }
            for entry in self.board.sort_entries()
        ]
        names = ("rank", "number", "name", "metric", "cv", "rows", "leaderboard", "members", "ensembler")
        return frame(rows, None if rows else names)


@dataclass(frozen=True, repr=False)
class FinalChoiceResult(Displayed):
    """Proposed final submissions, the best CV score first."""

    picks: tuple[Recommendation, ...]

    def _lines(self) -> list[str]:
        picks = [f"{pick.entry.number} {pick.entry.name}: {pick.why}" for pick in self.picks]
        return picks or ["no submission has both a CV score and a file"]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per submission: number, name, scores and reason."""
        rows = [
            {
                "number": pick.entry.number,
                "name": pick.entry.name,
                "cv": pick.entry.cv,
                "leaderboard": pick.entry.leaderboard,
                "why": pick.why,
            }
            for pick in self.picks
        ]
        return frame(rows, ("number", "name", "cv", "leaderboard", "why"))


@dataclass(frozen=True, repr=False)
class GapResult(Displayed):
    """The gap between leaderboard and CV scores; `gap` is None if it is unknown, for the reason `why`."""

    gap: Gap | None
    why: str = ""

    def _lines(self) -> list[str]:
        if self.gap is None:
            return [f"no gap to explain: {self.why}"]
        evidence = [f"{cause.kind}: {cause.code} {cause.what}" for cause in self.gap.evidence]
        return [
            self.gap.describe(),
            *evidence,
            *filter(None, [self.gap.unknown]),
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per finding of check that can cause the gap."""
        rows = [] if self.gap is None else self.gap.evidence
        names = ("kind", "code", "what", "effect", "fix")
        return frame([{name: getattr(row, name) for name in names} for row in rows], names)


@dataclass(frozen=True, repr=False)
class DiffResult(Displayed):
    """The rows with different predictions in two submissions."""

    names: tuple[str, str]
    changes: tuple[Change, ...]
    rows: int  # of each submission
    difference: float

    def _lines(self) -> list[str]:
        count = sum(len(change.ids) for change in self.changes)
        share = count / self.rows if self.rows else 0.0
        return [f"{count} of {self.rows} rows differ, {share:.1%}; difference {self.difference:.4f}"]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per pair of predictions: how many rows change, from what, to what, and their ids."""
        one, other = self.names
        rows = [
            {"rows": len(change.ids), one: change.before, other: change.after, "ids": " ".join(change.ids)}
            for change in self.changes
        ]
        return frame(rows, ("rows", one, other, "ids"))


class BoardCommands(OpenedFolder):
    """`comp.board()` is the ranking; the methods record scores, choose submissions and compare them."""

    def __repr__(self) -> str:
        return "board() ranks the submissions; board.score(7, 0.8123) records a leaderboard score, board.sync() all"

    def __call__(self, *, submissions_left: int | None = None) -> BoardResult:
        """Ranks submissions by CV score; `submissions_left` recommends candidates for the submissions left today."""
        from kit.stages.leaderboard.advice import worth_sending
        from kit.stages.leaderboard.overview import overview, readable_answers

        with begin_call(progress=True):
            workspace, board = self._read()
            board_overview = overview(workspace, board)
            if submissions_left is None:
                return BoardResult(board, board_overview)
            answers = readable_answers(workspace, board_overview.entries)
            return BoardResult(
                board,
                board_overview,
                worth_sending(board_overview.entries, answers, submissions_left, board_overview.other_rows),
            )

    def score(self, number: int | str, value: float, *, force: bool = False) -> BoardResult:
        """Records the leaderboard score of a submission; `force` records a score that the metric cannot have."""
        from kit.stages.leaderboard.overview import overview

        with begin_call(progress=True):
            workspace, board = self._read()
            board = board.score(number, float(value), force)
            return BoardResult(board, overview(workspace, board))

    def sync(self) -> SyncResult:
        """Records the public scores of all submissions on Kaggle."""
        from kit.stages.submission.site_scores import sync_scores

        with begin_call(progress=True):
            return sync_scores(self._read()[0])

    def choose_final(self, count: int) -> FinalChoiceResult:
        """Proposes final submissions. The first has the best CV score, the others are close and differ most from it."""
        from kit.stages.leaderboard.advice import picks
        from kit.stages.leaderboard.overview import overview, readable_answers

        with begin_call(progress=True):
            workspace, board = self._read()
            board_overview = overview(workspace, board)
            noise = None if board_overview.noise is None else board_overview.noise.of_final
            answers = readable_answers(workspace, board_overview.entries)
            return FinalChoiceResult(
                tuple(picks(board_overview.entries, answers, count, noise, board_overview.other_rows))
            )

    def explain_gap(self) -> GapResult:
        """Explains the gap between leaderboard and CV scores."""
        from kit.stages.leaderboard.overview import overview

        with begin_call(progress=True):
            board_overview = overview(*self._read())
            return GapResult(
                board_overview.gap,
                board_overview.unknown or "no submission has both scores; board.score records one",
            )

    def undo(self) -> BoardResult:
        """Removes the last submission from the board. Its files go to submissions/undone/."""
        from kit.stages.leaderboard.overview import overview

        with begin_call(progress=True):
            workspace, board = self._read()
            _, board = board.undo()
            return BoardResult(board, overview(workspace, board))

    def diff(self, one: int | str, other: int | str) -> DiffResult:
        """Compares two submissions row by row."""
        from kit.stages.leaderboard.submission_diff import changes, difference, read_answers

        with begin_call(progress=True):
            workspace, board = self._read()
            data, entries = workspace.competition.data, [board.entry(name) for name in (one, other)]
            first, second = (
                read_answers(workspace.submissions / entry.file, data.sep, data.encoding) for entry in entries
            )
            row_changes: Sequence[Change] = changes(first, second)
            names = (entries[0].stem, entries[1].stem)
            return DiffResult(names, tuple(row_changes), len(first.ids), difference(first, second))

    def _read(self) -> tuple[Workspace, Board]:
        from kit.stages.submission.board import Board

        workspace = self.workspace
        return workspace, Board.read(workspace.submissions)
