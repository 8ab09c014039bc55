"""kit final: every row trains, weights come from out-of-fold rows, and the deadline holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.core.files import read_json
from kit.core.stopping import Deadline, Stop
from kit.data.predictions import Predictions
from kit.errors import ConfigError, KitError, RunError, StoppedError
from kit.runs.epoch_log import EpochLog
from kit.runs.run import Run
from kit.stages.blending.blend import blend
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.final.final import FinalResult, plan, run_final
from kit.stages.prediction.tta import tta
from kit.stages.submission.board import Board
from kit.stages.training.fold import FoldDeadline
from kit.stages.training.soup import make_soup
from kit.stages.training.train import train
from tests.blends import submit_blend

MEMBERS = ("runs/a@hflip", "runs/b")


@pytest.fixture(scope="module")
def two(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs a, by two views, and b, whose weight beside a is small and not 0."""
    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("final") / "space"))
    train(root, ["seed=1", "optimizer.lr=0.04", "epochs=1"], name="b")
    tta(root, ["runs/a"], "hflip")
    tta(root, ["runs/b"])
    return root


@pytest.fixture(scope="module")
def done(two: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FinalResult]:
    root = Path(shutil.copytree(two, tmp_path_factory.mktemp("done") / "space"))
    return root, final_result(root)


@pytest.fixture
def fresh(two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two, tmp_path / "space"))


def final_result(
    root: Path, ensembler: str = "simplex", clock: Callable[[], float] = lambda: 0.0, **how: Any
) -> FinalResult:
    space = Workspace.open(root)
    planned = plan(space, MEMBERS, ensembler, clock=clock, **how)
    return run_final(space, planned, clock=clock)


def predicted(root: Path, run: str, views: str) -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions" / views / "test.parquet")


def test_every_row_trains_for_the_epochs_of_the_cross_validated_run(done: tuple[Path, FinalResult]) -> None:
    root, final = done
    assert final.runs == ("a-final", "b-final")
    run = Run(root / "runs" / "a-final")
    assert (run.folds().numbers == -1).all()
    lines = EpochLog.read(run.fold(0) / "log.jsonl").lines
    assert [line["step"] for line in lines] == [8, 16], "60 rows in batches of at most 8, twice"
    was, now = (dict(Run(root / "runs" / name).config) for name in ("a", "a-final"))
    assert {key for key in was if was[key] != now[key]} == {"splitter"}


def test_a_run_on_all_rows_has_no_score_anywhere(done: tuple[Path, FinalResult]) -> None:
    root, _ = done
    run = Run(root / "runs" / "a-final")
    for views in ("plain", "hflip"):
        oof = Predictions.read(run.predictions(views) / "oof.parquet")
        assert len(oof) == 0
        assert oof.provenance.scores == {}
    assert not any("macro_f1" in line for line in EpochLog.read(run.fold(0) / "log.jsonl").lines)
    with pytest.raises(KitError, match="no row has out-of-fold predictions"):
        blend(Workspace.open(root), ["runs/a-final@hflip"])


def test_the_submission_blends_by_what_out_of_fold_rows_taught(
    done: tuple[Path, FinalResult], two: Path, tmp_path: Path
) -> None:
    root, final = done
    other = Path(shutil.copytree(two, tmp_path / "other"))
    scored_blend = submit_blend(Workspace.open(other), MEMBERS, "simplex")
    assert final.submitted.ensembler == scored_blend.ensembler
    assert final.submitted.cv == scored_blend.cv
    weights = np.array(scored_blend.ensembler["weights"])
    parts = [predicted(root, "a-final", "hflip"), predicted(root, "b-final", "plain")]
    blended = np.tensordot(
        weights / weights.sum(), np.stack([part.align(parts[0].ids) for part in parts]), axes=1
    )
    lines = final.submitted.path.read_text().splitlines()[1:]
    wanted = [
        f"{name},{parts[0].classes[k]}" for name, k in zip(parts[0].ids, blended.argmax(1), strict=True)
    ]
    assert sorted(lines) == sorted(wanted)


