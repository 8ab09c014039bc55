"""Schedule: a running plan: the pending jobs, the finished ones, and those that will not finish in time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from kit.config.workspace import Workspace
from kit.core.durations import write_duration
from kit.core.progress import Progress, ResultOf, Work
from kit.core.stopping import Stop
from kit.errors import TIME_OVER, RunError, StoppedError
from kit.runs.run import is_on_embeddings
from kit.stages.final.jobs import FinalPlan, TrainingJob
from kit.stages.final.planning import select_fitting
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train_run

TASK = "final"

Clock = Callable[
    [], float
]  # monotonic seconds, such as time.monotonic: a clock that is set back has no effect


@dataclass
class Schedule:
    """The state of a plan: pending and finished jobs, and its speed compared with the planned one."""

    workspace: Workspace
    plan: FinalPlan
    stop: Stop
    clock: Clock
    pending: list[TrainingJob]
    trained: list[TrainingJob] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    took: float = 0.0  # seconds of the epochs of this command
    planned: float = 0.0  # their planned seconds

    @property
    def seconds_left(self) -> float:
        """The seconds for training and predicting."""
        if self.plan.seconds is None:
            return float("inf")
        return self.plan.begun + self.plan.seconds - self.plan.blending - self.clock()

    @property
    def slowdown(self) -> float:
        """The ratio of actual to planned epoch time."""
        return self.took / self.planned if self.planned and self.took else 1.0

    def run(self) -> Work[None]:
        """Runs every unit in its turn."""
        self.left_out |= {unit.run.name: "too long from the start" for unit in self.plan.left_out}
        while self.pending:
            unit = self.pending.pop(0)
            try:
                yield from self._of(unit, self._train(unit))
            except StoppedError as error:
                if error.number != TIME_OVER:
                    raise
                later = [f"{job.run.name}: about {write_duration(job.cost)}" for job in self.pending]
                left = [f"{unit.run.name}: {case}" for case in error.cases]
                raise error.replace(cases=[*left, *later]) from error

    def _of(self, unit: TrainingJob, work: Work[bool]) -> Work[None]:
        """Trains and predicts a unit, with the command's bar shown.

        A unit that fails is left out, and the others continue.
        """
        try:
            whole = yield from self._in_view(work)
        except RunError as error:
            self.left_out[unit.run.name] = f"failed: {error.code} {error.summary}"
            yield Progress(
                TASK, 0, 1, f"{unit.run.name} failed and is skipped: {error.code} {error.summary}", line=True
            )
            return
        if not whole:
            yield from self._leave_out(unit, f"{unit.epochs_done} of {unit.epochs} epochs were trained")
            return
        space = self.workspace
        # kit train has predicted the test rows of a run on embeddings
        for member in () if is_on_embeddings(unit.run) else unit.members:
            yield from self._in_view(
                tta.with_progress(
                    space,
                    [unit.run.folder],
                    member.views.spec(),
                    member.merge,
                    space.experiment.device,
                    stop=self.stop,
                )
            )
        self.trained.append(unit)

    def _in_view(self, work: Work[Any]) -> Work[Any]:
        done = len(self.trained) + len(self.left_out) - len(self.plan.left_out)
        with closing(work):
            outcome = ResultOf(work)
            for step in outcome:
                share = done + step.done / max(step.total, 1)
                yield replace(step, done=share, total=len(self.plan.units)) if step.task == "train" else step
        return outcome.result

    def _train(self, unit: TrainingJob) -> Work[bool]:
        """Trains a unit to its end, or returns False if it would miss the deadline."""
        yield from self._make_room(unit)
        if not self._fits(unit):
            return False
        if not unit.is_trained:
            yield Progress(
                TASK,
                0,
                1,
                f"{unit.run.name} trains on all rows, {unit.epochs_done} of {unit.epochs} epochs done",
                line=True,
            )
        done, since = unit.epochs_done, self.clock()
        with closing(train_run.with_progress(unit.workspace, unit.run.name, None, self.stop)) as work:
            for step in work:
                yield step
                if self.seconds_left < 0:
                    return unit.is_trained
                if step.line and unit.epochs_done > done:
                    now = self.clock()
                    self.took += now - since
                    self.planned += sum(unit.pace.epochs[done : unit.epochs_done])
                    done, since = unit.epochs_done, now
                    yield from self._make_room(unit)
                    if not self._fits(unit):
                        return False
        return True

    def _fits(self, unit: TrainingJob) -> bool:
        return bool(select_fitting([unit], self.seconds_left / self.slowdown))

    def _make_room(self, unit: TrainingJob) -> Work[None]:
        """Leaves out pending units after a unit that will not fit at the observed speed."""
        chosen = select_fitting([unit, *self.pending], self.seconds_left / self.slowdown)
        for other in [job for job in self.pending if job not in chosen]:
            yield from self._leave_out(other, "would miss the deadline")
        self.pending = [job for job in self.pending if job in chosen]

    def _leave_out(self, unit: TrainingJob, why: str) -> Work[None]:
        self.left_out[unit.run.name] = why
        needed, left = self.slowdown * unit.cost / 3600, max(self.seconds_left, 0) / 3600
        text = (
            f"{unit.run.name} is skipped: it needs {needed:.3f} more hours, and {left:.3f} are left ({why})"
        )
        yield Progress(TASK, 0, 1, text, line=True)
