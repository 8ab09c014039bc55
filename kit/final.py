"""final: the chosen members trained on all rows, blended with the weights that their out-of-fold rows taught.

What cross-validation chose (members, epochs, views, weights) is done once more with every row. No row is left to score
the networks on: the submission's cv is that of the members by cross-validation, and its record says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit import checkpoints
from kit.blend import Judged, Submitted, among, judge, score_of, submit
from kit.blending.members import Member
from kit.errors import ConfigError, RunError
from kit.finals.course import TASK, Clock, Course
from kit.finals.pace import measured, peak
from kit.finals.planning import by_need, fitting
from kit.finals.unit import Asked, Plan, Unit, find_asked, on_all_rows, over_seeds
from kit.kinds import Ensembler
from kit.precision import choose_device
from kit.predict import open_views
from kit.progress import Progress, Work
from kit.runs.run import Run, check_same
from kit.stopping import Stop
from kit.workspace import Workspace

WRITING = 10.0  # seconds kept for the submission, beside twice what fitting the blend took
NOTE = "networks of all rows; cv is of the members by cross-validation, not of these networks"


@dataclass(frozen=True)
class Final:
    """The submission, the runs on all rows that it was made with, and the runs that it had to do without."""

    submitted: Submitted
    runs: tuple[str, ...]
    left_out: Mapping[str, str]  # why


def plan(
    workspace: Workspace, members: Sequence[str], ensembler: str | Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (), hours: float | None = None, top_k: int | None = None, clock: Clock = time.monotonic,
) -> Plan:  # fmt: skip
    """Which members are trained on all rows by which seeds, and how long that takes by what was measured.

    Within `hours` from this call those are kept that the blend needs most; all members by the first seed come before
    any by the next. What is trained already takes no time, so a second start plans for what is left. Raises what
    `blend` raises; ConfigError C33 for a member that cannot be trained anew, C34 for a time in which nothing fits.
    """
    begun = clock()
    judged = judge(workspace, members, ensembler, top_k)
    judged.submittable(workspace)  # before hours of training
    blending = WRITING + 2 * (clock() - begun)
    asked = [find_asked(workspace, str(one), Run(workspace.runs / one.run)) for one in judged.members]
    runs = list(dict.fromkeys(one.run for one in asked))
    if hours is not None:
        runs = [runs[place] for place in by_need(len(runs), _scoring(judged, asked, runs))]
    device = str(choose_device(workspace.experiment.device))
    rows = len(set(judged.members[0].test.ids.tolist()))
    units = [
        _unit(workspace, run, seed, [one for one in asked if one.run == run], rows)
        for seed in (*seeds,) or (None,)
        for run in runs
    ]
    kept = units
    if hours is not None:
        kept = fitting(units, 3600 * hours - (clock() - begun) - blending)
        if not kept:
            least = min(unit.cost for unit in units) + blending + clock() - begun
            raise ConfigError(
                f"no member fits into {hours:g} hours: the shortest takes {least / 3600:.3f}", code="C34",
                hint=f"--hours {least / 3600 + 0.0005:.3f} or more",
            )  # fmt: skip
    used = [place for place, one in enumerate(asked) if any(unit.of == one.run for unit in kept)]
    value = score_of(judged, used)
    return Plan(
        asked=tuple(asked), units=tuple(kept), left_out=tuple(unit for unit in units if unit not in kept),
        ensembler=judged.recipe.spec(), seconds=None if hours is None else 3600 * hours, begun=begun,
        blending=blending, metric=judged.metric.plugin_name(),
        cv=value if judged.metric.higher_is_better else -value, notes=tuple(_notes(judged, units, device)), top_k=top_k,
    )  # fmt: skip


def _scoring(
    judged: Judged, asked: Sequence[Asked], runs: Sequence[Run]
) -> Callable[[tuple[int, ...]], float]:
    """The score of the blend of all members of some runs."""
    return lambda some: score_of(
        judged, [place for place, one in enumerate(asked) if runs.index(one.run) in some]
    )


def _unit(workspace: Workspace, run: Run, seed: int | None, members: Sequence[Asked], test_rows: int) -> Unit:
    made, space = on_all_rows(workspace, run, seed)
    try:
        check_same(made, space.experiment)
    except ConfigError as error:  # such as a run that was trained otherwise since
        error.hint = f"rename runs/{made.name}, and it is trained anew"
        raise
    newest = [path for fold in range(run.folds().count) if (path := checkpoints.newest(run.fold(fold)))]
    machine = checkpoints.manifest_of(newest[0])["about"].get("machine", {}) if newest else {}
    pace = measured(run, space.experiment, machine)
    if pace is None:
        raise ConfigError(
            f"runs/{run.name} has no fold that logged all of its epochs, so nothing says how long it trains",
            code="C33", hint=f"train it to its end: kit runs show {run.name} recalls how it was started",
        )  # fmt: skip
    size = space.experiment.image_size
    views = sum(len(open_views(one.views, size)) for one in members)
    return Unit(made, run, seed, space, tuple(members), pace, views * test_rows * pace.row)


def _notes(judged: Judged, units: Sequence[Unit], device: str) -> list[str]:
    """What the user should know of the plan: where times were measured, and which epoch scored best."""
    found = []
    for unit in {unit.of: unit for unit in units}.values():
        if note := unit.pace.note(device):
            found.append(f"{unit.of.name}: {note}")
        best = peak(unit.of, judged.metric.plugin_name(), judged.metric.higher_is_better)
        if best is not None:
            scored = f"epoch {best.epoch} scored best, {best.score:.4f} on the folds' mean, the last {best.last:.4f}"
            why = f"all {unit.epochs} are trained: the schedule ends there, and a chosen epoch flatters"
            found.append(f"{unit.of.name}: {scored}; {why}")
    return found


def finalising(
    workspace: Workspace, plan: Plan, name: str | None = None, stop: Stop | None = None,
    clock: Clock = time.monotonic,
) -> Work[Final]:  # fmt: skip
    """Trains, predicts and submits as planned. Where time runs short, the last networks are left out.

    Raises what training, predicting and blending raise, RunError R17 where no network was ready in time.
    """
    course = Course(workspace, plan, stop or Stop(), clock, list(plan.units))
    yield from course.run()
    used = [place for place, one in enumerate(plan.asked) if any(unit.of == one.run for unit in course.made)]
    if not used:
        raise RunError(
            "no network was ready in time: " + "; ".join(f"{run} {why}" for run, why in course.left_out.items()),
            code="R17", hint="the same command with more --hours goes on from the checkpoints",
        )  # fmt: skip
    yield Progress(TASK, 1, 1, "blending")
    spec = among(plan.ensembler, used, len(plan.asked))
    judged = judge(workspace, [f"runs/{plan.asked[place].text}" for place in used], spec, plan.top_k)
    runs = tuple(unit.run.name for unit in course.made)
    predicting, told = _of_all_rows(judged, [plan.asked[place] for place in used], course.made)
    more = {"final": {"note": NOTE, "members": told, "left_out": course.left_out}}
    kind = Ensembler.open(spec, workspace.root).plugin_name()
    named = name or f"final-{kind}-{'-'.join(member.run for member in judged.members)}"
    return Final(submit(workspace, judged, predicting, named, more, NOTE), runs, course.left_out)


def _of_all_rows(
    judged: Judged, asked: Sequence[Asked], made: Sequence[Unit]
) -> tuple[list[Member], dict[str, Any]]:
    """The judged members with the test predictions of the networks that stand for them, and what those say."""
    found, told = [], {}
    for member, one in zip(judged.members, asked, strict=True):
        test, about = over_seeds([unit.run for unit in made if unit.of == one.run], one)
        found.append(replace(member, test=test))
        told[str(member)] = about
    return found, told
