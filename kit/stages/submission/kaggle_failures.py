"""Failures of the Kaggle site: time limits for the package `kaggle`, and its exceptions as errors of kit."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from kit.errors import RunError

WAIT_S = 60.0  # seconds for the site's next byte; the package itself would wait without limit
MAX_UPLOAD_RETRIES = 2  # the package's own 10 take minutes
MAX_MESSAGE = 300  # maximum characters of the site's message in an error
TOKEN_PAGE = "https://www.kaggle.com/settings/api"
# errors of the package for a truncated answer or other fields
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)


class Refusal(RunError):
    """The site understood a request and refused it. `status` is 400, 403 or 404, `text` the site's message."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Kaggle refused the request ({status}): {text or 'it gives no reason'}", code="R26")
        self.__dict__.update(status=status, text=text)

    status: int
    text: str


@contextmanager
def talk_to_site(secrets: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Opens a block of calls of the package: silent, with a limit on each wait, and its exceptions as errors of kit.

    `secrets` returns the package's configuration; no message contains its values of `key` and `token`. Raises
    RunError R21 without valid credentials, R24 without a usable answer, and Refusal.
    """
    from requests.exceptions import HTTPError, RequestException, Timeout

    quiet = io.StringIO()  # the package prints addresses of uploads, and headers if VERBOSE is set
    try:
        with _limit_waits(), redirect_stdout(quiet), redirect_stderr(quiet):
            yield
    except SystemExit:
        raise no_credentials("no Kaggle credentials found") from None
    except HTTPError as error:
        raise _of_status(error, secrets()) from None
    except Timeout:
        raise no_answer(f"Kaggle did not answer within {WAIT_S:.0f} s") from None
    except UNREADABLE:
        raise no_answer("Kaggle's answer was cut off or has another form") from None
    except (RequestException, OSError) as error:
        raise no_answer(f"the connection to Kaggle failed: {type(error).__name__}") from None


@contextmanager
def _limit_waits() -> Iterator[None]:
    """Sets a time limit for each request of the package, which has no option for it."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def send_within_limit(adapter: Any, request: Any, **options: Any) -> Any:
        options["timeout"] = options.get("timeout") or WAIT_S
        if adapter.max_retries.total and adapter.max_retries.total > MAX_UPLOAD_RETRIES:
            adapter.max_retries = adapter.max_retries.new(total=MAX_UPLOAD_RETRIES)
        return send(adapter, request, **options)

    HTTPAdapter.send = send_within_limit
    try:
        yield
    finally:
        HTTPAdapter.send = send


def _of_status(error: Any, secrets: Mapping[str, Any]) -> RunError:
    """Returns the error for a response of status 400 or more."""
    response = error.response
    status = 0 if response is None else int(response.status_code)
    text = clean(_own_words(response), secrets)
    if status == 401:
        return no_credentials("Kaggle rejected the credentials (401)")
    if status == 429:
        after = clean(response.headers.get("Retry-After") or "", {})
        when = f"in {after} s" if after.isdigit() else "in some minutes"
        return no_answer("Kaggle received too many requests from this user (429)", f"try again {when}")
    if status in (400, 403, 404, 200):  # 200 has its own code in the response
        return Refusal(status, text)
    return no_answer(f"Kaggle has an error of its own ({status})")


def _own_words(response: Any) -> str:
    """Returns the message in a response, which need not be JSON."""
    try:
        body = response.json()
        return str(body.get("message") or body.get("error") or "")
    except (*UNREADABLE, OSError):
        return ""


def clean(text: str, secrets: Mapping[str, Any]) -> str:
    """Returns a text of the site as one short line without credentials, including those in environment variables."""
    known = [secrets.get("key"), secrets.get("token")]
    known += [os.environ.get(name) for name in ("KAGGLE_KEY", "KAGGLE_API_TOKEN")]
    for value in sorted(filter(None, map(str, filter(None, known))), key=len, reverse=True):
        text = text.replace(value, "***")
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def no_credentials(summary: str) -> RunError:
    """Returns R21: the package has no credentials that the site accepts."""
    return RunError(
        summary,
        code="R21",
        hint=f"generate a token on {TOKEN_PAGE}, and set KAGGLE_API_TOKEN to it or save it as "
        "~/.kaggle/access_token. In a Kaggle notebook add it as a secret",
    )


def no_answer(summary: str, hint: str = "try again later") -> RunError:
    """Returns R24: the site gave no usable answer."""
    return RunError(summary, code="R24", hint=hint)


def not_joined(name: str, text: str = "") -> RunError:
    """Returns R22: the user has not joined the competition, or has not accepted its rules."""
    return RunError(
        f"this user has not joined {name}, or has not accepted its rules",
        code="R22",
        cases=[text] if text else [],
        hint=f"accept the rules on https://www.kaggle.com/competitions/{name}/rules",
    )


def no_submissions_left(name: str, sent: int | None = None, text: str = "") -> RunError:
    """Returns R23: the team has used its submissions."""
    count = "" if sent is None else f": {sent} sent today"
    return RunError(
        f"no submissions left for {name}{count}",
        code="R23",
        cases=[text] if text else [],
        hint="the count of the day restarts at 00:00 UTC",
    )
