"""Folds by an executor: the same bits as without, whatever happens to workers, and errors that keep their codes."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.files import sha256
from kit.core.progress import finish
from kit.core.stopping import Stop
from kit.errors import ConfigError, DataError, RunError
from kit.experiment.run_context import prepare_run
from kit.experiment.techniques import open_executor
from kit.plugins.optimizer.adamw import Adamw
from kit.runs.run import Run, begin, config_identity
from kit.stages.training.parallel import FoldJob, jobs_of, train_fold
from kit.stages.training.train import train
from tests.core.test_stopping import works_in
from tests.drawing import draw_competition

# a loss that does something to its process at the third step of the first one that comes to it
LOSS = '''
import os, resource, shutil, signal, time
from pathlib import Path
from kit.errors import DataError
from kit.plugins.loss.cross_entropy import CrossEntropy
from kit.kinds import Loss

ROOT = Path(__file__).parents[2]
asked = 0
BEFORE


class Odd(Loss):
    """Cross-entropy, and an accident."""

    def rows(self, outputs, labels):
        global asked
        asked += outputs.requires_grad
        if asked == 3:
            try:
                (ROOT / "done").mkdir()
            except FileExistsError:
                pass
            else:
                DO
        return CrossEntropy().rows(outputs, labels)
'''
ONE = '{"name": "processes", "workers": 1, "threads": 1}'
TWO = '{"name": "processes", "workers": 2, "threads": 1}'


def odd(space: Path, do: str, before: str = "") -> None:
    (space / "plugins" / "loss").mkdir(parents=True, exist_ok=True)
    (space / "plugins" / "loss" / "odd.py").write_text(LOSS.replace("DO", do).replace("BEFORE", before))


def run_files(space: Path, name: str = "r") -> dict[str, str]:
    """Hashes of a run's weights and predictions, by path."""
    folder = space / "runs" / name
    files = [*folder.glob("fold-*/*/*.safetensors"), *folder.rglob("*.parquet")]
    assert files
    return {str(file.relative_to(folder)): sha256(file) for file in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the run `r` comes to without an executor."""
    space = draw_competition(tmp_path_factory.mktemp("here") / "space")
    odd(space, "pass")
    train(space, ["loss=odd"], name="r")
    return run_files(space)


def same(space: Path, undisturbed: dict[str, str]) -> bool:
    """Whether the run `r` is the same but for the plugin's code, which predictions name."""
    contents = run_files(space)
    weights = {name for name in undisturbed if name.endswith("safetensors")}
    return {name: contents[name] for name in weights} == {name: undisturbed[name] for name in weights}


def test_inline_and_here_come_to_the_same_bytes(competition: Path, undisturbed: dict[str, str]) -> None:
    odd(competition, "pass")
    train(competition, ["loss=odd", "executor=in_process"], name="r")
    assert run_files(competition) == undisturbed


def test_processes_come_to_the_same_bytes_with_a_worker_killed_and_clocks_apart(
    competition: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    undisturbed: dict[str, str],
) -> None:
    odd(
        competition,
        "os.kill(os.getpid(), signal.SIGKILL)",
        "real = time.time; time.time = lambda: real() - 1e6 * (os.getpid() % 7)",
    )
    inside(competition)
    assert run(["train", "--name", "r", "loss=odd", "save_every_steps=2", "--executor", TWO]) == 0
    said = capsys.readouterr()
    assert "its process was killed by signal 9; another worker resumes from the last checkpoint" in said.err
    assert "fold 0 epoch 2/2" in said.err
    assert "fold 1 epoch 2/2" in said.err
    assert said.out == "runs/r\n"
    assert same(competition, undisturbed)
    assert run(["train", "--name", "r", "loss=odd", "save_every_steps=2", "--executor", TWO]) == 0
    assert "runs/r is finished" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("do", "executor", "status", "said"),
    [
        ("raise DataError('an image is gone', code='D02')", "in_process", 3, "D02 fold 0: an image is gone"),
        ("[][1]", "in_process", 1, "R10 fold 0: IndexError: list index out of range"),
        (
            "resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))",
            ONE,
            1,
            "R28 fold 0: the system allows no file as large as",
        ),
        ("shutil.rmtree(ROOT / 'runs' / 'r')", "in_process", 1, "R12 fold 0: the worker on"),
    ],
    ids=["error-of-kit", "any-error", "file-size", "lost-folder"],
)
def test_a_fold_that_fails_is_reported_with_its_code_and_the_others_are_kept(
    competition: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    do: str,
    executor: str,
    status: int,
    said: str,
) -> None:
    odd(competition, do)
    inside(competition)
    command = ["train", "--name", "r", "loss=odd", "--executor", executor]
    assert run(command) == status
    output = capsys.readouterr().err
    assert f"error: {said}" in output
    assert f"fold 0 failed: {said.partition(' ')[0]} " in output
    assert "Traceback" not in output
    if "R28" not in said and "R12" not in said:
        assert "(1 of 2 folds failed, the others are saved)" in output
        assert (competition / "runs" / "r" / "fold-1" / "oof.parquet").is_file()
    if executor == "in_process" and "R12" not in said:
        assert run(command) == 0


