"""Tracking: sends a run's numbers to trackers.

If a tracker fails or hangs, kit drops it and training continues.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kit.core.files import fingerprint
from kit.errors import KitWarning
from kit.kinds.tracker import Tracked, Tracker

if TYPE_CHECKING:
    from kit.config.models import Experiment
    from kit.data.predictions import Predictions
    from kit.engine.fit import StepEvent
    from kit.engine.learner import Learner
    from kit.experiment.run_context import RunContext
    from kit.runs.run import Run

TRACKER_TIMEOUT_S = 60.0  # maximum seconds of a call of a tracker


class UnfinishedFold(Exception):
    """Ends a tracker's block if the fold has not finished."""


@dataclass
class Trackers:
    """An experiment's trackers, and those that have failed and are not called again."""

    recipes: tuple[Tracker, ...] = ()
    failed: set[int] = field(default_factory=set)

    @classmethod
    def open(cls, experiment: Experiment, root: Path | None = None) -> Trackers:
        """Opens the trackers. Raises PluginError and ConfigError for those that do not exist or cannot work here."""
        recipes = tuple(Tracker.open(spec, root, where="tracker") for spec in experiment.trackers())
        for recipe in recipes:
            recipe.check()
        return cls(recipes)

    def of_fold(self, setting: RunContext, fold: int, learner: Learner) -> Tracking:
        """Returns the tracking of a fold's remaining steps and epochs."""
        over = learner.epoch >= setting.experiment.epochs
        return Tracking(self, None if over else _run_info(setting, fold, learner.step))

    def log_pooled(self, setting: RunContext, whole: Predictions) -> None:
        """Logs the run's pooled scores, at the step equal to their number of folds."""
        if not self.recipes:
            return
        with Tracking(self, _run_info(setting, None, 0)) as tracking:
            provenance = whole.provenance
            tracking.log(len(provenance.require_fold_scores()), provenance.require_scores())


def _run_info(setting: RunContext, fold: int | None, step: int) -> Tracked:
    run = setting.run
    folder = run.folder if fold is None else run.fold(fold)
    return Tracked(
        run.name, fold, folder, setting.workspace.root, setting.resolve_config(), _key(run, fold), step
    )


def _key(run: Run, fold: int | None) -> str:
    """Returns the run's key. A run that is trained again under the same name has another key."""
    return fingerprint([run.name, run.manifest.get("started"), fold])[:16]


class Tracking:
    """A context in which the trackers of one fold receive its numbers. It never raises their errors."""

    def __init__(self, trackers: Trackers, of: Tracked | None) -> None:
        self._trackers = trackers
        self._of = of
        self._threads: dict[int, _TrackerThread] = {}

    def __enter__(self) -> Self:
        for number, recipe in enumerate(self._trackers.recipes):
            if self._of is not None and number not in self._trackers.failed:
                self._threads[number] = _TrackerThread(recipe, self._of)
                self._wait(number, "start", self._threads[number].answer())
        return self

    def step(self, step: StepEvent) -> None:
        """Logs a batch's loss and learning rate, for trackers that want them."""
        wanting = [number for number, thread in self._threads.items() if thread.wants(step.number)]
        if wanting:  # reading the loss waits for the device
            self._send(wanting, step.number, {"batch_loss": float(step.loss), "lr": step.lr})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs an epoch's numbers at a step."""
        self._send(list(self._threads), step, values)

    def _send(self, numbers: Sequence[int], step: int, values: Mapping[str, float]) -> None:
        for number in numbers:
            thread = self._threads[number]
            thread.jobs.put((step, dict(values)))
            self._wait(number, "log", thread.answer())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, thread in list(self._threads.items()):
            thread.jobs.put(None if error is None else UnfinishedFold())
            self._wait(number, "end", thread.result())

    def _wait(self, number: int, during: str, error: BaseException | None) -> None:
        """Drops a tracker for the rest of the command, with one warning, even under --strict."""
        if error is None:
            return
        self._trackers.failed.add(number)
        del self._threads[number]
        name = self._trackers.recipes[number].plugin_name()
        text = (
            f"W15 tracker {name!r} failed in its {during}, and training continues without it: "
            f"{_describe_error(error)}"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("always", KitWarning)
            warnings.warn(KitWarning(text), stacklevel=4)


def _describe_error(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + lines[0] if lines else ''}"


class _TrackerThread:
    """A tracker in its own thread, so that a hanging one can be dropped."""

    def __init__(self, recipe: Tracker, of: Tracked) -> None:
        self.recipe = recipe
        self.jobs: SimpleQueue[Any] = SimpleQueue()
        self._answers: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread = Thread(target=self._work, args=(of,), daemon=True)
        self._thread.start()

    def _work(self, of: Tracked) -> None:
        try:
            with self.recipe.start(of) as log:
                self._answers.put(None)
                while (job := self.jobs.get()) is not None:
                    if isinstance(job, UnfinishedFold):
                        raise job
                    log(*job)
                    self._answers.put(None)
            self._answers.put(None)
        except UnfinishedFold:
            self._answers.put(None)
        except BaseException as error:  # any error of a team's own code, including SystemExit
            self._answers.put(error)

    def wants(self, step: int) -> bool:
        return self.recipe.every is not None and step % self.recipe.every == 0

    def answer(self) -> BaseException | None:
        """Returns the outcome of its last job: None, or an error."""
        try:
            return self._answers.get(timeout=TRACKER_TIMEOUT_S)
        except Empty:
            return TimeoutError(f"no response after {TRACKER_TIMEOUT_S:g} s")

    def result(self) -> BaseException | None:
        """Returns the outcome of its end. The last answer counts: a job that Ctrl-C cut short may have one more."""
        self._thread.join(TRACKER_TIMEOUT_S)
        if self._thread.is_alive():
            return TimeoutError(f"not finished after {TRACKER_TIMEOUT_S:g} s")
        answer = None
        while not self._answers.empty():
            answer = self._answers.get()
        return answer
