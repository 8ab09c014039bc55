"""Sending: checks a submission of the board and uploads it to Kaggle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import read_json
from kit.errors import RunError
from kit.stages.submission.board import Board, Entry
from kit.stages.submission.kaggle_failures import no_submissions_left, not_joined
from kit.stages.submission.kaggle_site import FAILED, Allowance, KaggleSite, SiteSubmission
from kit.stages.submission.site_scores import competition_name, find_matches
from kit.stages.submission.upload import describe_entry, find_submission
from kit.stages.submission.validation import check_submission

if TYPE_CHECKING:
    import pandas as pd

LISTING_DELAYS_S = (0.0, 2.0, 4.0)  # a new submission may be listed a moment later


@dataclass(frozen=True)
class PlannedUpload:
    """A submission that passed all checks and is not sent yet."""

    entry: Entry
    file: Path
    message: str
    rows: int
    competition: str
    allowance: Allowance
    site: KaggleSite
    earlier: tuple[SiteSubmission, ...]  # on the site, of the same entry

    def describe(self) -> list[str]:
        """Returns the upload's file and competition, and the submissions left today, in lines."""
        cv = "" if self.entry.cv is None else f", cv {self.entry.metric} {self.entry.cv:.4f}"
        left = "an unknown number" if self.allowance.left is None else str(self.allowance.left)
        return [
            f"{self.entry.file}: {self.rows} rows as in the sample{cv}",
            f"{self.competition}: {self.allowance.today} sent today, {left} left",
        ]

    def question(self) -> str:
        """Returns the question to the user before the upload."""
        return f"send submission {self.entry.number} to {self.competition}?"


@dataclass(frozen=True, repr=False)
class SentSubmission(Displayed):
    """A submission that the site lists. `left` is how many more the team may send today, None if unknown."""

    entry: Entry
    competition: str
    reference: int | None
    left: int | None
    note: str = ""  # the problem, although the submission arrived

    def describe(self) -> list[str]:
        """Returns what was sent, and how to read the score."""
        number = "" if self.reference is None else f" as {self.reference}"
        left = "" if self.left is None else f", {self.left} left today"
        note = [f"{self.note}; the submission arrived all the same"] if self.note else []
        return [
            f"{self.competition} lists {self.entry.file}{number}{left}",
            *note,
            "kit board sync records its score",
        ]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: number, name, competition, the site's number and the submissions left."""
        row = {
            "number": self.entry.number,
            "name": self.entry.name,
            "competition": self.competition,
            "reference": self.reference,
            "left": self.left,
        }
        return frame([row])


def plan_upload(workspace: Workspace, number: int | str, resend: bool = False) -> PlannedUpload:
    """Checks a submission's file, the competition, the daily limit, and that it was not sent before.

    `resend` allows a submission that was sent before. Raises as `find_submission` and `check_submission`;
    ConfigError C55 without the competition's name. Raises RunError R21 to R26 for the site's answers: R22 if
    the competition is unknown or not joined, R23 if no submissions are left, R25 if the submission was sent
    before.
    """
    entry, file = find_submission(workspace, number)
    checked = check_submission(workspace, file)
    if checked.faults:
        raise checked.error()
    site = KaggleSite.open(competition_name(workspace))
    competition = site.competition()
    if not competition.has_entered:
        raise not_joined(site.name)
    if competition.is_code_competition:
        raise RunError(
            f"{site.name} is a code competition: it takes notebooks, not files",
            code="R26",
            hint=f"kit bundle submissions/{file.stem}.json --out bundle --notebook packs an offline notebook",
        )
    if competition.is_closed:
        raise RunError(f"{site.name} takes no more submissions", code="R26")
    sent = site.submissions()
    earlier = _find_earlier(workspace, entry, sent)
    if earlier and not resend:
        raise _already_sent(entry, earlier)
    allowance = site.allowance(competition, sent)
    if allowance.left == 0:
        total = "all that the competition allows in total" if allowance.is_limited_by_total else ""
        raise no_submissions_left(site.name, allowance.today, total)
    same = tuple(find_matches(entry, sent))
    return PlannedUpload(entry, file, describe_entry(entry), checked.rows, site.name, allowance, site, same)


def send_submission(plan: PlannedUpload) -> SentSubmission:
    """Uploads a planned submission, and finds it in the site's list.

    The site has answered "successfully submitted" although the limit was reached and nothing was submitted.
    Raises RunError R21 to R24 or R26; the message says whether the submission arrived.
    """
    try:
        reference, text = plan.site.upload(plan.file, plan.message)
    except RunError as error:
        if error.code != "R24":
            raise
        return _look_after(plan, error)
    listed = _find_listed(plan)
    if listed is None:
        raise RunError(
            f"Kaggle does not list submission {plan.entry.number}, although it answered {text!r}",
            code="R26",
            hint="the daily limit may be reached; kit board sync lists what has arrived",
        )
    return SentSubmission(plan.entry, plan.competition, listed.reference or reference, _count_left(plan))


def _look_after(plan: PlannedUpload, error: RunError) -> SentSubmission:
    """Returns the submission after an unusable response if the site lists it; otherwise raises an error that
    says so.
    """
    try:
        listed = _find_listed(plan)
    except RunError:
        raise error.replace(
            summary=f"{error.summary}; it is unknown whether submission {plan.entry.number} arrived",
            hint="later, kit board sync shows whether it arrived",
        ) from None
    if listed is None:
        raise error.replace(
            summary=f"{error.summary}; submission {plan.entry.number} did not arrive"
        ) from None
    return SentSubmission(plan.entry, plan.competition, listed.reference, _count_left(plan), error.summary)


def _find_listed(plan: PlannedUpload) -> SiteSubmission | None:
    """Returns the submission in the site's list, other than earlier ones."""
    known = {submission.reference for submission in plan.earlier}
    for delay in LISTING_DELAYS_S:
        time.sleep(delay)
        for submission in find_matches(plan.entry, plan.site.submissions()):
            if submission.reference not in known:
                return submission
    return None


def _count_left(plan: PlannedUpload) -> int | None:
    return None if plan.allowance.left is None else plan.allowance.left - 1


def _find_earlier(
    workspace: Workspace, entry: Entry, sent: tuple[SiteSubmission, ...]
) -> list[tuple[Entry, SiteSubmission]]:
    """Returns submissions on the site of this entry, or of an entry with the same content; failed ones do not count."""
    digest = _digest(workspace, entry)
    alike = [
        candidate
        for candidate in Board.read(workspace.submissions).entries
        if candidate.key == entry.key or (digest and _digest(workspace, candidate) == digest)
    ]
    return [
        (candidate, match)
        for candidate in alike
        for match in find_matches(candidate, sent)
        if match.status != FAILED
    ]


def _digest(workspace: Workspace, entry: Entry) -> str:
    """Returns the sha256 of a submission from its record, empty without one."""
    try:
        return str(dict(read_json((workspace.submissions / entry.file).with_suffix(".json")))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _already_sent(entry: Entry, earlier: list[tuple[Entry, SiteSubmission]]) -> RunError:
    other, sent = earlier[0]
    score = "no score yet" if sent.score is None else f"score {sent.score:g}"
    what = (
        f"submission {entry.number} was"
        if other.key == entry.key
        else (f"submission {other.number}, with the same content as {entry.number}, was")
    )
    return RunError(
        f"{what} sent on {sent.sent:%Y-%m-%d at %H:%M} UTC, {score}",
        code="R25",
        hint=f"kit board sync records the score; kit submission send {entry.number} --resend sends it again",
    )
