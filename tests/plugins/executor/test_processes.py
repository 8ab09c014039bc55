"""processes: jobs that need no torch, and what becomes of their workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from kit.core.progress import Progress
from kit.core.stopping import Stop
from kit.errors import KitWarning
from kit.kinds import Executor, JobProgress, JobResult
from kit.plugins.executor.processes import Processes

Job = Generator[Progress, None, Any]


def dying(job: Path, stop: Stop) -> Job:
    """Dies as often as the file has lines, each of which is taken away before."""
    yield Progress("job", 0, 1)
    lines = job.read_text().splitlines()
    if lines:
        job.write_text("\n".join(lines[1:]))
        os.kill(os.getpid(), signal.SIGKILL) if lines[0] == "kill" else os._exit(int(lines[0]))
    return job.name


def surroundings(job: int, stop: Stop) -> Job:
    """What a worker sees of the machine."""
    yield Progress("job", 0, 1)
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return os.getpid(), os.getpgid(0), multiprocessing.get_start_method(), *(os.environ.get(n) for n in names)


def warning(job: int, stop: Stop) -> Job:
    """Warns, once of kit and once not."""
    import warnings

    yield Progress("job", 0, 1)
    warnings.warn(KitWarning("W15 a tracker failed"), stacklevel=1)
    warnings.warn("what a library deprecates", stacklevel=1)


def local(job: int, stop: Stop) -> Job:
    """Comes to what does not pickle."""
    yield Progress("job", 0, 1)
    return threading.Lock()


def ends(executor: Executor, function: Any, *jobs: Any) -> list[JobResult]:
    """How each job ended, by its number."""
    events = executor.map(function, jobs, Stop())
    return sorted((one for one in events if isinstance(one, JobResult)), key=lambda one: one.job)


def file(folder: Path, *lines: str) -> Path:
    (folder / "-".join(("job", *lines))).write_text("\n".join(lines))
    return folder / "-".join(("job", *lines))


def test_a_job_whose_worker_is_killed_continues_so_often_and_no_oftener(tmp_path: Path) -> None:
    jobs = [file(tmp_path), file(tmp_path, "kill", "7"), file(tmp_path, "kill", "kill", "kill")]
    results = ends(Processes(workers=2, retries=2), dying, *jobs)
    assert [one.result for one in results] == ["job", "job-kill-7", None]
    error = results[2].error
    assert error is not None
    assert str(error).startswith("R11 its process was killed by signal 9, 3 times\n")
    assert not multiprocessing.active_children()


def test_a_lost_worker_is_reported(tmp_path: Path) -> None:
    events = list(Processes(retries=1).map(dying, [file(tmp_path, "7")], Stop()))
    lines = [one.step.detail for one in events if isinstance(one, JobProgress) and one.step.line]
    assert lines == ["its process ended with status 7; another worker resumes from the last checkpoint"]
    assert events[-1] == JobResult(0, "job-7")


def test_workers_share_the_gpus_that_are_named_and_lead_groups_of_their_own() -> None:
    job_results = ends(Processes(workers=3, threads=5, devices=("2", "MIG-a")), surroundings, 0, 1, 2)
    results = [one.result for one in job_results]
    assert len({pid for pid, *_ in results}) == 3
    assert all(pid == group for pid, group, *_ in results)
    assert {method for _, _, method, *_ in results} == {multiprocessing.get_start_method()}
    assert {threads for *_, threads, _ in results} == {"5"}
    assert sorted(gpu for *_, gpu in results) == ["2", "2", "MIG-a"]


def test_one_worker_a_gpu_that_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Processes()._gpus() == ["0", "1", "2"]
    assert [Processes().parallelism(jobs) for jobs in (0, 2, 9)] == [1, 2, 3]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert Processes()._gpus() == ["4", "6", "7"]
    assert Processes()._settings(1, 3)["CUDA_VISIBLE_DEVICES"] == "6"


def test_cores_are_divided_where_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("kit.plugins.executor.processes.available_cores", lambda: 8)
    assert [Processes().parallelism(jobs) for jobs in (3, 99)] == [3, 8]
    parts = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "KIT_CORES": "2"}
    assert Processes()._settings(0, 3) == parts


def test_a_workers_warnings_of_kit_are_lines_and_others_are_not() -> None:
    events = list(Processes(workers=1).map(warning, [0], Stop()))
    lines = [one.step.detail for one in events if isinstance(one, JobProgress) and one.step.line]
    assert lines == ["warning: W15 a tracker failed"]


def test_a_result_that_does_not_pickle_is_that_jobs_error() -> None:
    (result,) = ends(Processes(workers=1), local, 0)
    assert result.error is not None
    assert "R10 TypeError: cannot pickle '_thread.lock' object" in str(result.error)


def test_a_job_that_does_not_unpickle_is_an_error_and_the_same_worker_takes_the_next() -> None:
    first, second, third = ends(Processes(workers=1, retries=0), surroundings, 0, Unmade(), 2)
    assert "R10 LookupError: cannot be made here" in str(second.error)
    assert first.result[0] == third.result[0]


class Unmade:
    """Data that another process cannot make."""

    def __reduce__(self) -> Any:
        return unmade, ()


def unmade() -> None:
    raise LookupError("cannot be made here")


def test_closed_early_it_leaves_no_worker() -> None:
    events = Processes(workers=2).map(surroundings, list(range(9)), Stop())
    next(iter(events))
    events.close()
    assert not multiprocessing.active_children()
