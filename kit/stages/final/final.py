"""final: trains the chosen members on all rows, and blends them with the weights fitted on their out-of-fold
rows.

The choices of cross-validation (members, epochs, views, weights) are applied once more with every row. No row
is left to score the networks on. The submission's cv is therefore that of the members by cross-validation, as
its record states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.workspace import Workspace
from kit.core.display import Displayed
from kit.core.durations import write_duration
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, stage
from kit.core.stopping import TIME_OVER_TEXT, Stop
from kit.device.precision import choose_device
from kit.errors import TIME_OVER, ConfigError, RunError, StoppedError
from kit.experiment.loading import check_reading
from kit.kinds import Ensembler
from kit.model import checkpoints
from kit.model.predict import open_views
from kit.runs.run import Run, check_same_experiment
from kit.stages.blending.blend import (
    CrossValidatedBlend,
    Submitted,
    cross_validate,
    fit_some,
    score_of,
    submit,
    subset_spec,
)
from kit.stages.blending.members import Member
from kit.stages.final.jobs import FinalPlan, MemberSpec, TrainingJob, average_seeds, find_asked, on_all_rows
from kit.stages.final.planning import rank_by_importance, select_fitting
from kit.stages.final.schedule import TASK, Clock, Schedule
from kit.stages.final.timing import best_epoch, measure_pace
from kit.stages.submission.submission import read_record

if TYPE_CHECKING:
    import pandas as pd

WRITING = 10.0  # seconds reserved for the submission, in addition to twice the time of fitting the blend
NOTE = "networks trained on all rows; cv is the cross-validated score of the members, not of these networks"


@dataclass(frozen=True, repr=False)
class FinalResult(Displayed):
    """The submission, its runs on all rows, and the runs that it lacks."""

    submitted: Submitted
    runs: tuple[str, ...]
    left_out: Mapping[str, str]  # the reason
    no_weight: tuple[str, ...]  # members of weight 0, which were not trained and change nothing

    def describe(self) -> list[str]:
        """Returns lines on skipped runs with their reasons, the submission, and the origin of its score."""
        submitted = self.submitted
        members = " ".join(score.name for score in submitted.comparison.members)
        idle = f"not trained, because their weight in the blend is 0: {', '.join(self.no_weight)}"
        return [
            *(f"skipped: {run}, {why}" for run, why in self.left_out.items()),
            *([idle] if self.no_weight else []),
            f"submission {submitted.number}: {submitted.test_rows} rows by {', '.join(self.runs)}",
            f"{submitted.metric} {submitted.cv:.4f} is the cross-validated score of {members}, not of these networks",
        ]

    def _lines(self) -> list[str]:
        return [*self.describe(), str(self.submitted.path)]

    def to_frame(self) -> pd.DataFrame:
        """Returns the scores of the blend's members by cross-validation, as for a blend."""
        return self.submitted.to_frame()


def plan(
    workspace: Workspace,
    members: Sequence[str],
    ensembler: str | Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (),
    hours: float | None = None,
    top_k: int | None = None,
    clock: Clock = time.monotonic,
) -> FinalPlan:
    """Plans which members are trained on all rows with which seeds, and how long that takes by measured
    times.

    If `hours` is given, the members that the blend needs most within `hours` from this call are trained. All
    members by the first seed come before any by the next. Members that are trained already take no time, so a
    second start plans the rest. Raises what `blend` raises; ConfigError C33 if a member cannot be trained
    again, C34 if nothing fits into the time.
    """
    begun = clock()
    evaluated = cross_validate(workspace, members, ensembler, top_k)
    evaluated.open_sample_and_format(workspace)  # before hours of training
    blending = WRITING + 2 * (clock() - begun)
    rows = len(set(evaluated.members[0].test.ids.tolist()))
    left = None if hours is None else 3600 * hours - (clock() - begun) - blending
    everyone, used = (
        tuple(range(len(evaluated.members))),
        evaluated.ensembler.find_used(len(evaluated.members)),
    )
    chosen = _choose(workspace, evaluated, used, seeds, rows, left)
    if chosen.left_out and evaluated.recipe.needs_fit() and used != everyone:
        # a member with weight 0 beside all others may be needed if another one is not ready in time
        with suppress(ConfigError):
            chosen = _choose(workspace, evaluated, everyone, seeds, rows, left)
    if not chosen.units:
        least = min(unit.cost for unit in chosen.left_out) + blending + clock() - begun
        raise ConfigError(
            f"no member can be trained in {hours:g} hours: the fastest needs {least / 3600:.3f}",
            code="C34",
            hint=f"--hours {least / 3600 + 0.0005:.3f} or more",
        )
    fitted_on = chosen.places if chosen.left_out else everyone
    value, texts = score_of(evaluated, fitted_on), tuple(map(str, evaluated.members))
    device = str(choose_device(workspace.experiment.device, workspace.experiment.executor is not None))
    planned = {member.text for unit in (*chosen.units, *chosen.left_out) for member in unit.members}
    idle = [text for text in texts if text not in planned]
    return FinalPlan(
        texts=texts,
        specs=chosen.specs,
        places=chosen.places,
        fitted_on=fitted_on,
        units=chosen.units,
        left_out=chosen.left_out,
        ensembler=evaluated.recipe.spec(),
        seconds=None if hours is None else 3600 * hours,
        begun=begun,
        blending=blending,
        metric=evaluated.metric.plugin_name(),
        cv=value if evaluated.metric.higher_is_better else -value,
        notes=(*map(_of_no_weight, idle), *_notes(evaluated, (*chosen.units, *chosen.left_out), device)),
        top_k=top_k,
    )


