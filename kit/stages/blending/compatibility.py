"""Checks that members can be blended: one class list, one test set, and no out-of-fold row that its model was
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kit.data.table import Table
from kit.errors import MAX_CASES, Case, InvalidError
from kit.kinds.advice import predict_command
from kit.kinds.label_kinds import MEANING
from kit.stages.blending.members import Member

MAX_LISTED_CLASSES = 30  # maximum number of classes in an error


def check_together(members: Sequence[Member], table: Table) -> None:
    """Raises InvalidError if classes or labels per row (D42) or test sets (D43) differ, or if a fold leaks (D43)."""
    _check_classes(members, table)
    _check_labels(members, table)
    _check_test_sets(members)
    seen: set[tuple[int, ...]] = set()  # members share equal values, which are checked once
    for member in members:
        _check_checkpoints(member)
        shared = (id(member.folds), id(member.oof.ids), id(member.oof.folds))
        if shared not in seen:
            _check_held_out(member)
            if table.groups is not None:
                _check_groups(member, table.ids, table.groups, "groups (data.group)")
            if table.answers is not None:
                _check_groups(member, table.ids, table.answers, "answers (data.answer)")
        elif member.oof.provenance.folds != members[0].oof.provenance.folds:
            _check_fingerprint(member)
        seen.add(shared)


def _check_classes(members: Sequence[Member], table: Table) -> None:
    lists = [("the training table", table.classes)]
    for member in members:
        lists += [(f"{member} out of fold", member.oof.classes), (f"{member} test", member.test.classes)]
    first, wanted = lists[1]
    for name, classes in lists:
        if classes != wanted:
            how = "are in a different order" if sorted(classes) == sorted(wanted) else "differ"
            raise InvalidError(
                f"the classes of {first} and of {name} {how}",
                code="D42",
                cases=[Case(_list_classes(wanted), first), Case(_list_classes(classes), name)],
                hint="use members with the same class list; kit never reorders columns by guessing",
            )


def _list_classes(classes: Sequence[str]) -> str:
    """Returns the classes; only the first ones if they are many."""
    more = f", … ({len(classes)} in total)" if len(classes) > MAX_LISTED_CLASSES else ""
    return ", ".join(classes[:MAX_LISTED_CLASSES]) + more


def _check_labels(members: Sequence[Member], table: Table) -> None:
    for member in members:
        for predictions in (member.oof, member.test):
            if predictions.target != table.target:
                member_kind, table_kind = (MEANING[source.target.kind] for source in (predictions, table))
                raise InvalidError(
                    f"{member} was trained for {member_kind}, but the training table has {table_kind}",
                    code="D42",
                    hint="restore data.label_separator, or train again under another --name",
                )


def _check_test_sets(members: Sequence[Member]) -> None:
    """Checks that all members predict the same test rows."""
    first = members[0]
    ids = set(first.test.ids.tolist())
    for member in members[1:]:
        others = ids if member.test.ids is first.test.ids else set(member.test.ids.tolist())
        if ids == others:
            continue
        cases = [Case(f"only in {first}", id=name) for name in sorted(ids - others)[:MAX_CASES]]
        cases += [Case(f"only in {member}", id=name) for name in sorted(others - ids)[:MAX_CASES]]
        raise InvalidError(
            f"{first} and {member} predict different test sets: {len(ids - others)} ids are only in the first, "
            f"{len(others - ids)} only in the second",
            code="D43",
            cases=cases,
            hint=f"{_again(first)} and {_again(member)} with the same test table",
        )


def _again(member: Member) -> str:
    """Returns the command that predicts a member again."""
    return predict_command(member.run, member.views, provenance=member.oof.provenance)


def _check_held_out(member: Member) -> None:
    """Checks that each out-of-fold row comes from a fold that held it out, by the folds of the run's training."""
    _check_fingerprint(member)
    at = {name: row for row, name in enumerate(member.folds.ids.tolist())}
    leaks = [
        Case(f"predicted by fold {fold}, which did not hold out this row", id=name, code="D43")
        for name, fold in zip(member.oof.ids.tolist(), member.oof.folds.tolist(), strict=True)
        if name not in at or fold < 0 or fold not in member.folds.numbers[at[name]]
    ]
    if leaks:
        raise InvalidError(
            f"{member}: {len(leaks)} of {len(member.oof)} out-of-fold rows come from a model that may have "
            "trained on them",
            code="D43",
            cases=leaks,
            hint=f"{_again(member)} predicts them again",
        )


def _check_fingerprint(member: Member) -> None:
    mark = member.oof.provenance.folds
    if mark and mark != member.folds.fingerprint():
        raise InvalidError(
            f"runs/{member.run}/folds.csv was changed after {member} was predicted",
            code="D43",
            hint=f"restore it, or train {member.run} again under another --name",
        )


def _check_checkpoints(member: Member) -> None:
    """Checks that out-of-fold and test predictions of a fold come from the same checkpoint."""
    oof, test = (predictions.provenance.checkpoints for predictions in (member.oof, member.test))
    cases = [
        Case(f"fold {fold}: {oof[fold]} for out-of-fold rows, {test[fold]} for test rows")
        for fold in sorted(oof.keys() & test.keys())
        if oof[fold] != test[fold]
    ]
    if cases:
        raise InvalidError(
            f"{member}: out-of-fold and test predictions come from different checkpoints",
            code="D43",
            cases=cases,
            hint=_again(member),
        )


def _check_groups(member: Member, ids: np.ndarray, groups: np.ndarray, what: str) -> None:
    """Checks that rows of one group, or images of one answer, share a fold in every repeat."""
    known = dict(zip(ids.tolist(), groups.tolist(), strict=True))
    folds: dict[tuple[str, int], set[int]] = {}
    for name, numbers in zip(
        member.folds.ids.tolist(), member.folds.folds_of_related_rows.tolist(), strict=True
    ):
        for repeat, number in enumerate(numbers):
            if name in known:
                folds.setdefault((known[name], repeat), set()).add(number)
    torn = {group: numbers for (group, _), numbers in folds.items() if len(numbers) > 1}
    if torn:
        raise InvalidError(
            f"{member}: folds separate {len(torn)} of {len(set(known.values()))} {what}",
            code="D43",
            cases=[Case(f"is in folds {sorted(numbers)}", id=group) for group, numbers in torn.items()],
            hint="train again under another --name; kit train never separates a group or an answer",
        )
