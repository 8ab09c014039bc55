"""Trains from Python: in this process, which the Stop button stops, or on several devices by the command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.errors import TIME_OVER, TIME_OVER_STATUS, KitError, RunError, StoppedError
from kit.runs.archive import archive_run
from kit.runs.run import Run, check_same_experiment, find_run, is_finished
from kit.session.calls import Call

Asked = Sequence[tuple[Workspace, str | None]]  # a workspace with the run's config, and the run's name


def train(call: Call, requests: Asked, folds: Sequence[int] | None, restart: bool) -> list[Run]:
    """Trains runs to their end, one after another, or together if the config has an executor."""
    from kit.evaluation.competition import check_scoring
    from kit.stages.training.train import train_run, train_runs

    check_scoring(requests[0][0])
    runs = [find_run(workspace, name) for workspace, name in requests]
    for run, (workspace, _) in zip(runs, requests, strict=True):
        if restart and (old := archive_run(run)) is not None:
            call.say(f"training runs/{run.name} again; the old run is runs/{old.name}")
        check_same_experiment(run, workspace.experiment)
        if is_finished(run, folds):
            call.say(f"runs/{run.name} is finished")
    with call.handle_signals():
        if len(requests) == 1 or requests[0][0].experiment.executor is None:
            return [
                call.follow(train_run.with_progress(workspace, name, folds, call.stop))
                for workspace, name in requests
            ]
        return _all_or_raise(call.follow(train_runs(requests, folds, call.stop)))


def _all_or_raise(outcomes: Sequence[Run | KitError]) -> list[Run]:
    failed = [outcome for outcome in outcomes if isinstance(outcome, KitError)]
    if failed:
        raise failed[0]
    return [outcome for outcome in outcomes if isinstance(outcome, Run)]


def train_on_devices(
    call: Call,
    workspace: Workspace,
    overrides: Sequence[str],
    config: StrPath | None,
    options: Mapping[str, object],
) -> None:
    """Trains by `kit train --devices N`, because ranks are processes with their own main module.

    `options` are the command's other options, without those that are None or False. Raises StoppedError if a
    signal (R05) or --time (R27) stopped it, RunError with the command's own message if it failed.
    """
    arguments = ["train", *overrides]
    if config is not None:
        arguments += ["--config", str(Path(config).resolve())]
    for name, value in options.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            arguments += [f"--{name}", ",".join(map(str, value))]
        elif value is not None and value is not False:
            arguments += [f"--{name}", *([] if value is True else [str(value)])]
    _run_command(call, workspace, arguments)


def _run_command(call: Call, workspace: Workspace, arguments: Sequence[str]) -> None:
    """Runs a command of kit and shows its output.

    A signal is forwarded to the command, which ends after its step.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "kit", *arguments],
        cwd=workspace.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    lines: list[str] = []
    try:
        with call.handle_signals(), call.stop.at_step_boundary():
            assert process.stderr is not None
            is_forwarded = failed = False
            for line in process.stderr:
                lines.append(line.rstrip())
                failed = failed or line.startswith("error: ")
                if not failed and not line.startswith("next: "):
                    call.say(lines[-1])
                if call.stop.requested and not is_forwarded:
                    is_forwarded = True
                    process.send_signal(signal.SIGINT)
            status = process.wait()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if call.stop.requested:
        raise StoppedError("stopped after a step, saved", call.stop.requested)
    if status == TIME_OVER_STATUS:
        error = _error_of(lines, status)
        raise StoppedError(error.summary, TIME_OVER).replace(cases=error.cases, hint=error.hint)
    if status:
        raise _error_of(lines, status)


def _error_of(lines: Sequence[str], status: int) -> RunError:
    """Returns the error that a command has printed: its code, summary and further lines."""
    start = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
    if start is None:
        return RunError(
            f"the command that trains on several devices ended with status {status}", cases=lines[-3:]
        )
    code, summary = re.fullmatch(r"error: (?:([A-Z]\d\d) )?(.*)", lines[start]).groups()  # type: ignore[union-attr]
    more = [line.strip() for line in lines[start + 1 :]]
    hints = [line.removeprefix("try: ") for line in more if line.startswith("try: ")]
    cases = [line for line in more if not line.startswith("try: ")]
    return RunError(summary, code=code or "", cases=cases, hint="; ".join(hints))
