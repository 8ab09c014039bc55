"""Contract tests of ensemblers on drawn members; a fitted one is fitted on their truth first."""

from __future__ import annotations

import numpy as np

from kit.contracts._parts import draw_labels, draw_predictions, find_fault, part_targets
from kit.core.randomness import generator
from kit.kinds import Ensembler
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import PLAIN_TARGETS, Target

ROWS = 40
TOLERANCE = 1e-9  # float64 sums in another order


def _members(plugin: Ensembler, classes: int, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Returns members (M, N, K), as many as the plugin has weights for, and truth; two rows are certain, two
    are equal.
    """
    count = len(getattr(plugin, "weights", ())) or 3
    rng = generator(0, "laws of ensemblers", classes)
    if isinstance(target, SeveralTarget):
        truth = draw_labels(target, ROWS, rng)
        members = np.stack([draw_predictions(target, truth, rng) for _ in range(count)])
        members[:, :2] = truth[:2]
        members[:, 3] = members[:, 2]
        return members, truth
    members = rng.dirichlet(np.ones(classes), (count, ROWS)).astype(np.float32)
    truth = rng.permutation(np.arange(ROWS) % classes)
    if target.kind == "multi_hot":
        members = rng.random((count, ROWS, classes), dtype=np.float32)
        truth = ((truth[:, None] == np.arange(classes)) ^ (rng.random((ROWS, classes)) < 0.3)).astype(np.int8)
    if target.kind == "numbers":
        truth = rng.normal(5, 3, (ROWS, classes))
        members = (truth + rng.normal(0, 1, members.shape)).astype(np.float32)
    elif target.kind == "soft":
        truth = rng.dirichlet(np.ones(classes), ROWS)
    members[:, :2] = np.eye(classes, dtype=np.float32)[:2]
    members[:, 3] = members[:, 2]
    return members, truth


def _ways(plugin: Ensembler, classes: int) -> list[tuple[Ensembler, Target]]:
    """Returns the plugin for each kind of labels that it takes."""
    targets = [*PLAIN_TARGETS.values(), *part_targets(classes)]
    return [
        (plugin.with_known(target=target), target) for target in targets if plugin.takes_labels(target.kind)
    ]


def _is_a_mean(plugin: Ensembler) -> bool:
    """Whether all members count equally: nothing is fitted, no weights are given."""
    return not plugin.needs_fit() and not getattr(plugin, "weights", ())


def law_rows_are_probabilities(plugin: Ensembler) -> None:
    """A blend (N, K) is finite and not negative, and its rows sum to 1.

    A blend of numbers is only finite. Of several parts this holds for each part. If a row may have several labels, or
    the ensembler says that rows do not sum to 1, no value is above 1 instead.
    """
    for classes in (2, 4):
        for ensembler, target in _ways(plugin, classes):
            members, truth = _members(plugin, classes, target)
            blended = ensembler.fit(members, truth).blend(members)
            assert blended.shape == (ROWS, classes), f"{members.shape} became {blended.shape}"
            assert np.isfinite(blended).all(), f"{(~np.isfinite(blended)).sum()} values are not finite"
            if target.kind == "numbers":
                continue
            if isinstance(target, SeveralTarget):
                fault = find_fault(target, blended, not ensembler.sums_to_one)
                assert not fault, fault
                continue
            assert blended.min() >= 0, f"the least probability is {blended.min()}"
            sums = ensembler.gives_distributions()
            over = np.abs(blended.sum(axis=1) - 1).max() if sums else blended.max() - 1
            assert over < 1e-6, f"a {'row' if sums else 'probability'} is {over} away from 1"


def law_equal_rows_stay_equal(plugin: Ensembler) -> None:
    """Rows with equal predictions by every member have equal blends."""
    for ensembler, target in _ways(plugin, 4):
        members, truth = _members(plugin, 4, target)
        blended = ensembler.fit(members, truth).blend(members)
        assert np.allclose(blended[2], blended[3], rtol=0, atol=TOLERANCE), f"{blended[2]} and {blended[3]}"


def law_a_member_with_itself_keeps_its_order(plugin: Ensembler) -> None:
    """Unfitted: a member of two classes, blended with itself, keeps the order of its rows."""
    if plugin.needs_fit():
        return
    for ensembler, target in _ways(plugin, 2):
        members, _ = _members(plugin, 2, target)
        second = generator(0, "laws of ensemblers", "self").permutation(ROWS) / 64  # exact, so is 1 - second
        alone = np.stack([1 - second, second], axis=1).astype(np.float32)
        blended = ensembler.blend(np.stack([alone] * len(members)))
        for column in (0, 1):
            wrong = (np.argsort(blended[:, column]) != np.argsort(alone[:, column])).sum()
            assert wrong == 0, f"{wrong} of {ROWS} rows changed places in class {column}"


def law_a_member_with_itself_is_the_member_alone(plugin: Ensembler) -> None:
    """Unfitted: a member blended with itself gives the same as that member alone."""
    if not _is_a_mean(plugin):
        return
    for ensembler, target in _ways(plugin, 4):
        members, _ = _members(plugin, 4, target)
        off = np.abs(ensembler.blend(members[[0, 0, 0]]) - ensembler.blend(members[[0]])).max()
        assert off < TOLERANCE, f"a probability is {off} away"


def law_the_order_of_members_does_not_matter(plugin: Ensembler) -> None:
    """Unfitted and without weights: the order of the members does not change the blend."""
    if not _is_a_mean(plugin):
        return
    for ensembler, target in _ways(plugin, 4):
        members, _ = _members(plugin, 4, target)
        off = np.abs(ensembler.blend(members) - ensembler.blend(members[::-1])).max()
        assert off < TOLERANCE, f"a probability is {off} away"


def law_members_that_are_not_used_change_nothing(plugin: Ensembler) -> None:
    """`restrict` to the members that `find_used` returns gives a bit-identical blend."""
    for ensembler, target in _ways(plugin, 4):
        members, truth = _members(plugin, 4, target)
        known = np.eye(4)[truth] if truth.ndim == 1 else np.nan_to_num(truth)
        members[0] = (members[0] + 3 * known) / 4
        fitted = ensembler.fit(members, truth)
        used = list(fitted.find_used(len(members)))
        assert used == sorted(set(used)), f"places {used} are not ascending"
        assert used, "no member is used"
        alone = fitted.restrict(used).blend(members[used])
        assert np.array_equal(fitted.blend(members), alone), f"members {used} alone blend to something else"
