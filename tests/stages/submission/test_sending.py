"""kit sends a submission once, knows why the site refuses one, and reads scores: with the package kaggle as client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import open as open_session
from kit.config.workspace import Workspace
from kit.errors import ConfigError, KitError
from kit.stages.blending.blend import blend
from kit.stages.submission import kaggle_failures, sending
from kit.stages.submission.board import Board
from kit.stages.submission.upload import describe_entry
from tests.conftest import Kit
from tests.kaggle_server import KEY, Site, new_site, serve
from tests.written_runs import competition

MESSAGE = "0001 x: mean of a@plain, cv accuracy 1.0000"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Submissions 1 (x) and 2 (y) of other content."""
    space = competition(tmp_path, kaggle="digits", data={"group": None})
    blend(space, ["a"], name="x")
    blend(space, ["b"], name="y")
    monkeypatch.chdir(tmp_path)
    return space


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site with the competition `digits`, which the user has joined; five submissions a day."""
    monkeypatch.setattr(kaggle_failures, "WAIT_S", 0.5)
    monkeypatch.setattr(sending, "LISTING_DELAYS_S", (0.0, 0.0))
    with serve(new_site(), tmp_path / "home", monkeypatch) as served:
        yield served


def test_a_submission_arrives_with_its_file_and_message(kit: Kit, workspace: Workspace, site: Site) -> None:
    status, out, err = kit("submission", "send", "1", "--yes")
    assert status == 0, err
    assert "0001-x.csv: 4 rows as in the sample, cv accuracy 1.0000\ndigits: 0 sent today, 5 left\n" in err
    assert out.splitlines()[0] == "digits lists 0001-x.csv as 500, 4 left today"
    (sent,) = site.submissions
    assert (sent["fileName"], sent["description"]) == ("0001-x.csv", MESSAGE)
    assert list(site.files.values()) == [(workspace.submissions / "0001-x.csv").read_bytes()]


def test_kit_asks_before_it_sends(kit: Kit, workspace: Workspace, site: Site) -> None:
    status, _, err = kit("submission", "send", "1")
    assert status == 2
    assert "try: kit submission send 1 --yes" in err
    assert "StartSubmissionUpload" not in site.requests


def test_a_submission_is_sent_once_unless_asked(kit: Kit, workspace: Workspace, site: Site) -> None:
    site.add("0001-x.csv", MESSAGE, "0.81")
    status, _, err = kit("submission", "send", "1", "--yes")
    assert status == 1
    assert "R25 submission 1 was sent on " in err
    assert "UTC, score 0.81" in err
    assert kit("submission", "send", "1", "--yes", "--resend")[0] == 0
    assert len(site.submissions) == 2


def test_a_submission_that_failed_on_the_site_may_be_sent_again(
    kit: Kit, workspace: Workspace, site: Site
) -> None:
    site.add("0001-x.csv", MESSAGE, status="ERROR")
    assert kit("submission", "send", "1", "--yes")[0] == 0


def test_a_copy_under_another_number_was_sent_too(kit: Kit, workspace: Workspace, site: Site) -> None:
    blend(workspace, ["a"], name="copy")
    site.add("0001-x.csv", MESSAGE)
    assert (
        "R25 submission 1, with the same content as 3, was sent" in kit("submission", "send", "3", "--yes")[2]
    )


def test_a_file_that_does_not_match_the_sample_is_not_sent(
    kit: Kit, workspace: Workspace, site: Site
) -> None:
    file = workspace.submissions / "0001-x.csv"
    file.write_text("id,label\n007,ant\n")
    assert "D74" in kit("submission", "send", "1", "--yes")[2]
    file.with_suffix(".json").unlink()
    assert kit("submission", "send", "1", "--yes")[0] == 4
    assert site.requests == []


@pytest.mark.parametrize("has_limits", [True, False], ids=["asked", "counted"])
def test_the_daily_limit_is_known_before_the_upload(
    kit: Kit, workspace: Workspace, site: Site, has_limits: bool
) -> None:
    site.has_limits = has_limits
    for number in range(5):
        site.add(f"{number}.csv", "by hand")
    site.submissions[0]["date"] = "2020-01-01T00:00:00.000Z"
    assert kit("submission", "send", "2", "--yes")[0] == 0  # four of today
    status, _, err = kit("submission", "send", "1", "--yes", "--resend")
    assert status == 1
    assert "R23 no submissions left for digits: 5 sent today" in err
    assert "00:00 UTC" in err


def test_a_limit_that_is_reached_meanwhile_is_named(kit: Kit, workspace: Workspace, site: Site) -> None:
    """The site answers 400 without a reason; the daily limit is what kit then finds."""
    site.competition["maxDailySubmissions"] = 0
    site.faults["GetSubmissionLimits"] = (404, "Not found")
    assert "R26 Kaggle refused the request (400): Bad Request" in kit("submission", "send", "1", "--yes")[2]
    site.faults["GetSubmissionLimits"] = (500, "x")
    err = kit("submission", "send", "1", "--yes")[2]
    assert ("R24" in err) == ("GetSubmissionLimits" in site.requests)  # which old packages do not ask for
    site.faults.clear()
    site.competition["maxDailySubmissions"] = 1
    plan = sending.plan_upload(workspace, 1)
    site.add("other.csv", "by hand")
    with pytest.raises(KitError, match="no submissions left for digits: 1 sent today") as error_info:
        sending.send_submission(plan)
    assert error_info.value.code == "R23"


def test_a_submission_that_is_not_listed_was_not_sent(kit: Kit, workspace: Workspace, site: Site) -> None:
    site.forgets = True
    status, out, err = kit("submission", "send", "1", "--yes")
    assert (status, out) == (1, "")
    assert (
        "R26 Kaggle does not list submission 1, although it answered 'Successfully submitted to Digits'"
        in err
    )


def test_a_misspelt_competition_and_one_not_joined_are_distinguished(
    kit: Kit, workspace: Workspace, site: Site
) -> None:
    site.competition["ref"] = "digitz"
    site.joined = ("digitz", "cats")
    err = kit("submission", "send", "1", "--yes")[2]
    assert "R22 Kaggle shows this user no competition 'digits'; did you mean 'digitz'?" in err
    site.competition.update(ref="digits", userHasEntered=False)
    err = kit("submission", "send", "1", "--yes")[2]
    assert "R22 this user has not joined digits, or has not accepted its rules" in err
    assert "https://www.kaggle.com/competitions/digits/rules" in err
    site.competition.update(userHasEntered=True)
    site.faults["CreateSubmission"] = (403, "You cannot submit until you accept the competition rules")
    err = kit("submission", "send", "1", "--yes")[2]
    assert "R22 this user has not joined digits, or has not accepted its rules" in err
    site.faults.clear()
    site.competition.update(isKernelsSubmissionsOnly=True)
    assert "R26 digits is a code competition" in kit("submission", "send", "1", "--yes")[2]
    site.competition.update(isKernelsSubmissionsOnly=False, submissionsDisabled=True)
    assert "R26 digits takes no more submissions" in kit("submission", "send", "1", "--yes")[2]
    assert not site.submissions


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("hang", "R24 Kaggle did not answer within 0 s"),
        ("cut", "R24 "),
        ("html", "R24 Kaggle's answer was cut off or has another form"),
        (
            (429, "slow down", "17"),
            "R24 Kaggle received too many requests from this user (429)\ntry: try again in 17 s",
        ),
        ((503, "down"), "R24 Kaggle has an error of its own (503)"),
    ],
    ids=["hang", "cut", "html", "429", "503"],
)
def test_each_failure_of_the_site_is_one_clear_error(
    kit: Kit, workspace: Workspace, site: Site, fault: object, said: str
) -> None:
    site.faults["ListSubmissions"] = fault
    for command in (["submission", "send", "1", "--yes"], ["board", "sync"]):
        status, out, err = kit(*command)
        assert (status, out) == (1, "")
        assert said in err
    assert not site.submissions


@pytest.mark.parametrize("fault", ["hang", "cut"])
def test_after_a_lost_answer_kit_says_whether_the_submission_arrived(
    kit: Kit, workspace: Workspace, site: Site, fault: str
) -> None:
    site.faults["CreateSubmission"] = fault
    status, out, err = kit("submission", "send", "1", "--yes")
    if fault == "cut":  # the site has it
        assert (status, len(site.submissions)) == (0, 1)
        assert "the submission arrived all the same" in out
    else:
        assert status == 1
        assert "R24 Kaggle did not answer within 0 s; submission 1 did not arrive" in err


def test_an_upload_that_fails_is_no_submission(kit: Kit, workspace: Workspace, site: Site) -> None:
    site.faults["upload"] = 403
    assert (
        "the upload of 0001-x.csv failed; submission 1 did not arrive"
        in kit("submission", "send", "1", "--yes")[2]
    )


def test_credentials_are_neither_printed_nor_stored(
    kit: Kit, workspace: Workspace, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERBOSE", "true")  # lets the package print its headers
    said = "".join(map(str, kit("submission", "send", "1", "--yes")))
    monkeypatch.setenv("KAGGLE_KEY", "wrong-secret")
    wrong = kit("board", "sync")
    assert "R21 Kaggle rejected the credentials (401)" in wrong[2]
    site.faults["GetCompetition"] = (403, f"no entry for {KEY}")
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    said += "".join(map(str, (*wrong, *kit("submission", "send", "2", "--yes"))))
    assert "no entry for ***" in said
    stored = b"".join(file.read_bytes() for file in workspace.root.rglob("*") if file.is_file())
    for secret in (KEY, "wrong-secret", "Basic "):
        assert secret not in said
        assert secret.encode() not in stored


def test_no_credentials_is_one_clear_error(
    kit: Kit, workspace: Workspace, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    status, out, err = kit("submission", "send", "1", "--yes")
    assert (status, out) == (1, "")
    assert "R21 no Kaggle credentials found" in err
    assert "KAGGLE_API_TOKEN" in err


def test_the_board_gets_the_scores_of_the_site(kit: Kit, workspace: Workspace, site: Site) -> None:
    site.page_size = 2
    entries = Board.read(workspace.submissions).entries
    site.add("0001-x.csv", describe_entry(entries[0]), "0.7")
    site.add("renamed.csv", describe_entry(entries[0]), "0.75")  # sent again, renamed
    site.add("0002-y.csv", "by hand", "0.6")
    site.add("0001-x.csv", "0001 x: mean of others, cv accuracy 0.5000", "0.1")  # an entry that was undone
    site.add("0001-x.csv", describe_entry(entries[0]), status="PENDING")
    status, out, err = kit("board", "sync", "--json")
    assert status == 0, err
    assert {one["number"]: one["leaderboard"] for one in json.loads(out)} == {1: 0.75, 2: 0.6}
    assert "submission 1: recorded 0.75" in err
    assert "not on this board: 1 (0001-x.csv)" in err
    assert "unchanged scores: 2" in kit("board", "sync")[2]


def test_scores_that_are_pending_failed_or_impossible_are_reported(
    kit: Kit, workspace: Workspace, site: Site
) -> None:
    site.add("0001-x.csv", "by hand", status="ERROR", errorDescription="Missing ids")
    site.add("0002-y.csv", "by hand", "81.2")
    err = kit("board", "sync")[2]
    assert "submission 1: failed (Missing ids)" in err
    assert "submission 2: refused 81.2 (81.2 is not a possible accuracy" in err
    assert [entry.leaderboard for entry in Board.read(workspace.submissions).entries] == [None, None]
    site.submissions[:] = []
    assert "Kaggle lists no submissions of this team" in kit("board", "sync")[2]


def test_the_competitions_name_is_needed(kit: Kit, workspace: Workspace, site: Site) -> None:
    config = json.loads((workspace.root / "config.json").read_text())
    (workspace.root / "config.json").write_text(json.dumps({**config, "kaggle": None}))
    for command in (["submission", "send", "1", "--yes"], ["board", "sync"]):
        status, _, err = kit(*command)
        assert status == 2
        assert "C55 config.json does not name the competition on Kaggle" in err


def test_a_session_sends_and_reads_scores_too(
    workspace: Workspace, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    comp = open_session(workspace.root)
    questions: list[str] = []

    def refuse(text: str) -> str:
        questions.append(text)
        return "n"

    monkeypatch.setattr("builtins.input", refuse)
    with pytest.raises(KitError, match="nothing was sent"):
        comp.submission.send(1)
    assert questions == ["send submission 1 to digits? [y/N]: "]
    sent = comp.submission.send(1, yes=True)
    assert "digits lists 0001-x.csv as 500, 4 left today" in repr(sent)
    site.submissions[0].update(status="COMPLETE", publicScore="0.9")
    synced = comp.board.sync()
    assert "submission 1: recorded 0.9" in repr(synced)
    assert synced.to_frame()["score"].tolist() == [0.9]


def test_without_anybody_to_ask_a_session_sends_nothing(
    workspace: Workspace, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(text: str) -> str:
        raise NotImplementedError("StdinNotImplementedError of a saved notebook")

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(ConfigError, match="C05"):
        open_session(workspace.root).submission.send(1)
    assert not site.submissions
