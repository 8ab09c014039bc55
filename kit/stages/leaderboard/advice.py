"""Advice: recommends submissions to send today, and final submissions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kit.stages.leaderboard.submission_diff import SubmittedAnswers, difference
from kit.stages.submission.board import Entry, Key

MIN_DIFFERENCE = 0.01  # minimum difference of a submission from those before it to be informative


@dataclass(frozen=True)
class Recommendation:
    """A submission, and why it is worth sending or choosing, or why not."""

    entry: Entry
    why: str
    difference: float | None = None  # from the nearest one before it, 0 to 1


@dataclass(frozen=True)
class SendPlan:
    """The submissions to send, best first, and those not to send."""

    worth: tuple[Recommendation, ...]
    others: tuple[Recommendation, ...]


def worth_sending(
    entries: Sequence[Entry],
    answers: Mapping[Key, SubmittedAnswers],
    left: int,
    other_rows: Collection[Key] = (),
) -> SendPlan:
    """Returns up to `left` submissions that are worth sending.

    They have no leaderboard score, are better by cross-validation than all sent ones, and differ by at least
    APART from sent ones and from one another. `answers` has the readable ones. `other_rows` has those with a
    score on other rows, which cannot be compared.
    """
    sent = [entry for entry in entries if entry.leaderboard is not None]
    best = min((entry for entry in sent if entry.key not in other_rows), key=Entry.place, default=None)
    worth: list[Recommendation] = []
    others: list[Recommendation] = []
    for entry in sorted(
        (candidate for candidate in entries if candidate.leaderboard is None), key=Entry.place
    ):
        before = [*sent, *(candidate.entry for candidate in worth)]
        advised, good = (
            (Recommendation(entry, _of_other_rows(entry)), False)
            if entry.key in other_rows
            else _judge(entry, best, before, answers)
        )
        if good and len(worth) == left:
            advised, good = (
                Recommendation(entry, f"beyond the {left} submissions left", advised.difference),
                False,
            )
        (worth if good else others).append(advised)
    return SendPlan(tuple(worth), tuple(others))


def _of_other_rows(entry: Entry) -> str:
    return f"not comparable: it was scored on {entry.rows} other rows"


def _judge(
    entry: Entry, best: Entry | None, before: Sequence[Entry], answers: Mapping[Key, SubmittedAnswers]
) -> tuple[Recommendation, bool]:
    if entry.cv is None:
        return Recommendation(entry, "it has no CV score"), False
    if entry.key not in answers:
        return Recommendation(entry, "its file is unreadable or was changed"), False
    if best is not None and best.cv is not None and _gain(entry, best) <= 0:
        return Recommendation(entry, f"not better than {best.number}, {best.cv:.4f}"), False
    nearest = _nearest(entry, before, answers)
    if nearest is None:
        return Recommendation(entry, "no similar submission was made"), True
    other, apart = nearest
    if apart < MIN_DIFFERENCE:
        return Recommendation(
            entry, f"as good as {other.number}, and differs from it by {apart:.2%}", apart
        ), False
    over = (
        "" if best is None or best.cv is None else f"better by {_gain(entry, best):.4f} than {best.number}, "
    )
    return Recommendation(
        entry, f"{over}differs from {other.number}, the nearest, by {apart:.2%}", apart
    ), True


def _gain(entry: Entry, other: Entry) -> float:
    """Returns how much better an entry's cross-validated score is."""
    assert entry.cv is not None
    assert other.cv is not None
    return (entry.cv - other.cv) * (1.0 if entry.better == "higher" else -1.0)


def _nearest(
    entry: Entry, others: Sequence[Entry], answers: Mapping[Key, SubmittedAnswers]
) -> tuple[Entry, float] | None:
    """Returns the submission that is most similar to this one, and their distance."""
    distances = [
        (difference(answers[entry.key], answers[other.key]), index)
        for index, other in enumerate(others)
        if other.key in answers
    ]
    if not distances:
        return None
    apart, index = min(distances)
    return others[index], apart


def picks(
    entries: Sequence[Entry],
    answers: Mapping[Key, SubmittedAnswers],
    count: int,
    noise: float | None,
    other_rows: Collection[Key] = (),
) -> tuple[Recommendation, ...]:
    """Returns the final submissions.

    The first is the best by cross-validation. Each further one is, of those within one standard error of it,
    the one that differs most from those chosen; if there is none, the next best.

    Two submissions that differ rarely fail together, and a difference below the noise is no known cost. Those
    whose score is on other rows come last, with a note.
    """
    known = sorted(
        (entry for entry in entries if entry.cv is not None and entry.key in answers), key=Entry.place
    )
    left = [entry for entry in known if entry.key not in other_rows]
    apart = [Recommendation(entry, _of_other_rows(entry)) for entry in known if entry.key in other_rows]
    if not left:
        return tuple(apart[:count])
    best = left.pop(0)
    chosen = [Recommendation(best, "the safest: best CV score")]
    while left and len(chosen) < count:
        near = [entry for entry in left if noise is not None and -_gain(entry, best) <= noise] or left[:1]
        nearest = {entry.key: _nearest(entry, [each.entry for each in chosen], answers) for entry in near}
        distances = {key: nearest_pair[1] if nearest_pair else 0.0 for key, nearest_pair in nearest.items()}
        pick = max(near, key=lambda entry: distances[entry.key])
        within = noise is not None and -_gain(pick, best) <= noise
        why = (
            f"within the noise of {best.number}, and differs most from the chosen ones"
            if within
            else "the next best"
        )
        chosen.append(Recommendation(pick, f"{why}: by {distances[pick.key]:.2%}", distances[pick.key]))
        left.remove(pick)
    return tuple([*chosen, *apart][:count])