def test_board_and_record_say_whose_the_score_is(done: tuple[Path, FinalResult]) -> None:
    root, final = done
    (entry,) = Board.read(root / "submissions").entries
    assert entry.members == "a@hflip b@plain"
    assert "not of these networks" in entry.notes
    record = read_json(final.submitted.record)
    assert set(record["final"]["members"]) == {"a@hflip", "b@plain"}
    assert record["final"]["members"]["a@hflip"][0]["run"] == "a-final"
    assert record["final"]["left_out"] == {}


def test_the_same_command_again_trains_nothing_and_finds_its_submission(
    done: tuple[Path, FinalResult],
) -> None:
    root, final = done
    weights = root / "runs" / "a-final" / "fold-0" / "0002" / "manifest.json"
    before = weights.stat().st_mtime_ns
    again = final_result(root)
    assert weights.stat().st_mtime_ns == before
    assert not again.submitted.is_new
    assert again.submitted.path == final.submitted.path


def test_a_member_of_weight_0_is_not_trained_and_the_submission_is_the_same(
    fresh: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """c, of one epoch as b, has weight 0 beside a and b."""
    inside(fresh)
    train(fresh, ["seed=2", "optimizer.lr=0.02", "epochs=1"], name="c")
    tta(fresh, ["runs/c"])
    assert command(["final", "runs/c", *MEMBERS, "--ensembler", "simplex", "--name", "x", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (
        "c@plain has weight 0 in the blend and is not trained, because the submission does not depend on it"
        in err
    )
    made_here = json.loads(out)
    assert made_here["runs"] == ["a-final", "b-final"]
    assert made_here["no_weight"] == ["c@plain"]
    none, *weights = made_here["ensembler"]["weights"]
    assert none == 0
    assert min(weights) > 0
    assert not (fresh / "runs" / "c-final").exists()

    record = read_json(fresh / "submissions" / "0001-x.json")
    assert [one["member"] for one in record["members"]] == ["c@plain", "a@hflip", "b@plain"]
    assert set(record["final"]["members"]) == {"a@hflip", "b@plain"}
    assert record["final"]["weight_0"] == ["c@plain"]
    parts = [predicted(fresh, "a-final", "hflip"), predicted(fresh, "b-final", "plain")]
    blended = np.tensordot(weights, np.stack([part.align(parts[0].ids) for part in parts]), axes=1)
    wanted = [f"{n},{parts[0].classes[k]}" for n, k in zip(parts[0].ids, blended.argmax(1), strict=True)]
    lines = (fresh / "submissions" / "0001-x.csv").read_text().splitlines()[1:]
    assert sorted(lines) == sorted(wanted)

    packed = bundle(fresh, ["submissions/0001-x.json"], fresh / "packed")
    assert packed.members == ("a@hflip", "b@plain")
    assert packed.no_weight == ("c@plain",)
    data = fresh / "data"
    given = PredictionInput(data / "images", data / "sample_submission.csv")
    predict_bundle(fresh / "packed", given, fresh / "out.csv", fresh / "work")
    assert (fresh / "out.csv").read_text() == (fresh / "submissions" / "0001-x.csv").read_text()


def test_given_weights_of_0_are_left_out_whatever_the_time(fresh: Path) -> None:
    space, only_a = Workspace.open(fresh), {"name": "weighted", "weights": [1, 0]}
    assert [unit.run.name for unit in plan(space, MEMBERS, only_a).units] == ["a-final"]
    paced(fresh, 100)
    with pytest.raises(ConfigError, match="C34"):  # there is time for b alone
        plan(space, MEMBERS, only_a, hours=125 / 3600, clock=lambda: 0.0)


def test_a_member_of_weight_0_stands_in_for_one_that_does_not_fit(fresh: Path) -> None:
    """a alone is best, and takes longer than there is; b has weight 0 beside it, and is ready in time."""
    paced(fresh, 100)
    space, best = Workspace.open(fresh), {"name": "single", "metric": "log_loss"}
    assert [unit.run.name for unit in plan(space, MEMBERS, best).units] == ["a-final"]
    chosen = plan(space, MEMBERS, best, hours=125 / 3600, clock=lambda: 0.0)
    assert [unit.run.name for unit in chosen.units] == ["b-final"]
    assert [unit.run.name for unit in chosen.left_out] == ["a-final"]


def test_networks_of_several_seeds_are_blended_seed_by_seed_then_averaged(fresh: Path) -> None:
    final = final_result(fresh, "mean", seeds=[0, 1])
    assert final.runs == ("a-final-seed0", "b-final-seed0", "a-final-seed1", "b-final-seed1")
    runs = [
        predicted(fresh, f"{run}-final-seed{seed}", views)
        for run, views in (("a", "hflip"), ("b", "plain"))
        for seed in (0, 1)
    ]
    mean = np.mean([run.align(runs[0].ids) for run in runs], axis=0)
    lines = [f"{name},{runs[0].classes[k]}" for name, k in zip(runs[0].ids, mean.argmax(1), strict=True)]
    assert sorted(final.submitted.path.read_text().splitlines()[1:]) == sorted(lines)


def in_epochs(root: Path, each: float) -> Callable[[], float]:
    """A clock that stands still but for `each` seconds an epoch that was trained on all rows."""

    def now() -> float:
        logs = root.glob("runs/*-final/fold-0/log.jsonl")
        return each * sum(len(EpochLog.read(file).lines) for file in logs)

    return now


def paced(root: Path, seconds: float) -> None:
    """Makes the logs say that an epoch on all rows takes so long, and predicting next to nothing."""
    for file in root.glob("runs/[ab]/fold-*/log.jsonl"):
        lines, step = EpochLog.read(file).lines, 0
        for line in lines:
            speed = (line["step"] - step) * 8 * 2 / seconds  # folds train on half of the rows
            step = line["step"]
            line |= {"images_per_second": speed, "seconds": seconds / 2}
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_what_does_not_fit_is_left_out_before_it_starts(fresh: Path) -> None:
    """a has 2 epochs of 100 s, b one: with a tenth more and 10 s to write, 240 s hold a or b, not both."""
    paced(fresh, 100)
    space = Workspace.open(fresh)
    planned = plan(space, MEMBERS, "mean", hours=240 / 3600, clock=lambda: 0.0)
    assert len(planned.units) == len(planned.left_out) == 1
    assert plan(space, MEMBERS, "mean", hours=350 / 3600, clock=lambda: 0.0).left_out == ()
    only = plan(space, MEMBERS, "mean", hours=125 / 3600, clock=lambda: 0.0)
    assert [unit.run.name for unit in only.units] == ["b-final"], "the shorter one, whichever is needed more"


def test_a_time_in_which_nothing_fits_names_the_least_one(fresh: Path) -> None:
    paced(fresh, 100)
    with pytest.raises(ConfigError, match=r"C34 .*the fastest needs 0\.033") as error_info:
        plan(Workspace.open(fresh), MEMBERS, "mean", hours=0.03, clock=lambda: 0.0)
    assert error_info.value.exit_code == 2
    plan(
        Workspace.open(fresh),
        MEMBERS,
        "mean",
        hours=float(error_info.value.hint.split()[1]),
        clock=lambda: 0.0,
    )


def test_where_epochs_take_longer_than_planned_the_last_network_is_left_out(fresh: Path) -> None:
    paced(fresh, 100)
    final = final_result(fresh, "mean", clock=in_epochs(fresh, 150), hours=380 / 3600)
    assert len(final.runs) == 1
    (left_out,) = final.left_out.values()
    assert left_out == "would miss the deadline"
    assert len(final.submitted.comparison.members) == 1
    assert len(read_json(final.submitted.record)["members"]) == 1


def test_a_network_that_is_half_trained_at_its_time_is_not_used_and_continues_with_more(fresh: Path) -> None:
    paced(fresh, 100)
    space = Workspace.open(fresh)
    clock = in_epochs(fresh, 1000)
    planned = plan(space, ["runs/a@hflip"], "mean", hours=300 / 3600, clock=clock)
    with pytest.raises(RunError, match="R17 .*1 of 2 epochs"):
        run_final(space, planned, clock=clock)
    assert not Board.read(space.submissions).entries
    planned = plan(space, ["runs/a@hflip"], "mean", hours=2, clock=clock)
    assert planned.units[0].epochs_done == 1
    assert planned.units[0].training_seconds == pytest.approx(100)
    assert run_final(space, planned, clock=clock).runs == ("a-final",)


def test_a_member_that_cannot_be_trained_again_is_refused(fresh: Path) -> None:
    space = Workspace.open(fresh)
    train(fresh, ["seed=5"], name="c")
    make_soup(fresh, ["runs/a", "runs/c"], "s")
    tta(fresh, ["runs/s"])
    with pytest.raises(ConfigError, match="C33 .*soup"):
        plan(space, ["runs/s"])
    manifest = fresh / "runs" / "b" / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(
        json.dumps({**content, "asked": {**content["asked"], "pseudo_labels": "pseudo_labels/p"}})
    )
    with pytest.raises(ConfigError, match="C33 .*teachers"):
        plan(space, ["runs/b"])
    train(fresh, name="d", overrides=["init_from=runs/a"])
    tta(fresh, ["runs/d"])
    with pytest.raises(ConfigError, match=r"C33 .*runs/a-final is not trained"):
        plan(space, ["runs/d"])


def test_a_run_that_was_trained_otherwise_since_does_not_go_on_under_its_old_name(fresh: Path) -> None:
    final_result(fresh, "mean")
    config = json.loads((fresh / "runs" / "b" / "config.json").read_text())
    (fresh / "runs" / "b" / "config.json").write_text(json.dumps({**config, "image_size": 20}))
    with pytest.raises(ConfigError, match=r"C11 .*b-final(.|\n)*rename runs/b-final"):
        plan(Workspace.open(fresh), MEMBERS)


def test_the_command_shows_its_plan_and_trains_nothing_with_dry_run(
    fresh: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(fresh)
    submitted = submit_blend(Workspace.open(fresh), MEMBERS, "simplex")
    assert command(["final", "--blend", str(submitted.record), "--dry-run", "--hours", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert {unit["run"] for unit in json.loads(out)["units"]} == {"a-final", "b-final"}
    assert "counted from this start" in err
    assert not (fresh / "runs" / "a-final").exists()
    assert command(["final", "--hours", "0.0001", *MEMBERS]) == 2
    assert command(["final", "--blend", "config.json"]) == 2
    assert command(["final"]) == 2


def test_a_deadline_keeps_everything_and_the_same_command_ends_with_the_same_submission(
    fresh: Path, done: tuple[Path, FinalResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    space, now = Workspace.open(fresh), [0.0]
    measure = FoldDeadline.end_step

    def end_step(fold: FoldDeadline) -> None:
        now[0] += 1.0
        measure(fold)

    monkeypatch.setattr(FoldDeadline, "end_step", end_step)
    planned = plan(space, MEMBERS, "simplex", clock=lambda: 0.0)
    with pytest.raises(StoppedError, match="R27 the time is over: stopped after fold 0 epoch 2") as caught:
        run_final(space, planned, stop=Stop(deadline=Deadline(10.0, lambda: now[0])))
    assert str(caught.value.cases[-1]).startswith("b-final: about ")
    assert caught.value.exit_code == 6
    late = Deadline(1e6, lambda: now[0])
    monkeypatch.setattr(late, "is_due", lambda more=0.0: more == planned.blending)
    with pytest.raises(StoppedError, match="all networks are trained, and the blend is left"):
        run_final(space, planned, stop=Stop(deadline=late))
    assert final_result(fresh).submitted.path.read_bytes() == done[1].submitted.path.read_bytes()


def test_hours_and_time_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["final", "runs/a", "--hours", "1", "--time", "1h"]) == 2
    assert "--hours skips members and --time resumes them" in capsys.readouterr().err
