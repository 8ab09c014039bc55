"""Processes: jobs in processes of this machine, one device each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pydantic import Field

from kit.core.cores import PART_OF_CORES, available_cores
from kit.core.stopping import Stop
from kit.kinds import Executor, Function, JobEvents, JobProgress, JobResult
from kit.kinds.executor import cancellation_error, worker_lost_error
from kit.plugins.executor._worker import work

POLL_S = 0.2  # seconds between checks for lost workers and signals
WORKER_EXIT_TIMEOUT_S = 10.0  # seconds until a worker without a job is killed


class Processes(Executor):
    """Jobs in processes of this machine: one per GPU, or else one per core. A killed process is replaced.

    Source: multiprocessing, started by spawn, https://docs.python.org/3/library/multiprocessing.html.
    """

    workers: int | None = Field(
        None,
        ge=1,
        description="number of worker processes; by default one per GPU, or one per core without GPUs",
    )
    threads: int | None = Field(
        None, ge=1, description="torch's threads per worker; by default the workers share the cores equally"
    )
    devices: tuple[str, ...] = Field(
        (), description="GPUs to use, as in CUDA_VISIBLE_DEVICES; by default all that torch finds"
    )
    retries: int = Field(
        2, ge=0, description="number of times a job resumes from its checkpoint after its worker was killed"
    )

    def map(self, function: Function, jobs: Sequence[Any], stop: Stop) -> JobEvents:
        count = self.parallelism(len(jobs))
        pool = _Pool(function, jobs, self.retries, [self._settings(worker, count) for worker in range(count)])
        try:
            yield from pool.run(stop)
        finally:
            pool.end()

    def parallelism(self, jobs: int) -> int:
        return max(1, min(jobs, self.workers or len(self._gpus()) or available_cores()))

    def _gpus(self) -> Sequence[str]:
        if self.devices:
            return self.devices
        import torch

        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        return (devices.split(",") if devices else [str(n) for n in range(64)])[: torch.cuda.device_count()]

    def _settings(self, worker: int, count: int) -> dict[str, str]:
        """Returns the environment of a worker: its cores and threads, and the one GPU that it sees."""
        threads, gpus = str(self.threads or max(1, available_cores() // count)), self._gpus()
        settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        settings[PART_OF_CORES] = str(max(1, available_cores() // count))
        return {**settings, "CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]} if gpus else settings


@dataclass(eq=False)
class _Worker:
    """A process, this end of its pipe, and its job."""

    process: BaseProcess
    pipe: Connection
    settings: dict[str, str]
    job: int

    def end(self) -> None:
        """Ends the process with all that it has started."""
        if hasattr(os, "killpg"):  # not on Windows
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.kill()  # it may not lead its process group yet
        self.process.join()
        self.pipe.close()


class _Pool:
    """Workers, started as long as jobs wait, and their messages."""

    def __init__(
        self, function: Function, jobs: Sequence[Any], retries: int, settings: Sequence[dict[str, str]]
    ) -> None:
        self.function, self.jobs, self.retries = function, jobs, retries
        self.waiting = deque(range(len(jobs)))
        self.losses = [0] * len(jobs)
        self.settings, self.workers = settings, list[_Worker]()

    def run(self, stop: Stop) -> Iterator[JobProgress | JobResult]:
        """Yields messages until every job has ended."""
        stop_level = 0
        for settings in self.settings:
            self._start(settings)
        while self.workers:
            if stop.requested and not stop_level:
                stop_level = stop.requested
                yield from (cancellation_error(number, stop) for number in self.waiting)
                self.waiting.clear()
                for worker in self.workers:
                    self._hand(worker, stop_level)
            ready = wait([worker.pipe for worker in self.workers], POLL_S)
            for worker in list(self.workers):
                if worker.pipe in ready:
                    yield from self._receive(worker, stop)
                elif worker.process.exitcode is not None:
                    yield from self._replace_worker(worker, stop)

    def _start(self, settings: dict[str, str]) -> None:
        """Starts a worker for the next job, if one waits."""
        if not self.waiting:
            return
        context = multiprocessing.get_context("spawn")
        mine, its = context.Pipe()
        process = context.Process(target=work, args=(its, settings))
        process.start()
        its.close()
        worker = _Worker(process, mine, settings, self.waiting.popleft())
        self.workers.append(worker)
        self._hand(worker, (self.function, self.jobs[worker.job]))

    def _hand(self, worker: _Worker, given: Any) -> None:
        with suppress(OSError):  # the worker is lost, which is found below
            worker.pipe.send(given)

    def _receive(self, worker: _Worker, stop: Stop) -> Iterator[JobProgress | JobResult]:
        """Yields a worker's messages. At its job's end the worker receives another one."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(WORKER_EXIT_TIMEOUT_S)
            yield from self._replace_worker(worker, stop)
            return
        yield replace(message, job=worker.job)
        if not isinstance(message, JobResult):
            return
        if self.waiting:
            worker.job = self.waiting.popleft()
            self._hand(worker, (self.function, self.jobs[worker.job]))
            return
        self.workers.remove(worker)
        self._hand(worker, None)
        worker.process.join(WORKER_EXIT_TIMEOUT_S)
        worker.end()

    def _replace_worker(self, worker: _Worker, stop: Stop) -> Iterator[JobProgress | JobResult]:
        """Replaces a worker that ended with its job unfinished.

        The job resumes in the new one, up to `retries` times.
        """
        self.workers.remove(worker)
        number, code = worker.job, worker.process.exitcode
        worker.end()
        ended = (
            f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        )
        self.losses[number] += 1
        outcome = worker_lost_error(
            number, self.losses[number], self.retries, f"its process {ended}", "fewer executor.workers", stop
        )
        yield outcome
        if isinstance(outcome, JobProgress):
            self.waiting.appendleft(number)
        self._start(worker.settings)

    def end(self) -> None:
        """Ends all workers."""
        for worker in self.workers:
            worker.end()
        self.workers.clear()
