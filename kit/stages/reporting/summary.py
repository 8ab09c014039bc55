"""Summary: the state of the work, the problems, and the next steps, from the other sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.kinds import Metric
from kit.runs.run import STATE_UNTRAINED
from kit.stages.prediction.suggestions import suggest_views
from kit.stages.reporting.facts import (
    BlendSection,
    BoardSection,
    DataSection,
    Missing,
    NextStep,
    Problem,
    Summary,
    TrainedRun,
    ViewScores,
)
from kit.stages.reporting.member import MIN_COVERAGE, Candidate
from kit.stages.reporting.row_facts import ClassScore, MemberEvaluation

MAX_CALIBRATION_ERROR = 0.1  # calibration error from which confidence is reported as misleading
WEAK_CLASS_F1 = 0.5  # share of the mean F1, below which a class is weak
MAX_NAMES_PER_LINE = 4  # classes, runs and the like that are named in a line
LEVELS = {"problem": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Sections:
    """The sections that the summary uses."""

    data: DataSection | Missing
    runs: tuple[TrainedRun, ...] | Missing
    evaluation: MemberEvaluation | Missing
    views: tuple[ViewScores, ...] | Missing
    blend: BlendSection | Missing
    board: BoardSection | Missing


def summarise(
    metric: Metric, best: Candidate | None, rows: Sequence[tuple[int, int]], sections: Sections
) -> Summary:
    """Returns the summary. `best` is the best member, `rows` the out-of-fold rows of submissions by number."""
    name, cv = _best(metric, best, dict(rows), sections.board)
    sign = 1.0 if metric.higher_is_better else -1.0
    board = None if isinstance(sections.board, Missing) else sections.board
    scored = [item.leaderboard for item in board.submissions if item.leaderboard is not None] if board else []
    wrong = sorted(_find_problems(sections), key=lambda item: LEVELS[item.level])
    return Summary(
        metric=metric.plugin_name(),
        higher_is_better=metric.higher_is_better,
        best=name,
        cv=cv,
        noise=board.noise_cv if board else None,
        leaderboard=max(scored, key=lambda score: sign * score) if scored else None,
        wrong=tuple(wrong),
        steps=tuple(_steps(best, metric.higher_is_better, sections)),
    )


def _best(
    metric: Metric, best: Candidate | None, rows: dict[int, int], board: BoardSection | Missing
) -> tuple[str, float | None]:
    """Returns the best of members and submissions; one of few rows does not count beside one of many."""
    sign = 1.0 if metric.higher_is_better else -1.0
    least = MIN_COVERAGE * max([best.rows if best else 0, *rows.values()])
    scores = [(f"{best.run.name}@{best.views}", best.score)] if best and best.rows >= least else []
    if not isinstance(board, Missing):
        scores += [
            (f"submission {submission.number}, {submission.name}", submission.cv)
            for submission in board.submissions
            if submission.rank is not None and rows.get(submission.number, 0) >= least
        ]
    scored = [(name, score) for name, score in scores if score is not None]
    return max(scored, key=lambda pair: sign * pair[1], default=("", None))


def _find_problems(sections: Sections) -> Iterator[Problem]:
    if isinstance(sections.data, Missing):
        yield Problem("problem", sections.data.why, "data")
    elif not isinstance(sections.data.findings, Missing):
        for finding in sections.data.findings:
            if finding.level != "note":
                yield Problem(finding.level, finding.summary, "data")
    stopped = _find_stopped(sections.runs)
    if stopped:
        names = ", ".join(run.name for run in stopped[:MAX_NAMES_PER_LINE]) + (
            " …" if len(stopped) > MAX_NAMES_PER_LINE else ""
        )
        summary = (
            f"run {names}: {stopped[0].state}"
            if len(stopped) == 1
            else f"{len(stopped)} runs are not finished: {names}"
        )
        yield Problem("warning", summary, "runs")
    for run in () if isinstance(sections.runs, Missing) else sections.runs:
        if run.left_out:
            text = f"run {run.name} left out {run.left_out} steps, whose loss was not finite"
            yield Problem("warning", text, "runs")
    for member in harmful_members(sections.blend):
        text = (
            f"{member} makes the plain mean of submission {_number(sections.blend)} worse than it is without"
        )
        yield Problem("warning", text, "blend")
    for doubt in () if isinstance(sections.board, Missing) else sections.board.doubts:
        yield Problem("warning", doubt.what, "board")
    if not isinstance(sections.evaluation, Missing):
        yield from _of_rows(sections.evaluation)


def _of_rows(evaluation: MemberEvaluation) -> Iterator[Problem]:
    weak = weak_classes(evaluation.classes)
    if weak:
        names = ", ".join(weak[:MAX_NAMES_PER_LINE]) + (" …" if len(weak) > MAX_NAMES_PER_LINE else "")
        text = f"{len(weak)} of {len(evaluation.classes)} classes have less than half of the mean F1: {names}"
        yield Problem("note", text, "classes")
    if evaluation.calibration is not None and evaluation.calibration.error >= MAX_CALIBRATION_ERROR:
        error = f"{evaluation.calibration.error:.2f}"
        yield Problem("note", f"confidence is off by {error} on average (calibration error)", "calibration")


def weak_classes(classes: Sequence[ClassScore]) -> list[str]:
    """Returns the classes with rows whose F1 is less than half of the mean, the weakest first."""
    scores = {score.name: score.f1 or 0.0 for score in classes if score.rows}
    mean = sum(scores.values()) / max(len(scores), 1)
    return sorted(
        (name for name, f1 in scores.items() if f1 < WEAK_CLASS_F1 * mean), key=lambda name: scores[name]
    )


def _is_ahead(score: float, higher: bool, board: BoardSection) -> bool:
    """Whether a member's score is better than every submission's, by more than their noise."""
    sign, known = (
        1.0 if higher else -1.0,
        [submission.cv for submission in board.submissions if submission.cv is not None],
    )
    return all(sign * (score - cv) > (board.noise_cv or 0.0) for cv in known)


def harmful_members(blend: BlendSection | Missing) -> list[str]:
    """Returns the members of a blend that make its plain mean significantly worse."""
    members = () if isinstance(blend, Missing) else blend.members
    return [
        member.name
        for member in members
        if member.gain is not None and member.gain.high is not None and member.gain.high < 0
    ]


def _number(blend: BlendSection | Missing) -> int:
    return 0 if isinstance(blend, Missing) else blend.number


def _find_stopped(runs: tuple[TrainedRun, ...] | Missing) -> list[TrainedRun]:
    """Returns the runs that can be resumed by running their command again."""
    rows = () if isinstance(runs, Missing) else runs
    return [
        run
        for run in rows
        if run.state not in ("finished", STATE_UNTRAINED) and not run.state.startswith("busy")
    ]


def _steps(best: Candidate | None, higher: bool, sections: Sections) -> Iterator[NextStep]:
    if isinstance(sections.data, Missing):
        yield NextStep(f"the tables cannot be read as they are: {sections.data.why}", "kit check")
        return
    if isinstance(sections.data.findings, Missing):
        yield NextStep("see what the data say before a score is trusted", "kit check")
    else:
        for finding in sections.data.findings:
            if finding.level == "problem" and all("=" in word for word in finding.fix.split()):
                yield NextStep(f"try the fix of {finding.code}", f"kit check {finding.fix}")
    if isinstance(sections.runs, Missing):
        yield NextStep(sections.runs.why, sections.runs.hint)
        return
    if stopped := _find_stopped(sections.runs):
        why = "see how the unfinished run was started, and resume it"
        yield NextStep(why, f"kit runs show {stopped[0].name}")
    if isinstance(sections.views, Missing) and best:
        views = suggest_views(best.run)
        yield NextStep(
            "see whether views help", f"kit tta --checkpoints runs/{best.run.name} --views {views}"
        )
    yield from _submission_steps(best, higher, sections)


def _submission_steps(best: Candidate | None, higher: bool, sections: Sections) -> Iterator[NextStep]:
    finished = (
        []
        if isinstance(sections.runs, Missing)
        else [run for run in sections.runs if run.state == "finished"]
    )
    if isinstance(sections.board, Missing):
        if best:
            yield NextStep("make the first submission", f"kit blend runs/{best.run.name}@{best.views}")
        return
    if best and best.score is not None and _is_ahead(best.score, higher, sections.board):
        yield NextStep(
            "the best member is better than every submission", f"kit blend runs/{best.run.name}@{best.views}"
        )
    if isinstance(sections.blend, Missing):
        if len(finished) > 1:
            names = " ".join(f"runs/{run.name}" for run in finished[:MAX_NAMES_PER_LINE])
            yield NextStep("see what a blend brings", f"kit plot members {names}")
    elif worse := harmful_members(sections.blend):
        rest = [f"runs/{item.name}" for item in sections.blend.members if item.name not in worse]
        yield NextStep("blend without those that make it worse", f"kit blend {' '.join(rest)}")
    if not sections.board.scored and sections.board.submissions:
        number = sections.board.submissions[0].number
        yield NextStep(
            "send the best submission, and tell what the leaderboard said", f"kit board score {number} SCORE"
        )
    elif any(item.leaderboard is None for item in sections.board.submissions):
        yield NextStep("which submissions are worth sending", "kit board --submissions-left 3")