def plan_request(
    workspace: Workspace,
    runs: Sequence[str],
    record: StrPath | None = None,
    ensembler: str | Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (),
    hours: float | None = None,
    top_k: int | None = None,
    resumes: bool = False,
) -> FinalPlan:
    """Returns the plan for runs, or for the members and the ensembler of a submission's record.

    `resumes` is true if the request has a deadline at which it stops, to be resumed. Raises what `plan`
    raises, ConfigError C05 for options that exclude each other, C20 without members.
    """
    if hours is not None and resumes:
        raise ConfigError("--hours skips members and --time resumes them: give one of the two", code="C05")
    if record is not None:
        if runs or ensembler:
            raise ConfigError("--blend already names members and ensembler: omit the others", code="C05")
        submission = read_record(Path(record))
        runs, ensembler = (
            [f"runs/{member['member']}" for member in submission["members"]],
            submission["ensembler"],
        )
    if not runs:
        raise ConfigError("no members to train", code="C20", hint="kit final runs/a@d4, or --blend FILE")
    return plan(workspace, runs, ensembler, seeds, hours, top_k)


def _of_no_weight(member: str) -> str:
    return (
        f"{member} has weight 0 in the blend and is not trained, because the submission does not depend on it"
    )


@dataclass(frozen=True)
class _Choice:
    """Members, by their positions in the blend, the jobs that train, and those left out for lack of time."""

    specs: tuple[MemberSpec, ...]
    places: tuple[int, ...]
    units: tuple[TrainingJob, ...]
    left_out: tuple[TrainingJob, ...]


def _choose(
    workspace: Workspace,
    evaluated: CrossValidatedBlend,
    places: Sequence[int],
    seeds: Sequence[int],
    test_rows: int,
    left: float | None,
) -> _Choice:
    """Chooses the jobs of the members at some positions for the remaining seconds, the most needed first."""
    members = [evaluated.members[index] for index in places]
    specs = [
        find_asked(workspace, str(member_spec), Run(workspace.runs / member_spec.run))
        for member_spec in members
    ]
    runs = list(dict.fromkeys(member_spec.run for member_spec in specs))
    if left is not None:
        runs = [
            runs[index]
            for index in rank_by_importance(len(runs), _blend_scorer(evaluated, places, specs, runs))
        ]
    units = [
        _unit(
            workspace, run, seed, [member_spec for member_spec in specs if member_spec.run == run], test_rows
        )
        for seed in (*seeds,) or (None,)
        for run in runs
    ]
    chosen_units = units if left is None else select_fitting(units, left)
    late = [unit for unit in units if unit not in chosen_units]
    ready = [
        at
        for at, member_spec in enumerate(specs)
        if any(unit.member_run == member_spec.run for unit in chosen_units)
    ]
    if 0 < len(ready) < len(specs):  # the blend of the ready members may give some of them no weight
        fitted = fit_some(evaluated, [places[at] for at in ready])[1]
        ready = [ready[at] for at in fitted.find_used(len(ready))]
        chosen_units = [
            unit for unit in chosen_units if any(specs[at].run == unit.member_run for at in ready)
        ]
    return _Choice(
        tuple(specs[at] for at in ready), tuple(places[at] for at in ready), tuple(chosen_units), tuple(late)
    )


def _blend_scorer(
    evaluated: CrossValidatedBlend, places: Sequence[int], specs: Sequence[MemberSpec], runs: Sequence[Run]
) -> Callable[[tuple[int, ...]], float]:
    """Returns a function for the score of the blend of all members of some runs."""
    return lambda some: score_of(
        evaluated,
        [
            index
            for index, member_spec in zip(places, specs, strict=True)
            if runs.index(member_spec.run) in some
        ],
    )


