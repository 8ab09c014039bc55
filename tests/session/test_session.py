"""A session: each method returns what the command prints, shows itself, and takes the results of others."""

from __future__ import annotations

import json
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kit
from kit.core.display import Results
from kit.core.progress import Progress
from kit.errors import ConfigError, DataError, KitError, KitWarning
from kit.session.calls import begin_call
from kit.session.frontend import MAX_REGULAR_LINES, Lines
from kit.stages.blending.blend import Submitted
from tests.session.displayed import check_display
from tests.written_runs import competition

Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def written(tmp_path: Path) -> kit.Session:
    """A session of runs a and b that were written by hand."""
    return kit.open(competition(tmp_path))


@pytest.fixture
def trained(space: Path) -> kit.Session:
    """A session of the trained run a."""
    return kit.open(space)


def test_blend_and_board_show_themselves(written: kit.Session) -> None:
    submission = written.blend(["a@d4", "b"], name="x")
    assert isinstance(submission, Submitted)
    check_display(submission, "name", "nested", "in_sample", "gain")
    assert repr(submission).startswith("submission 1: submissions/0001-x.csv, 4 rows")
    table = submission.to_frame()
    assert table[table.name == "blend"].nested.item() == submission.cv
    written.board.score(1, 0.5)
    board = written.board()
    check_display(board, "rank", "number", "cv", "leaderboard")
    assert board.to_frame().leaderboard.tolist() == [0.5]
    assert board.board.entries[0].leaderboard == 0.5


def test_blend_takes_what_tta_returned_in_a_list_or_not(trained: kit.Session) -> None:
    flipped = trained.tta(["a"], views="hflip", progress=False)
    given: tuple[Any, ...] = (flipped, [flipped], ["a@hflip"])
    for members in given:
        submission = trained.blend(members, name="x", progress=False)
        assert isinstance(submission, Submitted)
        assert submission.cv == flipped[0].scores["macro_f1"]
    with pytest.raises(ConfigError, match="int is not a run"):
        trained.blend([3])  # type: ignore[list-item]


def test_the_boards_methods_are_its_subcommands(written: kit.Session) -> None:
    written.blend("a@d4", name="x")
    written.blend(["a", "b"], name="y")
    check_display(written.board(submissions_left=2), "send", "why")
    check_display(written.board.choose_final(1), "number", "why")
    assert len(written.board.choose_final(1).to_frame()) == 1
    check_display(written.board.explain_gap(), "code", "effect")
    diff = written.board.diff(1, 2)
    check_display(diff, "rows", "ids")
    assert diff.to_frame().rows.sum() == sum(len(change.ids) for change in diff.changes)
    assert written.board.undo().to_frame().number.tolist() == [1]


def test_a_submission_is_checked(written: kit.Session) -> None:
    submission = written.blend("a@d4", name="x")
    assert isinstance(submission, Submitted)
    good = written.submission.check(submission.path)
    check_display(good, "code", "line")
    assert not good.faults
    submission.path.with_name("bad.csv").write_text("id,label\n007,ant\n")
    bad = written.submission.check(submission.path.with_name("bad.csv"))
    check_display(bad)
    assert bad.to_frame().code.tolist() == ["D41"] * 3
    assert "kaggle competitions submit" in written.submission.upload_command(1)


def test_results_go_into_the_next_call(trained: kit.Session) -> None:
    run = trained.train("a", progress=False)
    assert run.name == "a"
    check_display(run, "fold", "macro_f1")
    assert run.to_frame().fold.tolist() == ["0", "1", "all"]
    views = trained.tta(run, views="hflip", progress=False)
    assert isinstance(views, Results)
    check_display(views, "member", "macro_f1", "gain")
    assert [one.member for one in views] == ["runs/a@hflip"]
    submission = trained.blend(views, ensembler="geometric", progress=False)
    assert submission.ensembler["name"] == "geometric"
    assert isinstance(submission, Submitted)
    check_display(trained.pseudo_labels(views, threshold=0.1, progress=False), "class", "share")


def test_a_policy_shows_its_views(trained: kit.Session) -> None:
    (policy,) = trained.tta("a", views="hflip", choose_views="greedy", progress=False)
    check_display(policy, "view", "weight")
    assert policy.to_frame().weight.sum() == pytest.approx(1)


def test_keywords_change_the_config_for_one_call(trained: kit.Session) -> None:
    dry = trained.train("x", dry_run=True, epochs=5, progress=False)
    check_display(dry, "quantity", "value")
    assert dry.steps == 5 * 2 * dry.steps_per_epoch
    assert trained.workspace.experiment.epochs == 2


def test_seeds_give_several_runs(trained: kit.Session) -> None:
    runs = trained.train("s", seeds=[0, 1], folds=[0], epochs=1, progress=False)
    assert [run.name for run in runs] == ["s-seed0", "s-seed1"]
    check_display(runs, "run", "fold")


def test_check_lists_its_findings_and_can_be_strict(trained: kit.Session, tmp_path: Path) -> None:
    report = trained.check(csv=tmp_path / "cases.csv", progress=False)
    check_display(report, "code", "level", "summary", "effect", "fix", "cases")
    assert (tmp_path / "cases.csv").is_file()
    assert len(report.to_frame()) == len(report.findings)
    with pytest.raises(DataError, match="strict is set"):
        trained.check(strict=True, progress=False)


