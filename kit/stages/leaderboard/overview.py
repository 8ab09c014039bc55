"""Overview: the statistics of the competition's metric on the board, and the submissions' answers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from kit.config.workspace import Workspace
from kit.errors import DataError, KitError, KitWarning
from kit.stages.leaderboard.agreement import Agreement, agreement
from kit.stages.leaderboard.gap import Gap, explain_gap
from kit.stages.leaderboard.noise import Noise, noise
from kit.stages.leaderboard.submission_diff import SubmittedAnswers, read_answers
from kit.stages.submission.board import Board, Entry, Key
from kit.stages.submission.submission import is_changed


@dataclass(frozen=True)
class Overview:
    """The competition's submissions, how their scores agree, and the noise, or why it is unknown."""

    entries: tuple[Entry, ...]  # ranked
    agreement: Agreement
    noise: Noise | None
    unknown: str = ""
    gap: Gap | None = None  # explained, if submissions have both scores
    other_rows: tuple[Key, ...] = ()  # entries whose score is on other rows than those that are compared


def overview(workspace: Workspace, board: Board) -> Overview:
    """Compares the submissions of the competition's metric, and warns (W18) if CV and leaderboard disagree."""
    name = workspace.competition.metric["name"]
    entries = tuple(entry for entry in board.sort_entries() if entry.metric == name)
    score_noise, unknown = _noise(workspace, entries)
    alike = _of_the_same_rows(board, entries)
    gap = explain_gap(workspace, alike, score_noise)
    apart = tuple(entry.key for entry in entries if board.is_apart(entry))
    board_overview = Overview(entries, agreement(alike, score_noise), score_noise, unknown, gap, apart)
    for doubt in board_overview.agreement.doubts:
        text = f"W18 cross-validation and leaderboard disagree: {doubt.what}"
        warnings.warn(KitWarning(text), stacklevel=2)
    return board_overview


def _of_the_same_rows(board: Board, entries: Sequence[Entry]) -> list[Entry]:
    """Returns the entries of the rows of which most have a leaderboard score; else of those that scores are
    compared on.
    """
    scored = [
        board.row_sets[entry.key]
        for entry in entries
        if entry.cv is not None and entry.leaderboard is not None
    ]
    if not scored:
        return [entry for entry in entries if not board.is_apart(entry)]
    most = max(scored, key=lambda rows: (scored.count(rows), -scored.index(rows)))
    return [entry for entry in entries if board.row_sets[entry.key] in ("", most)]


def _noise(workspace: Workspace, entries: Sequence[Entry]) -> tuple[Noise | None, str]:
    """Returns the noise by the best submission whose predictions exist, or else why there is none."""
    unknown = ""
    for entry in entries:
        try:
            with warnings.catch_warnings():  # warnings about the tables were given when they were trained on
                warnings.simplefilter("ignore", KitWarning)
                return noise(workspace, entry), ""
        except KitError as error:
            unknown = unknown or f"{error.code} {error.summary}".strip()
    return None, unknown


def readable_answers(workspace: Workspace, entries: Sequence[Entry]) -> dict[Key, SubmittedAnswers]:
    """Returns the answers of the submissions whose files exist, are readable, and are as kit wrote them (else W57)."""
    data, answers = workspace.competition.data, {}
    for entry in entries:
        file = workspace.submissions / entry.file
        if is_changed(file):
            text = (
                f"W57 {file} was changed on disk and is ignored; kit submission upload-command {entry.number} "
                "explains how to restore it"
            )
            warnings.warn(KitWarning(text), stacklevel=2)
            continue
        try:
            answers[entry.key] = read_answers(file, data.sep, data.encoding)
        except DataError:
            continue
    return answers
