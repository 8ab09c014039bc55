"""Scores: matches the submissions on the site with those of the board, and records their scores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.errors import ConfigError
from kit.stages.submission.board import Board, Entry
from kit.stages.submission.kaggle_site import COMPLETE, FAILED, PENDING, KaggleSite, SiteSubmission
from kit.stages.submission.upload import describe_entry

if TYPE_CHECKING:
    import pandas as pd

KIT_MESSAGE = re.compile(r"\d{4,} [\w.-]+: ")  # the prefix of a message by kit
MIN_CUT_MESSAGE = 100  # length of a message that the site may have truncated


@dataclass(frozen=True)
class SyncedScore:
    """A submission of the board and its state on the site."""

    entry: Entry
    status: str  # recorded, unchanged, pending, failed, refused
    score: float | None
    detail: str = ""  # of a failure; or the score that the board had before


@dataclass(frozen=True, repr=False)
class SyncResult(Displayed):
    """The board with the site's scores; `others` are submissions on the site that the board does not have."""

    board: Board
    scores: tuple[SyncedScore, ...]
    others: tuple[SiteSubmission, ...]

    def describe(self) -> list[str]:
        """Returns what changed on the board, and the submissions without a score with the reason."""
        lines = []
        for synced in self.scores:
            score_text = "" if synced.score is None else f" {synced.score:g}"
            detail = f" ({synced.detail})" if synced.detail else ""
            if synced.status != "unchanged":
                lines.append(f"submission {synced.entry.number}: {synced.status}{score_text}{detail}")
        unchanged = sum(synced.status == "unchanged" for synced in self.scores)
        if unchanged:
            lines.append(f"unchanged scores: {unchanged}")
        if self.others:
            names = ", ".join(
                dict.fromkeys(synced.file or str(synced.reference) for synced in self.others[:5])
            )
            lines.append(f"not on this board: {len(self.others)} ({names})")
        return lines or ["Kaggle lists no submissions of this team"]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per submission that is on the board and on the site: the action, the score and the reason."""
        rows = [
            {
                "number": score.entry.number,
                "name": score.entry.name,
                "status": score.status,
                "score": score.score,
                "detail": score.detail,
            }
            for score in self.scores
        ]
        return frame(rows, ("number", "name", "status", "score", "detail"))


def competition_name(workspace: Workspace) -> str:
    """Returns the competition's name on Kaggle. Raises ConfigError C55 if config.json does not have it."""
    name = workspace.competition.kaggle
    if name is None:
        raise ConfigError(
            "config.json does not name the competition on Kaggle",
            code="C55",
            hint='add "kaggle": "NAME" to config.json, where NAME is the last part of the address '
            "https://www.kaggle.com/competitions/NAME",
        )
    return name


def sync_scores(workspace: Workspace) -> SyncResult:
    """Reads all submissions of the team, and records the public scores on the board.

    Raises ConfigError C55 without the competition's name, C24 without the package, and RunError R21, R22, R24
    or R26 for the site's answers.
    """
    board = Board.read(workspace.submissions)
    submissions = KaggleSite.open(competition_name(workspace)).submissions()
    scores = []
    for entry in board.entries:
        matches = find_matches(entry, submissions)
        if matches:
            board, score = _record(board, entry, matches)
            scores.append(score)
    known = {submission for entry in board.entries for submission in find_matches(entry, submissions)}
    return SyncResult(
        board, tuple(scores), tuple(submission for submission in submissions if submission not in known)
    )


def find_matches(entry: Entry, sent: Iterable[SiteSubmission]) -> list[SiteSubmission]:
    """Returns the submissions on the site that are an entry of the board, in the given order.

    The message by kit decides. A message of another form, which a person typed, counts if the file has the
    entry's name and was sent after the entry was made.
    """
    message = describe_entry(entry)
    return [submission for submission in sent if _is_match(entry, message, submission)]


def _is_match(entry: Entry, message: str, submission: SiteSubmission) -> bool:
    if KIT_MESSAGE.match(submission.message):
        is_cut = len(submission.message) >= MIN_CUT_MESSAGE and message.startswith(submission.message)
        return submission.message == message or is_cut
    return submission.file == entry.file and submission.sent >= _created(entry)


def _created(entry: Entry) -> datetime:
    """Returns when an entry was made, to the second. An edited board may lack a valid time."""
    try:
        created = datetime.fromisoformat(entry.created)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _record(board: Board, entry: Entry, matches: Sequence[SiteSubmission]) -> tuple[Board, SyncedScore]:
    """Returns the board with the score of the newest submission that has one."""
    scored = next((match for match in matches if match.status == COMPLETE and match.score is not None), None)
    if scored is None or scored.score is None:
        newest = matches[0]
        status = FAILED if newest.status == FAILED else PENDING
        return board, SyncedScore(entry, status, None, newest.error)
    if entry.leaderboard == scored.score:
        return board, SyncedScore(entry, "unchanged", scored.score)
    try:
        board = board.score(entry.stem, scored.score)
    except ConfigError as error:  # another metric than the site's
        return board, SyncedScore(entry, "refused", scored.score, error.summary)
    before = "" if entry.leaderboard is None else f"before: {entry.leaderboard:g}"
    return board, SyncedScore(entry, "recorded", scored.score, before)
