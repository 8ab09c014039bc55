"""ray: a cluster of two nodes on this machine; the same bytes as here, with a worker killed in the middle."""

from __future__ import annotations

import io
import os
import signal
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from kit.commands._menu import run
from kit.contracts import executor as laws
from kit.core.progress import Progress
from kit.core.stopping import Stop
from kit.errors import ConfigError, RunError, StoppedError
from kit.kinds import Executor, JobProgress, JobResult
from kit.plugins.executor.ray import _WithoutDumps
from kit.stages.training.train import train
from tests.slow_steps import check_deadline
from tests.stages.training.test_parallel import odd, run_files

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where a cluster of two nodes of one core each answers, for as long as this module's tests last."""
    before = dict(os.environ)
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    # by default 15: tests in other processes would leave the workers no core
    os.environ.update(RAY_worker_niceness="0")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), before.get("PYTHONPATH", "")])
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        yield str(cluster.address)
    finally:
        session = str(cluster.head_node.get_session_dir_path())
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
    deadline = time.monotonic() + 10
    while left := [file for file in Path("/proc").glob("[0-9]*/cmdline") if session in words(file)]:
        assert time.monotonic() < deadline, [words(file) for file in left]
        time.sleep(0.1)


def words(file: Path) -> str:
    """A process's command line; empty for one that is no more."""
    try:
        return file.read_text()
    except OSError:
        return ""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection but one to this machine fails."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> object:
        if self.family == socket.AF_INET and address[0] not in {"127.0.0.1", *mine()}:
            raise OSError(f"tests do not connect to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def mine() -> set[str]:
    """This machine's own addresses, without asking anybody."""
    import ray

    return {ray.util.get_node_ip_address()}


def ray(address: str, **options: Any) -> dict[str, Any]:
    return {"name": "ray", "address": address, "cpus": 1, **options}


def busy(job: Path, stop: Stop) -> Generator[Progress, None, tuple[str, float, float]]:
    """A job that takes a second, and dies at its first try where the file says so."""
    begun = time.time()
    yield Progress("job", 0, 1, "at work", line=True)
    if job.read_text() == "kill":
        job.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1)
    return job.name, begun, time.time()


