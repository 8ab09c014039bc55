"""Kaggle: one competition on the site, through the package `kaggle`, with every failure as an error of kit.

The package finds the credentials itself; kit neither stores nor prints them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.core.installed import require_package
from kit.errors import ConfigError, KitError, RunError, did_you_mean
from kit.stages.submission.kaggle_failures import (
    Refusal,
    clean,
    no_answer,
    no_submissions_left,
    not_joined,
    talk_to_site,
)

PAGE_SIZE = 100  # submissions per request
MAX_PAGES = 50
PENDING, COMPLETE, FAILED = "pending", "complete", "failed"
UPLOAD_FAILED = "Could not submit to competition"  # the package's message for a file that did not arrive


@dataclass(frozen=True)
class SiteCompetition:
    """A competition as one user sees it; `daily_limit` is None if the site does not report it."""

    name: str
    has_entered: bool
    daily_limit: int | None
    is_code_competition: bool
    is_closed: bool


@dataclass(frozen=True)
class SiteSubmission:
    """One submission of the team on the site; `score` is that of the public leaderboard."""

    reference: int
    file: str
    message: str
    sent: datetime  # UTC
    status: str  # pending, complete or failed
    score: float | None
    error: str = ""


@dataclass(frozen=True)
class Allowance:
    """The team's submissions of today, UTC, and how many it may still send; None if the site does not report it."""

    today: int
    left: int | None
    is_limited_by_total: bool = False


