"""kit tta that is stopped: what was predicted is saved, and the same call ends with the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.files import sha256
from kit.core.stopping import Deadline, Stop
from kit.errors import TIME_OVER, StoppedError
from kit.stages.prediction.tta import tta


def files(space: Path) -> dict[str, str]:
    """Hashes of the predictions by hflip."""
    return {file.name: sha256(file) for file in (space / "runs/a/predictions/hflip").glob("*.parquet")}


def stop_after_a_batch(workspace: Workspace) -> StoppedError | None:
    """One call, in which a stop is requested as soon as anything is predicted; its error."""
    stop = Stop()
    try:
        for step in tta.with_progress(workspace, ["runs/a"], "hflip", stop=stop):
            if step.task == "tta" and not step.line:
                stop.requested = TIME_OVER
    except StoppedError as error:
        return error
    return None


@pytest.mark.parametrize("executor", ["", "executor=in_process"])
def test_predictions_that_are_stopped_again_and_again_end_with_the_same_bytes(
    space: Path, executor: str
) -> None:
    tta(space, ["runs/a"], "hflip")
    whole = files(space)
    for file in (space / "runs/a/predictions/hflip").iterdir():
        file.unlink()
    workspace = Workspace.open(space, [executor] if executor else [])
    errors = []
    while (error := stop_after_a_batch(workspace)) is not None:
        errors.append(error)
        assert len(errors) < 60
    assert len(errors) >= 4
    assert {(one.code, one.exit_code) for one in errors} == {("R27", 6)}
    assert files(space) == whole
    left = [int(str(one.cases[0]).split(": ")[1].split(" of ")[0]) for one in errors]
    assert left[0] < 60
    assert str(errors[0].cases[0]).endswith("of 60 predictions left")
    assert str(errors[0].cases[1]) == "a@hflip test: 24 of 24 predictions left"


def test_the_command_stops_before_the_first_row_and_says_so(
    space: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside(space)
    monkeypatch.setattr("kit.commands.tta.parse_time", lambda text: Deadline(0.0))
    assert run(["tta", "--checkpoints", "runs/a", "--views", "hflip", "--time", "2h"]) == 6
    said = capsys.readouterr().err
    assert "R27 the time is over: stopped" in said
    assert not (space / "runs/a/predictions/hflip/oof.parquet").exists()


def test_a_damaged_file_of_unfinished_predictions_is_ignored(space: Path) -> None:
    assert stop_after_a_batch(Workspace.open(space)) is not None
    (unfinished,) = (space / "runs/a/predictions/hflip").glob("*.unfinished.parquet")
    unfinished.write_bytes(unfinished.read_bytes()[:-99])
    tta(space, ["runs/a"], "hflip")
    stopped = files(space)
    assert set(stopped) == {"oof.parquet", "test.parquet"}
    for file in (space / "runs/a/predictions/hflip").iterdir():
        file.unlink()
    tta(space, ["runs/a"], "hflip")
    assert files(space) == stopped
