"""A worker: a process that receives jobs one after another through a pipe, and reports their progress through it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from kit.core.stopping import SIGNALS, Stop
from kit.kinds import JobProgress, JobResult
from kit.kinds.executor import run_job_in_worker, wrap_exception


def work(pipe: Connection, settings: Mapping[str, str]) -> None:
    """Works on jobs, `(function, job)` each, until it receives None.

    A number asks to stop, as the signal of that number. Progress is sent without a job number, which the
    other end knows. If the other end is lost, the running job saves and ends. `settings` are environment
    variables, set before a job imports torch.
    """
    for number in SIGNALS:  # the process that hands out jobs handles signals, and sends the request
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "setpgid"):  # not on Windows
        os.setpgid(0, 0)  # so that it can be ended together with its loader processes
    multiprocessing.set_start_method(
        None, force=True
    )  # its loader processes start as those of any process do
    os.environ.update(settings)
    if "torch" in sys.modules and "OMP_NUM_THREADS" in settings:  # a script's own import
        sys.modules["torch"].set_num_threads(int(settings["OMP_NUM_THREADS"]))
    stop, jobs = Stop(), SimpleQueue[Any]()
    threading.Thread(target=_listen, args=(pipe, stop, jobs), daemon=True).start()
    try:
        while (given := jobs.get()) is not None:
            for message in run_job_in_worker(given[0], 0, given[1], stop):
                _send(pipe, message)
    except (BrokenPipeError, ConnectionResetError):
        return


def _send(pipe: Connection, message: JobProgress | JobResult) -> None:
    try:
        pipe.send(message)
    except OSError:
        raise
    except Exception as error:  # a result that cannot be pickled
        pipe.send(JobResult(0, error=wrap_exception(error)))


def _listen(pipe: Connection, stop: Stop, jobs: SimpleQueue[Any]) -> None:
    """Receives messages while a job runs."""
    while True:
        try:
            given = pipe.recv()
        except (EOFError, OSError):
            stop.requested = stop.requested or signal.SIGTERM
            jobs.put(None)
            return
        except Exception as error:  # a job whose function or data cannot be loaded in this process
            pipe.send(JobResult(0, error=wrap_exception(error)))
            continue
        if isinstance(given, int):
            stop.requested = given
        else:
            jobs.put(given)
