"""Ray: jobs on the nodes of a Ray cluster, by resources."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import IO, Any, ClassVar, cast

from pydantic import Field

from kit.core.cores import PART_OF_CORES
from kit.core.progress import Progress
from kit.core.stopping import Stop
from kit.errors import TIME_OVER, ConfigError, RunError, StoppedError
from kit.kinds import Executor, Function, JobEvents, JobProgress, JobResult
from kit.kinds.executor import (
    EXECUTOR_TASK,
    cancellation_error,
    run_job_in_worker,
    worker_lost_error,
    wrap_exception,
)

DUMPED = re.compile(r"\s+\[")  # a line of a log, such as [state-dump]
POLL_S = 0.2  # seconds between checks for signals
ASK = 0.5  # seconds between a job's questions whether to stop
ANSWER = 10.0  # seconds until a cluster's first answer


class Ray(Executor):
    """Jobs on a Ray cluster, placed by CPUs, GPUs and memory. If a worker or node is lost, another resumes its job.

    All nodes must see the workspace's folder under one path, and have the same kit. Start the command on one
    of them.

    Source: Moritz et al. 2018, "Ray: A Distributed Framework for Emerging AI Applications"; https://docs.ray.io.
    """

    package: ClassVar[str] = "ray"
    remote: ClassVar[bool] = True

    address: str | None = Field(
        None,
        description="host:port of the cluster's head; by default RAY_ADDRESS, otherwise the cluster of this machine",
    )
    cpus: int = Field(1, ge=1, description="cores per job, also the number of torch's threads")
    gpus: float | None = Field(None, ge=0, description="GPUs per job; by default one if the cluster has GPUs")
    memory: int | None = Field(
        None, ge=1, description="bytes of memory per job, so that no node runs more jobs than fit"
    )
    retries: int = Field(
        2,
        ge=0,
        description="number of times a job resumes from its checkpoint after its worker or node was lost",
    )

    def map(self, function: Function, jobs: Sequence[Any], stop: Stop) -> JobEvents:
        if not jobs:
            return
        with self._connect():
            tasks = _Tasks(function, jobs, self.retries, self._needs(), self.cpus)
            try:
                if not self._slots():
                    needs = ", ".join(f"{name} {need:g}" for name, need in self._resources().items())
                    yield tasks.announce(f"no node of the cluster has {needs}: waiting for one that has")
                yield from tasks.run(stop)
            finally:
                tasks.end()

    def parallelism(self, jobs: int) -> int:
        with self._connect():
            return max(1, min(jobs, self._slots()))

    def _needs(self) -> dict[str, float]:
        """Returns the resources of a job, as Ray names them."""
        import ray

        gpus = self.gpus if self.gpus is not None else float(ray.cluster_resources().get("GPU", 0) > 0)
        return {"num_cpus": self.cpus, "num_gpus": gpus, **({"memory": self.memory} if self.memory else {})}

    def _resources(self) -> dict[str, float]:
        """Returns the same as a node's resources are named, if any are requested."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        return {names[key]: need for key, need in self._needs().items() if need}

    def _slots(self) -> int:
        """Returns how many jobs the nodes can run at once."""
        import ray

        needs = self._resources()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(int(min(node.get(name, 0) // need for name, need in needs.items())) for node in nodes)

    @contextmanager
    def _connect(self) -> Iterator[None]:
        """Opens a connection to the cluster; a script's own connection stays open.

        Raises RunError R15 if no cluster answers.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
        if "NO_COLOR" in os.environ or not sys.stderr.isatty():
            os.environ.setdefault("RAY_COLOR_PREFIX", "0")
        import ray

        if ray.is_initialized():
            yield
            return
        address = self.address or os.environ.get("RAY_ADDRESS") or "auto"
        _check_answers(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(address, str(error).splitlines()[0]) from None
        try:
            # Ray itself prints that a worker or a node was lost
            with redirect_stdout(cast(IO[str], _WithoutDumps(sys.stderr))):
                yield
        finally:
            ray.shutdown()


class _WithoutDumps:
    """A stream that leaves out the log of a lost node, which Ray prints after its one-line message."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes all but indented lines of a log."""
        self.stream.write("".join(line for line in text.splitlines(True) if not DUMPED.match(line)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _check_answers(address: str) -> None:
    """Raises RunError R15 at once if no process listens; Ray would retry for a long time."""
    if address.startswith("ray://"):
        raise ConfigError(
            f"{address} is an address of Ray Client, through which no progress comes",
            code="C32",
            hint="start the command on a node of the cluster, with the address that `ray status` shows, or none",
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return  # "auto", "local"
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, why: str) -> RunError:
    where = "on this machine" if address == "auto" else f"at {address}"
    return RunError(
        f"no Ray cluster answers {where}: {why}",
        code="R15",
        hint="ray start --head on one machine, executor.address=host:port on others; or --executor processes",
    )


class _StopActor:
    """An actor that jobs ask whether to stop."""

    def __init__(self) -> None:
        self.signal_number = 0

    def request(self, number: int) -> None:
        self.signal_number = number

    def requested(self) -> int:
        return self.signal_number


def _work(
    function: Function, job: Any, stop_actor: Any, threads: int, settings: dict[str, str]
) -> Iterator[Any]:
    """Runs a job in a worker of the cluster: yields None at its start, then its messages."""
    os.environ.update(settings)
    if "torch" in sys.modules:  # the function's module has imported it, before the environment could be set
        sys.modules["torch"].set_num_threads(threads)
    yield None
    stop, done = Stop(), threading.Event()
    listening = threading.Thread(target=_listen, args=(stop_actor, stop, done), daemon=True)
    listening.start()
    try:
        yield from run_job_in_worker(function, 0, job, stop)
    finally:
        done.set()


def _listen(stop_actor: Any, stop: Stop, done: threading.Event) -> None:
    """Asks from its own thread, so that Ray does not lend the job's cores to others meanwhile."""
    import ray

    while not stop.requested and not done.wait(ASK):
        try:
            stop.requested = ray.get(stop_actor.requested.remote())
        except ray.exceptions.ActorUnavailableError:  # Ray starts it again
            continue
        except ray.exceptions.RayError:  # the command has ended
            stop.requested = signal.SIGTERM


class _Tasks:
    """Jobs as Ray's tasks, each a stream of messages."""

    def __init__(
        self, function: Function, jobs: Sequence[Any], retries: int, needs: dict[str, float], threads: int
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.function, self.jobs, self.retries, self.threads = function, jobs, retries, threads
        # beside the command, so that the end of another node does not end it; Ray restarts a killed one
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
        self.stop_actor: Any = ray.remote(_StopActor).options(**options).remote()
        self.task = ray.remote(_work).options(**needs, max_retries=0)
        self.settings = {name: os.environ[name] for name in ("KIT_PLUGINS",) if name in os.environ}
        self.settings[PART_OF_CORES] = str(threads)
        self.streams: dict[Any, int] = {}  # job number by stream
        self.begun: set[int] = set()
        self.losses = [0] * len(jobs)

    def announce(self, text: str) -> JobProgress:
        """Returns a line that belongs to no job."""
        return JobProgress(0, Progress(EXECUTOR_TASK, 0, 1, text, line=True))

    def run(self, stop: Stop) -> Iterator[JobProgress | JobResult]:
        """Yields messages until every job has ended."""
        import ray

        stop_level = 0
        for number in range(len(self.jobs)):
            self._start(number)
        while self.streams:
            if stop.requested:  # each time, because a restarted actor has forgotten it
                self.stop_actor.request.remote(stop.requested)
            if stop.requested and not stop_level:
                stop_level = stop.requested
                for stream, number in self.streams.items():
                    if number not in self.begun:
                        ray.cancel(stream)
            ready, _ = ray.wait(list(self.streams), timeout=POLL_S)
            for stream in ready:
                yield from self._receive(stream, stop)

    def _start(self, number: int) -> None:
        stream = self.task.remote(
            self.function, self.jobs[number], self.stop_actor, self.threads, self.settings
        )
        self.streams[stream] = number

    def _receive(self, stream: Any, stop: Stop) -> Iterator[JobProgress | JobResult]:
        """Yields a job's messages, or the outcome of its worker."""
        import ray

        number = self.streams[stream]
        try:
            message = ray.get(next(stream))
        except ray.exceptions.RayTaskError as error:  # outside of the job: mostly its module or its data
            cause = error.cause if isinstance(error.cause, Exception) else error
            waited = stop.requested and number not in self.begun  # Ray reports a cancelled job as failed
            message = (
                cancellation_error(number, stop) if waited else JobResult(number, error=wrap_exception(cause))
            )
        except (ray.exceptions.RayError, StopIteration) as error:
            del self.streams[stream]
            yield from self._restart_job(number, error, stop)
            return
        if message is None:
            self.begun.add(number)
        elif isinstance(message, JobResult):
            del self.streams[stream]
            is_cut_off = isinstance(message.error, StoppedError) and message.error.number != TIME_OVER
            if is_cut_off and not stop.requested:
                yield from self._restart_job(number, cast(StoppedError, message.error), stop)
            else:
                yield JobResult(number, message.result, message.error)
        else:
            yield JobProgress(number, message.step)

    def _restart_job(self, number: int, error: Exception, stop: Stop) -> Iterator[JobProgress | JobResult]:
        """Restarts a job whose worker or node was lost, up to `retries` times."""
        how = f"its worker on the cluster was lost ({type(error).__name__})"
        self.losses[number] += 1
        self.begun.discard(number)
        outcome = worker_lost_error(number, self.losses[number], self.retries, how, "executor.memory", stop)
        yield outcome
        if isinstance(outcome, JobProgress):
            self._start(number)

    def end(self) -> None:
        """Ends all jobs."""
        import ray

        for stream in self.streams:
            with suppress(Exception):
                ray.cancel(stream, force=True)
        with suppress(Exception):
            ray.kill(self.stop_actor)