def _unit(
    workspace: Workspace, run: Run, seed: int | None, members: Sequence[MemberSpec], test_rows: int
) -> TrainingJob:
    check_reading(run, workspace.competition.data)
    final_run, space = on_all_rows(workspace, run, seed)
    try:
        check_same_experiment(final_run, space.experiment)
    except ConfigError as error:  # such as a run that was trained with other settings since
        raise error.replace(hint=f"rename runs/{final_run.name}; then kit trains the member again") from error
    newest = [path for fold in range(run.folds().count) if (path := checkpoints.newest(run.fold(fold)))]
    machine = checkpoints.provenance_of(newest[0]).machine if newest else {}
    pace = measure_pace(run, space.experiment, machine)
    if pace is None:
        raise ConfigError(
            f"no fold of runs/{run.name} has logged all epochs, so kit cannot estimate the training time",
            code="C33",
            hint=f"finish its training: kit runs show {run.name} shows its settings",
        )
    size = space.experiment.image_size
    views = sum(len(open_views(member.views, size)) for member in members)
    return TrainingJob(
        final_run, run, seed, space, tuple(members), pace, views * test_rows * pace.seconds_per_row
    )


def _notes(evaluated: CrossValidatedBlend, units: Sequence[TrainingJob], device: str) -> list[str]:
    """Returns notes on the plan: where times were measured, and which epoch scored best."""
    notes = []
    for unit in {unit.member_run: unit for unit in units}.values():
        if note := unit.pace.note(device):
            notes.append(f"{unit.member_run.name}: {note}")
        best = best_epoch(unit.member_run, evaluated.metric.plugin_name(), evaluated.metric.higher_is_better)
        if best is not None:
            scored = (
                f"epoch {best.epoch} has the best mean score over folds, {best.score:.4f}; the last "
                f"epoch has {best.last:.4f}"
            )
            why = (
                f"kit trains all {unit.epochs} epochs: the schedule ends there, and the score of a "
                "chosen epoch is optimistic"
            )
            notes.append(f"{unit.member_run.name}: {scored}; {why}")
    return notes


@stage
def run_final(
    workspace: Workspace | StrPath,
    plan: FinalPlan,
    name: str | None = None,
    stop: Stop | None = None,
    clock: Clock = time.monotonic,
) -> Work[FinalResult]:
    """Trains, predicts and submits as planned. If the time is too short, the last networks are left out.

    If `stop` is requested, everything is saved and StoppedError is raised, R05 or R27.

    Raises what training, predicting and blending raise, RunError R17 if no network was ready in time.
    """
    workspace = Workspace.of(workspace)
    stop = stop or Stop()
    schedule = Schedule(workspace, plan, stop, clock, list(plan.units))
    yield from schedule.run()
    ready = [
        index
        for index, member_spec in enumerate(plan.specs)
        if any(unit.member_run == member_spec.run for unit in schedule.trained)
    ]
    if not ready:
        raise RunError(
            "no network was ready in time: "
            + "; ".join(f"{run} {why}" for run, why in schedule.left_out.items()),
            code="R17",
            hint="run the same command with more --hours to resume from the checkpoints",
        )
    if stop.deadline is not None and stop.deadline.is_due(plan.blending):
        text = f"{TIME_OVER_TEXT}: all networks are trained, and the blend is left"
        raise StoppedError(text, TIME_OVER).replace(cases=[f"about {write_duration(plan.blending)}"])
    yield Progress(TASK, 1, 1, "blending")
    # if all members with weight are ready, the blend is fitted with those of weight 0 too, as planned
    fitted_on = plan.fitted_on if len(ready) == len(plan.specs) else tuple(plan.places[at] for at in ready)
    spec = subset_spec(plan.ensembler, fitted_on, len(plan.texts))
    evaluated = cross_validate(
        workspace, [f"runs/{plan.texts[index]}" for index in fitted_on], spec, plan.top_k
    )
    runs = tuple(unit.run.name for unit in schedule.trained)
    predicting, provenances = _of_all_rows(evaluated, [plan.specs[at] for at in ready], schedule.trained)
    idle = tuple(str(member) for member in evaluated.members if str(member) not in provenances)
    more = {
        "final": {"note": NOTE, "members": provenances, "left_out": schedule.left_out, "weight_0": list(idle)}
    }
    kind = Ensembler.open(spec, workspace.root).plugin_name()
    submission_name = name or f"final-{kind}-{'-'.join(member.run for member in evaluated.members)}"
    return FinalResult(
        submit(workspace, evaluated, predicting, submission_name, more, NOTE), runs, schedule.left_out, idle
    )


def _of_all_rows(
    evaluated: CrossValidatedBlend, specs: Sequence[MemberSpec], jobs: Sequence[TrainingJob]
) -> tuple[list[Member], dict[str, Any]]:
    """Returns the scored members with the test predictions of their replacement networks, and details of
    those networks.

    A member of weight 0 has no network. It takes another one's predictions, which change nothing.
    """
    tests, provenances = {}, {}
    for member_spec in specs:
        tests[member_spec.text], provenances[member_spec.text] = average_seeds(
            [unit.run for unit in jobs if unit.member_run == member_spec.run], member_spec
        )
    any_test = next(iter(tests.values()))
    return [
        replace(member, test=tests.get(str(member), any_test)) for member in evaluated.members
    ], provenances