def test_plots_are_pictures_and_tables(trained: kit.Session, tmp_path: Path) -> None:
    augmented = trained.plot.augment(
        out=tmp_path / "a.png", rows=2, variants=2, augmenter="light", progress=False
    )
    check_display(augmented, "id", "label")
    assert "data:image/png;base64," in augmented._repr_html_()
    rates = trained.plot.lr(out=tmp_path / "lr.png", scheduler="one_cycle", epochs=3, progress=False)
    check_display(rates, "step", "epoch", "lr")
    assert rates.to_frame().lr.max() == rates.values["peak"]
    trained.tta("a", progress=False)
    members = trained.plot.members(["a"], out=tmp_path / "m.png")
    check_display(members, "member", "macro_f1")
    with pytest.raises(ConfigError, match="does not end in .png"):
        trained.plot.lr(out="lr.jpg")


def test_a_report_is_written(trained: kit.Session, tmp_path: Path) -> None:
    report = trained.report(out=tmp_path / "r.html", no_check=True, progress=False)
    assert report.path.read_text().startswith("<!")
    check_display(report, "run", "network", "macro_f1")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda comp: comp.train("x", epoch=3), "did you mean 'epochs'"),
        (lambda comp: comp.train("x", fold=[0]), "did you mean 'folds'"),
        (lambda comp: comp.tta("a", merge="geometrical"), "did you mean 'geometric'"),
        (lambda comp: comp.tta("a", choose_views="greedy", rows="train"), "omit rows"),
        (lambda comp: comp.train("a", epochs=5), "different config"),
        (lambda comp: comp.pseudo_labels("a", rows="all"), "not one of test, train, both"),
    ],
)
def test_wrong_calls_are_errors_with_advice(
    trained: kit.Session, call: Callable[[kit.Session], Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        call(trained)
    assert message in str(caught.value)
    assert caught.value._render_traceback_() == [f"ConfigError: {caught.value}"]


def test_a_folder_without_a_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="C06"):
        kit.open(tmp_path)


def test_init_writes_the_config_and_opens(written: kit.Session, capsys: pytest.CaptureFixture[str]) -> None:
    (written.folder / "config.json").unlink()
    comp = kit.init(written.folder, recipe="scratch", group="person")
    assert json.loads((comp.folder / "config.json").read_text())["data"]["group"] == "person"
    said = capsys.readouterr().err
    assert "recipe: scratch" in said
    assert "9 rows, 3 classes" in said
    with pytest.raises(ConfigError, match="C21"):
        kit.init(written.folder)
    with pytest.raises(ConfigError, match="did you mean 'scratch'"):
        kit.init(written.folder, recipe="scrath", force=True)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- progress and warnings


def steps(epochs: int, folds: int) -> Iterator[Progress]:
    for done in range(1, epochs * folds + 1):
        yield Progress("train", done / epochs / folds, 1, f"epoch {done}", line=True, regular=True)
        if done % 100 == 0:
            yield Progress("train", done / epochs / folds, 1, "memory is short", line=True)


@pytest.mark.parametrize(("epochs", "folds"), [(3, 2), (20, 5), (200, 5), (1, 1)])
def test_a_log_has_about_a_hundred_lines_and_no_control_characters(
    epochs: int, folds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with begin_call(progress=True):
        Lines().follow(steps(epochs, folds))
    lines = capsys.readouterr().err.splitlines()
    epoch_lines = [line for line in lines if "epoch" in line]
    assert len(epoch_lines) <= MAX_REGULAR_LINES + 1
    assert len(epoch_lines) == min(epochs * folds, len(epoch_lines))
    assert epoch_lines[-1] == f"train: epoch {epochs * folds}"
    assert len(lines) - len(epoch_lines) == epochs * folds // 100
    assert epochs * folds > MAX_REGULAR_LINES or len(epoch_lines) == epochs * folds


def test_progress_can_be_silent(trained: kit.Session, capsys: pytest.CaptureFixture[str]) -> None:
    trained.tta("a", views="hflip", progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with begin_call(progress=True):
            warnings.warn(KitWarning("W11 odd \x1b[2J"), stacklevel=1)
            warnings.warn(UserWarning("of another library"), stacklevel=1)
    assert capsys.readouterr().err == "warning: W11 odd \\x1b[2J\n"


def test_strict_turns_warnings_into_errors() -> None:
    with pytest.raises(DataError, match="W11 odd"), begin_call(progress=True, strict=True):
        warnings.warn(KitWarning("W11 odd"), stacklevel=1)


# --------------------------------------------------------------------------------------------- the Stop button


def test_a_call_that_is_stopped_resumes_to_the_same_bits(
    trained: kit.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = trained.train("whole", folds=[0], epochs=3, progress=False)
    before = signal.getsignal(signal.SIGINT)

    def press() -> None:
        folder = trained.folder / "runs" / "cut" / "fold-0"
        while not list(folder.glob("0001/manifest.json")):
            time.sleep(0.002)
        signal.raise_signal(signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(kit.Interrupted, match="run the same call again") as caught:
        trained.train("cut", folds=[0], epochs=3)
    presser.join()
    assert not isinstance(caught.value, Exception)
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopping after this step" in capsys.readouterr().err
    cut = trained.train("cut", folds=[0], epochs=3, progress=False)
    for file in ("0003/model.safetensors", "0003/ema.safetensors"):
        assert (cut.fold(0) / file).read_bytes() == (whole.fold(0) / file).read_bytes()


def test_an_error_keeps_no_tensors() -> None:
    class Large:
        alive = 0

        def __init__(self) -> None:
            Large.alive += 1

        def __del__(self) -> None:
            Large.alive -= 1

    def work() -> None:
        batch = Large()
        try:
            raise ValueError(str(batch))
        except ValueError as error:
            raise KitError("no") from error

    with pytest.raises(KitError) as caught, begin_call(progress=False):
        work()
    assert caught.value.__traceback__ is not None
    assert Large.alive == 0