def test_runs_of_several_seeds_are_trained_together_and_one_that_fails_leaves_the_other(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    odd(competition, "raise DataError('an image is gone', code='D02')")
    inside(competition)
    command = ["train", "--name", "r", "--seeds", "0,1", "loss=odd", "--executor", "in_process"]
    assert run(command) == 3
    said = capsys.readouterr().err
    assert "train: r-seed0: fold 0 failed: D02 an image is gone" in said
    assert "train: r-seed1: all folds are trained" in said
    assert "error: D02 runs/r-seed0: fold 0: an image is gone (1 of 2 folds failed" in said
    assert run(command) == 0
    assert capsys.readouterr().out == "runs/r-seed0\nruns/r-seed1\n"


def started(space: Path, executor: str, *arguments: str) -> subprocess.Popen[str]:
    """`kit train` of the run r, in a session of its own."""
    command = [sys.executable, "-m", "kit", "train", "--name", "r", "loss=odd", "--executor", executor]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(
        [*command, *arguments],
        cwd=space,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def none_left(space: Path, seconds: float) -> bool:
    """Whether no process works in a folder any more, at once or within so many seconds."""
    deadline = time.monotonic() + seconds
    while any(works_in(entry) == space.resolve() for entry in Path("/proc").glob("[0-9]*/cwd")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_signal_to_the_command_reaches_the_workers_and_what_waits_is_not_begun(competition: Path) -> None:
    odd(competition, "os.kill(os.getppid(), signal.SIGINT); time.sleep(1)")
    process = started(competition, ONE)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert "stopping after this step; repeat to stop immediately" in said
    assert "R05 stopped with 2 folds left; all progress is saved" in said
    assert "fold 0: stopped after fold 0 epoch 1, step " in said
    assert "fold 1: stopped before it began" in said
    assert "Traceback" not in said
    assert none_left(competition, 0)
    assert list(competition.glob("runs/r/fold-0/*/manifest.json"))


def test_a_signal_to_the_group_leaves_no_process_and_the_run_continues_without_an_executor(
    competition: Path, undisturbed: dict[str, str]
) -> None:
    odd(competition, "os.killpg(os.getpgid(os.getppid()), signal.SIGTERM); time.sleep(1)")
    process = started(competition, TWO, "workers=1")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 143, said
    assert "Traceback" not in said
    assert none_left(competition, 0)
    train(competition, ["loss=odd"], name="r")
    assert same(competition, undisturbed)


def test_workers_whose_command_is_killed_save_and_leave(
    competition: Path, undisturbed: dict[str, str]
) -> None:
    odd(competition, "os.kill(os.getppid(), signal.SIGKILL)")
    process = started(competition, ONE)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    train(competition, ["loss=odd"], name="r")  # at once: it waits for a fold that is not left yet
    assert none_left(competition, 30)
    assert same(competition, undisturbed)


@pytest.fixture
def job(competition: Path) -> FoldJob:
    """A fold of a run that was begun."""
    space = Workspace.open(competition)
    of = Run(space.runs / "r")
    of.folder.mkdir(parents=True)
    setting = finish(prepare_run(space, of))
    begin(of, config_identity(space.experiment), setting.resolve_config(), setting.provenance())
    return jobs_of(setting, [0])[0]


def test_a_worker_measures_the_largest_batch_and_the_command_does_not(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command would keep its memory of a GPU beside its workers, and may be on a machine without one."""
    monkeypatch.setattr("kit.experiment.run_context.largest_batch", None)
    executor = {"name": "processes", "workers": 1, "threads": 1}
    space = Workspace.open(competition, ["batch_size=auto", f"executor={json.dumps(executor)}"])
    setting = finish(prepare_run(space, Run(space.runs / "r")))
    assert isinstance(setting.experiment.batch_size, int)


def test_a_job_is_plain_data_in_which_only_the_dtype_is_left_to_the_workers_device(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.experiment.run_context.largest_batch", lambda *_: 20)
    space = Workspace.open(competition, ["batch_size=auto", "precision=auto", "executor=in_process"])
    of = Run(space.runs / "r")
    setting = finish(prepare_run(space, of))
    begin(of, config_identity(space.experiment), setting.resolve_config(), setting.provenance())
    first, second = (pickle.loads(pickle.dumps(job)) for job in jobs_of(setting, [0, 1]))
    assert json.loads(json.dumps(first.config)) == first.config
    assert first.config["batch_size"] == 20
    optimizer = setting.techniques.optimizer
    assert isinstance(optimizer, Adamw)
    assert first.config["optimizer"]["lr"] == optimizer.lr
    assert {first.config[key] for key in setting.requested_precision.config()} == {"auto"}
    assert first.config["executor"] is None
    assert (second.fold, second.position, second.of) == (1, 1, 2)


def test_a_worker_with_another_kit_is_refused(job: FoldJob) -> None:
    with pytest.raises(DataError, match="has another version of kit than the command") as caught:
        finish(train_fold(replace(job, kit="0" * 64), Stop()))
    assert "D60" in str(caught.value)
    assert "kit's code: 000000000000 in the command, " in str(caught.value)


def test_a_worker_with_another_plugin_or_library_is_refused(job: FoldJob) -> None:
    plugins = {**job.provenance["plugins"], "loss/cross_entropy": "0" * 64}
    versions = {**job.provenance["versions"], "torch": "1.0"}
    other = replace(job, provenance={**job.provenance, "plugins": plugins, "versions": versions})
    with pytest.raises(DataError, match="would train runs/r from other inputs than the command") as caught:
        finish(train_fold(other, Stop()))
    assert "plugins loss/cross_entropy: 00000000" in str(caught.value)
    assert "versions torch: 1.0 here, " in str(caught.value)
    assert not list(Path(job.root).glob("runs/r/fold-0/*/manifest.json"))


def test_a_worker_that_sees_another_folder_is_refused(job: FoldJob, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"R12 the worker on .* sees another .*/runs/r than the command"):
        finish(train_fold(replace(job, root=str(tmp_path / "elsewhere")), Stop()))
    with pytest.raises(RunError, match="R12"):
        finish(train_fold(replace(job, started="at another time"), Stop()))


def test_one_gpu_for_all_is_refused_where_each_worker_has_its_own(competition: Path) -> None:
    one, other = (Workspace.open(competition, [f"executor={name}"]) for name in ("in_process", "processes"))
    assert open_executor(one, "cuda:1").in_process
    assert not open_executor(other, "cuda").in_process
    with pytest.raises(ConfigError, match="C31 device 'cuda:1' is one GPU"):
        open_executor(other, "cuda:1")