@pytest.mark.parametrize("law", [law for name, law in vars(laws).items() if name.startswith("law_")])
def test_it_keeps_the_laws(
    address: str, law: Callable[[Executor], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Executor.open(ray(address))
    monkeypatch.setattr(type(executor), "remote", False)
    law(executor)


def test_a_node_works_on_no_more_than_it_has_cores_for_and_a_lost_worker_is_replaced(
    address: str, tmp_path: Path
) -> None:
    jobs = [tmp_path / name for name in "abcd"]
    for job in jobs:
        job.write_text("kill" if job.name == "a" else "")
    executor = Executor.open(ray(address))
    assert executor.parallelism(9) == 2
    events = list(executor.map(busy, jobs, Stop()))
    results = [one.result for one in events if isinstance(one, JobResult)]
    assert sorted(name for name, _, _ in results) == list("abcd")
    for _, begun, _ in results:
        assert sum(other <= begun < ended for _, other, ended in results) <= 2
    lost = [one.step.detail for one in events if isinstance(one, JobProgress) and "lost" in one.step.detail]
    assert lost == [
        "its worker on the cluster was lost (WorkerCrashedError); another worker resumes from the last checkpoint"
    ]


def patient(job: float, stop: Stop) -> Generator[Progress, None, str]:
    """A job that lasts so many seconds, or until it is asked to stop."""
    end = time.monotonic() + job
    yield Progress("job", 0, 1, "at work", line=True)
    while time.monotonic() < end:
        if stop.requested:
            raise StoppedError("stopped, saved", stop.requested)
        time.sleep(0.1)
    return "done"


def actors() -> list[int]:
    """The processes of what jobs ask whether to stop."""
    files = Path("/proc").glob("[0-9]*/cmdline")
    return [int(file.parent.name) for file in files if words(file).startswith("ray::_StopActor")]


def kill_actors() -> None:
    for number in actors():
        os.kill(number, signal.SIGKILL)


def test_the_death_of_what_jobs_ask_stops_none_of_them(address: str) -> None:
    results = []
    for one in Executor.open(ray(address)).map(patient, [5.0, 5.0], Stop()):
        if isinstance(one, JobResult):
            results.append(one)
        elif "at work" in one.step.detail:
            kill_actors()
    assert [one.error for one in results] == [None, None]
    assert [one.result for one in results] == ["done", "done"]


def test_a_stop_reaches_jobs_after_the_death_of_what_they_ask(address: str) -> None:
    stop, results = Stop(), []
    for one in Executor.open(ray(address)).map(patient, [60.0, 60.0], stop):
        if isinstance(one, JobResult):
            results.append(one)
        elif "at work" in one.step.detail:
            kill_actors()
            stop.requested = signal.SIGINT
    assert sorted(str(one.error)[:3] for one in results) == ["R05", "R05"]


def test_a_job_that_was_cut_off_though_nobody_asked_is_begun_again(address: str, tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.write_text("cut off")
    events = list(Executor.open(ray(address)).map(cut_off, [job], Stop()))
    lost = [one.step.detail for one in events if isinstance(one, JobProgress) and "lost" in one.step.detail]
    assert len(lost) == 1
    assert [one.result for one in events if isinstance(one, JobResult)] == ["done"]


def cut_off(job: Path, stop: Stop) -> Generator[Progress, None, str]:
    """A job that takes the loss of its command for a signal, at its first try."""
    yield Progress("job", 0, 1, "at work", line=True)
    if job.read_text():
        job.write_text("")
        raise StoppedError("stopped, saved", signal.SIGTERM)
    return "done"


def test_a_job_that_fits_no_node_waits_says_so_and_can_be_stopped(address: str, tmp_path: Path) -> None:
    stop, reports = Stop(), []
    for one in Executor.open(ray(address, cpus=64)).map(busy, [tmp_path / "a"], stop):
        reports.append(one)
        stop.requested = signal.SIGINT
    said, ended = reports
    assert isinstance(said, JobProgress)
    assert "no node of the cluster has CPU 64: waiting" in said.step.detail
    assert isinstance(ended, JobResult)
    assert str(ended.error).startswith("R05 stopped before it began")


def test_folds_on_a_cluster_come_to_the_same_bytes_with_a_worker_killed(
    address: str,
    competition: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    odd(competition, "os.kill(os.getpid(), signal.SIGKILL)")
    inside(competition)
    assert run(["train", "--name", "r", "loss=odd", "save_every_steps=2", "--executor", "ray"]) == 0
    said = capsys.readouterr()
    assert (
        "its worker on the cluster was lost (WorkerCrashedError); another worker resumes from the last"
        in said.err
    )
    assert "train: fold 0 epoch 2/2" in said.err
    assert "train: fold 1 epoch 2/2" in said.err
    assert said.out == "runs/r\n"
    files = run_files(competition)
    (competition / "runs" / "r").rename(competition / "runs" / "ray")
    train(competition, ["loss=odd", "save_every_steps=2"], name="r")
    assert run_files(competition) == files


def test_the_log_of_a_lost_node_is_left_out() -> None:
    stream = io.StringIO()
    with redirect_stdout(_WithoutDumps(stream)):
        print(
            "(raylet) Raylet is terminated.\n    [state-dump] NodeManager - 1 total\n    [2026-11-30 I 1 1] x"
        )
        print("kit's own line")
    assert stream.getvalue().split("\n") == ["(raylet) Raylet is terminated.", "", "kit's own line", ""]


def test_where_nothing_answers_it_says_so_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(RunError, match="R15 no Ray cluster answers at 127.0.0.1:1: .*refused"):
        Executor.open(ray("127.0.0.1:1")).parallelism(2)
    with pytest.raises(ConfigError, match="C32 ray://127.0.0.1:10001 is an address of Ray Client"):
        Executor.open(ray("ray://127.0.0.1:10001")).parallelism(2)
    assert time.monotonic() - begun < 5


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match="C24 executor 'ray' needs the package ray, which is not installed"
    ) as caught:
        Executor.open("ray").check()
    assert "pip install 'kit-competitions[ray]', or executor=processes" in str(caught.value)


def test_folds_on_a_cluster_stop_at_the_deadline(competition: Path, address: str) -> None:
    check_deadline(competition, f'{{"name": "ray", "address": "{address}"}}')
