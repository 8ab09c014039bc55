"""Summary: where the team stands, what is wrong, and what to do next, drawn from the other sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.kinds import Metric
from kit.runs.run import UNTRAINED
from kit.stages.reporting.facts import Absent, Blended, Data, Ranked, Step, Summary, Trained, Viewed, Wrong
from kit.stages.reporting.member import MOST, Candidate
from kit.stages.reporting.row_facts import ClassScore, Judged

OFF = 0.1  # calibration error from which confidence is said to mislead
WEAK = 0.5  # of the mean F1, below which a class is weak
NAMED = 4  # classes, runs and the like that are named in a line
LEVELS = {"problem": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Sections:
    """What the summary is drawn from."""

    data: Data | Absent
    runs: tuple[Trained, ...] | Absent
    judged: Judged | Absent
    views: tuple[Viewed, ...] | Absent
    blend: Blended | Absent
    board: Ranked | Absent


def summed_up(
    metric: Metric, best: Candidate | None, rows: Sequence[tuple[int, int]], told: Sections
) -> Summary:
    """`best` is the best member, `rows` the out-of-fold rows of submissions by number."""
    name, cv = _best(metric, best, dict(rows), told.board)
    sign = 1.0 if metric.higher_is_better else -1.0
    board = None if isinstance(told.board, Absent) else told.board
    scored = [one.leaderboard for one in board.submissions if one.leaderboard is not None] if board else []
    wrong = sorted(_wrong(told), key=lambda one: LEVELS[one.level])
    return Summary(
        metric=metric.plugin_name(), higher_is_better=metric.higher_is_better, best=name, cv=cv,
        noise=board.noise_cv if board else None,
        leaderboard=max(scored, key=lambda score: sign * score) if scored else None,
        wrong=tuple(wrong), steps=tuple(_steps(best, metric.higher_is_better, told)),
    )  # fmt: skip


def _best(
    metric: Metric, best: Candidate | None, rows: dict[int, int], board: Ranked | Absent
) -> tuple[str, float | None]:
    """The best of members and submissions; one of few rows does not count beside one of many."""
    sign = 1.0 if metric.higher_is_better else -1.0
    least = MOST * max([best.rows if best else 0, *rows.values()])
    found = [(f"{best.run.name}@{best.views}", best.score)] if best and best.rows >= least else []
    if not isinstance(board, Absent):
        found += [
            (f"submission {one.number}, {one.name}", one.cv)
            for one in board.submissions
            if one.rank is not None and rows.get(one.number, 0) >= least
        ]
    scored = [(name, score) for name, score in found if score is not None]
    return max(scored, key=lambda pair: sign * pair[1], default=("", None))


def _wrong(told: Sections) -> Iterator[Wrong]:
    if isinstance(told.data, Absent):
        yield Wrong("problem", told.data.why, "data")
    elif not isinstance(told.data.findings, Absent):
        for one in told.data.findings:
            if one.level != "note":
                yield Wrong(one.level, one.summary, "data")
    stopped = _stopped(told.runs)
    if stopped:
        named = ", ".join(run.name for run in stopped[:NAMED]) + (" …" if len(stopped) > NAMED else "")
        said = (
            f"run {named}: {stopped[0].state}"
            if len(stopped) == 1
            else f"{len(stopped)} runs are not finished: {named}"
        )
        yield Wrong("warning", said, "runs")
    for run in () if isinstance(told.runs, Absent) else told.runs:
        if run.left_out:
            text = f"run {run.name} left out {run.left_out} steps, whose loss was not finite"
            yield Wrong("warning", text, "runs")
    for member in hurting(told.blend):
        text = f"{member} makes the plain mean of submission {_number(told.blend)} worse than it is without"
        yield Wrong("warning", text, "blend")
    for doubt in () if isinstance(told.board, Absent) else told.board.doubts:
        yield Wrong("warning", doubt.what, "board")
    if not isinstance(told.judged, Absent):
        yield from _of_rows(told.judged)


def _of_rows(judged: Judged) -> Iterator[Wrong]:
    weak = weak_classes(judged.classes)
    if weak:
        names = ", ".join(weak[:NAMED]) + (" …" if len(weak) > NAMED else "")
        text = f"{len(weak)} of {len(judged.classes)} classes have less than half of the mean F1: {names}"
        yield Wrong("note", text, "classes")
    if judged.calibration.error >= OFF:
        error = f"{judged.calibration.error:.2f}"
        yield Wrong("note", f"confidence is off by {error} on average (calibration error)", "calibration")


def weak_classes(classes: Sequence[ClassScore]) -> list[str]:
    """The classes with rows whose F1 is less than half of the mean, the weakest first."""
    scores = {one.name: one.f1 or 0.0 for one in classes if one.rows}
    mean = sum(scores.values()) / max(len(scores), 1)
    return sorted((name for name, f1 in scores.items() if f1 < WEAK * mean), key=lambda name: scores[name])


def _is_ahead(score: float, higher: bool, board: Ranked) -> bool:
    """Whether a member's score is better than every submission's, by more than their noise."""
    sign, known = 1.0 if higher else -1.0, [one.cv for one in board.submissions if one.cv is not None]
    return all(sign * (score - cv) > (board.noise_cv or 0.0) for cv in known)


def hurting(blend: Blended | Absent) -> list[str]:
    """The members of a blend that are shown to make its plain mean worse."""
    members = () if isinstance(blend, Absent) else blend.members
    return [
        one.name
        for one in members
        if one.gain is not None and one.gain.high is not None and one.gain.high < 0
    ]


def _number(blend: Blended | Absent) -> int:
    return 0 if isinstance(blend, Absent) else blend.number


def _stopped(runs: tuple[Trained, ...] | Absent) -> list[Trained]:
    """The runs that wait for their command to be given again."""
    found = () if isinstance(runs, Absent) else runs
    return [
        run for run in found if run.state not in ("finished", UNTRAINED) and not run.state.startswith("busy")
    ]


def _steps(best: Candidate | None, higher: bool, told: Sections) -> Iterator[Step]:
    if isinstance(told.data, Absent):
        yield Step(f"the tables cannot be read as they are: {told.data.why}", "kit check")
        return
    if isinstance(told.data.findings, Absent):
        yield Step("see what the data say before a score is trusted", "kit check")
    else:
        for one in told.data.findings:
            if one.level == "problem" and all("=" in word for word in one.answer.split()):
                yield Step(f"try what answers {one.code}", f"kit check {one.answer}")
    if isinstance(told.runs, Absent):
        yield Step(told.runs.why, told.runs.answer)
        return
    if stopped := _stopped(told.runs):
        why = "what is not finished goes on by the command that began it, which this recalls"
        yield Step(why, f"kit runs show {stopped[0].name}")
    if isinstance(told.views, Absent) and best:
        yield Step("see whether views help", f"kit tta --checkpoints runs/{best.run.name} --views hflip")
    yield from _submitting(best, higher, told)


def _submitting(best: Candidate | None, higher: bool, told: Sections) -> Iterator[Step]:
    finished = [] if isinstance(told.runs, Absent) else [run for run in told.runs if run.state == "finished"]
    if isinstance(told.board, Absent):
        if best:
            yield Step("make the first submission", f"kit blend runs/{best.run.name}@{best.views}")
        return
    if best and best.score is not None and _is_ahead(best.score, higher, told.board):
        yield Step(
            "the best member is better than every submission", f"kit blend runs/{best.run.name}@{best.views}"
        )
    if isinstance(told.blend, Absent):
        if len(finished) > 1:
            names = " ".join(f"runs/{run.name}" for run in finished[:NAMED])
            yield Step("see what a blend brings", f"kit look members {names}")
    elif worse := hurting(told.blend):
        rest = [f"runs/{one.name}" for one in told.blend.members if one.name not in worse]
        yield Step("blend without those that make it worse", f"kit blend {' '.join(rest)}")
    if not told.board.scored and told.board.submissions:
        number = told.board.submissions[0].number
        yield Step(
            "send the best submission, and tell what the leaderboard said", f"kit board score {number} SCORE"
        )
    elif any(one.leaderboard is None for one in told.board.submissions):
        yield Step("which submissions are worth sending", "kit board --left 3")