class KaggleSite:
    """A competition on Kaggle, for the user whose credentials the package `kaggle` finds."""

    def __init__(self, name: str, api: Any) -> None:
        self.name = name
        self._api = api

    @classmethod
    def open(cls, name: str) -> KaggleSite:
        """Logs in.

        Raises ConfigError C24 without the package, RunError R21 without valid credentials, R24 without an answer.
        """
        require_package(
            "kaggle", "the Kaggle site", "kit submission upload-command 7 prints an upload command"
        )
        with talk_to_site(dict):
            try:
                from kaggle.api.kaggle_api_extended import KaggleApi
            except ImportError as error:
                raise ConfigError(
                    f"the package kaggle cannot be imported: {error}",
                    code="C24",
                    hint="pip install 'kit-competitions[kaggle]'",
                ) from None
            api = KaggleApi()
            api.args = [
                argument for argument in api.args if "verbose" not in argument
            ]  # it prints credentials
            api.authenticate()
        return cls(name, api)

    def competition(self) -> SiteCompetition:
        """Returns the competition. Raises RunError R22 if this user cannot see it."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest

        request = ApiGetCompetitionRequest()
        request.competition_name = self.name
        try:
            with self._client() as client:
                competition = client.get_competition(request)
        except Refusal as refusal:
            raise self._unknown(refusal) from None
        return SiteCompetition(
            self.name,
            bool(competition.user_has_entered),
            competition.max_daily_submissions or None,
            bool(competition.is_kernels_submissions_only),
            bool(competition.submissions_disabled),
        )

    def submissions(self) -> tuple[SiteSubmission, ...]:
        """Returns all submissions of the team, newest first."""
        with self._diagnose():
            return self._list()

    def _list(self) -> tuple[SiteSubmission, ...]:
        from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

        submissions: list[SiteSubmission] = []
        request = ApiListSubmissionsRequest()
        request.competition_name = self.name
        request.page_size = PAGE_SIZE
        with self._client() as client:
            for _ in range(MAX_PAGES):
                answer = client.list_submissions(request)
                submissions += [
                    self._submission(submission)
                    for submission in answer.submissions or ()
                    if submission is not None
                ]
                if not answer.next_page_token:
                    break
                request.page_token = answer.next_page_token
        return tuple(sorted(submissions, key=lambda submission: submission.sent, reverse=True))

    def allowance(self, competition: SiteCompetition, sent: tuple[SiteSubmission, ...]) -> Allowance:
        """Returns how many submissions the team may still send today: from the site, or counted if the site
        does not report it.
        """
        with suppress(LookupError):
            return self._ask_allowance()
        today = datetime.now(UTC).date()
        count = sum(submission.sent.date() == today and submission.status != FAILED for submission in sent)
        limit = competition.daily_limit
        return Allowance(count, None if limit is None else max(0, limit - count))

    def upload(self, file: Path, message: str) -> tuple[int | None, str]:
        """Sends a file. Returns the site's number of the submission, if it gives one, and its message.

        Raises RunError R22, R23 or R26 for a refusal. After R24 it is unknown whether the submission arrived.
        """
        with self._diagnose(), talk_to_site(self._secrets):
            answer = self._api.competition_submit(str(file), message, self.name, quiet=True)
        text = clean(str(answer.message), self._secrets())
        if text.startswith(UPLOAD_FAILED):
            raise no_answer(f"the upload of {file.name} failed")
        return getattr(answer, "ref", 0) or None, text

    def _secrets(self) -> dict[str, Any]:
        return dict(self._api.config_values or {})

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with talk_to_site(self._secrets), self._api.build_kaggle_client() as client:
            yield client.competitions.competition_api_client

    @contextmanager
    def _diagnose(self) -> Iterator[None]:
        """Opens a block whose refusals get their reason: the site gives 400 and 403 for several, so kit makes
        more requests.
        """
        try:
            yield
        except Refusal as refusal:
            raise self._reason(refusal) from None

    def _reason(self, refusal: Refusal) -> RunError:
        if re.search(r"\brules\b", refusal.text, re.IGNORECASE):
            return not_joined(self.name, refusal.summary)
        try:
            competition = self.competition()
            if not competition.has_entered:
                return not_joined(self.name, refusal.summary)
            if competition.is_closed:
                return RunError(f"{self.name} takes no more submissions", code="R26", cases=[refusal.summary])
            allowance = self.allowance(competition, self._list())
        except RunError as error:
            return error if error.code == "R22" else refusal
        if allowance.left == 0:
            return no_submissions_left(self.name, allowance.today, refusal.summary)
        return refusal

    def _ask_allowance(self) -> Allowance:
        """Returns the site's allowance. Raises LookupError if the package or the site does not support the request."""
        from kagglesdk.competitions.types import competition_api_service as types

        if not hasattr(types, "ApiGetSubmissionLimitsRequest"):
            raise LookupError("kagglesdk of before 0.1.35")
        request = types.ApiGetSubmissionLimitsRequest()
        request.competition_name = self.name
        try:
            with self._client() as client:
                limits = client.get_submission_limits(request)
        except Refusal as refusal:
            raise LookupError(refusal.summary) from None
        return Allowance(limits.num_today, limits.num_allowed_now, bool(limits.limited_by_total))

    def _unknown(self, refusal: Refusal) -> RunError:
        """Returns R22 for a name that the site does not show, with the nearest of the competitions that the
        user has joined.
        """
        entered_names: list[str] = []
        with suppress(KitError), talk_to_site(self._secrets):
            entered = self._api.competitions_list(group="entered")
            entered_names = [
                str(competition.ref or competition.url).rstrip("/").rpartition("/")[2]
                for competition in entered.competitions
            ]
        return RunError(
            f"Kaggle shows this user no competition {self.name!r}{did_you_mean(self.name, entered_names)}",
            code="R22",
            cases=[refusal.summary],
            hint='correct "kaggle" in config.json, which is the last part of the address '
            "https://www.kaggle.com/competitions/NAME; if the name is right, accept the rules there",
        )

    def _submission(self, submission: Any) -> SiteSubmission:
        sent = (
            submission.date
            if submission.date is None or submission.date.tzinfo
            else submission.date.replace(tzinfo=UTC)
        )
        status = {"COMPLETE": COMPLETE, "ERROR": FAILED}.get(submission.status.name, PENDING)
        return SiteSubmission(
            int(submission.ref),
            submission.file_name or "",
            submission.description or "",
            sent or datetime.fromtimestamp(0, UTC),
            status,
            float(submission.public_score) if status == COMPLETE and submission.public_score else None,
            clean(submission.error_description or "", self._secrets()),
        )
