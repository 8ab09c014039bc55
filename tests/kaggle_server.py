"""A local server that answers the package `kaggle` as the site's API does, and can fail as it does."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LOCAL_SERVERS

USER, KEY = "somebody", "a-secret-key-0123456789"
SERVICE = "competitions.CompetitionApiService"


@dataclass
class Site:
    """What the server knows, and how it fails: `faults` has for a request's name a status, or hang, cut or html."""

    competition: dict[str, Any]
    submissions: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, Any] = field(default_factory=dict)
    has_limits: bool = True
    forgets: bool = False  # accepts a submission and does not list it
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    joined: tuple[str, ...] = ()
    page_size: int = 100
    address: str = ""

    def add(self, file: str, message: str, score: str = "", status: str = "COMPLETE", **more: Any) -> None:
        """A submission on the site, newest last."""
        self.submissions.append(
            {
                "ref": 500 + len(self.submissions),
                "fileName": file,
                "description": message,
                "publicScore": score,
                "status": status,
                "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                **more,
            }
        )

    def today(self) -> int:
        """Valid submissions of today, UTC."""
        day = datetime.now(UTC).date().isoformat()
        return sum(one["status"] != "ERROR" and one["date"].startswith(day) for one in self.submissions)

    def left(self) -> int:
        """Submissions that the team may send today."""
        return max(0, int(self.competition["maxDailySubmissions"]) - self.today())

    def answer(self, name: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a request."""
        if request.get("competitionName", self.competition["ref"]) != self.competition["ref"]:
            return 403, {"code": 403, "message": "Permission 'competitions.participate' was denied"}
        if name == "GetCompetition":
            return 200, self.competition
        if name == "ListCompetitions":
            return 200, {
                "competitions": [{"ref": f"https://www.kaggle.com/competitions/{one}"} for one in self.joined]
            }
        if name == "ListSubmissions":
            start = int(request.get("pageToken") or 0)
            newest = self.submissions[::-1][start : start + self.page_size]
            more = start + self.page_size < len(self.submissions)
            return 200, {"submissions": newest, "nextPageToken": str(start + self.page_size) if more else ""}
        if name == "GetSubmissionLimits" and self.has_limits:
            return 200, {"numToday": self.today(), "numAllowedNow": self.left()}
        if name == "StartSubmissionUpload":
            token = f"token-{len(self.files)}"
            return 200, {"token": token, "createUrl": f"{self.address}/upload/{token}"}
        if name == "CreateSubmission":
            if not self.left():
                return 400, {"code": 400, "message": "Bad Request"}
            if not self.forgets:
                file = request["blobFileTokens"]
                self.add(file, request["submissionDescription"], status="PENDING")
                self.submissions[-1]["fileName"] = self.names[file]
            return 200, {"message": "Successfully submitted to Digits", "ref": 499 + len(self.submissions)}
        if name == "StartBlobUpload":
            token = f"token-{len(self.names)}"
            self.names[token] = request["name"]
            return 200, {"token": token, "createUrl": f"{self.address}/upload/{token}"}
        if name in ("CreateDataset", "SaveKernel"):
            self.creations[name] = request
            return 200, {"url": "https://www.kaggle.com/x", "status": "ok", "ref": "x"}
        return 404, {"code": 404, "message": "Not found"}

    names: dict[str, str] = field(default_factory=dict)  # of uploaded files, by token
    creations: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # requests for a data set and a notebook


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    site: Site

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.rpartition("/")[2]
        self.site.requests.append(name)
        allowed = f"Basic {base64.b64encode(f'{USER}:{KEY}'.encode()).decode()}"
        if self.headers["Authorization"] != allowed:
            self.send(401, {"code": 401, "message": f"Unauthenticated: {self.headers['Authorization']}"})
            return
        request = json.loads(body)
        fault = self.site.faults.get(name)
        status, reply = (
            self.site.answer(name, request) if fault is None or fault in ("cut", "html") else (200, {})
        )
        if name == "StartSubmissionUpload" and status == 200 and reply:
            self.site.names[reply["token"]] = request["fileName"]
        if fault == "hang":
            time.sleep(1)
        elif isinstance(fault, tuple):
            self.send(fault[0], {"code": fault[0], "message": fault[1]}, *fault[2:])
        else:
            self.send(status, reply, cut=fault == "cut", html=fault == "html")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.site.requests.append("upload")
        fault = self.site.faults.get("upload")
        if fault is None:
            self.site.files[self.path.rpartition("/")[2]] = content
        self.send(fault or 200, {})

    def send(self, status: int, reply: Any, after: str = "", cut: bool = False, html: bool = False) -> None:
        """An answer; one that is cut has fewer bytes than its header says."""
        text = b"<html>try again</html>" if html else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if html else "application/json")
        self.send_header("Content-Length", str(len(text)))
        if after:
            self.send_header("Retry-After", after)
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if cut else text)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing: a test reads stderr."""


def new_site() -> Site:
    """The site with the competition `digits`, which the user has joined; five submissions a day."""
    about = {"ref": "digits", "userHasEntered": True, "maxDailySubmissions": 5}
    return Site(about, joined=("digits", "cats"))


@contextmanager
def serve(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site on a free port of this machine for the block, and the package kaggle as a user of it."""
    for name in ("HOME", "KAGGLE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_API_ENVIRONMENT", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    from kagglesdk import kaggle_env

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    server.daemon_threads = True
    host, port = server.server_address[:2]
    site.address = f"http://{host!s}:{port}"
    LOCAL_SERVERS.add((host, port))
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, site.address)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield site
    finally:
        LOCAL_SERVERS.discard((host, port))
        server.shutdown()
        server.server_close()
