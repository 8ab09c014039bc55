"""Checks that a checkpoint, written and read, continues exactly as the learner that never stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from kit.engine import fit
from kit.engine.learner import Learner
from kit.errors import Case
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance
from kit.stages.checks.finding import Finding
from kit.stages.checks.one_batch.overfitting import OverfitResult, one_step
from kit.stages.checks.one_batch.probe_batch import ProbeBatch

TOLERANCE = 1e-3  # tolerance on devices without bit-identical results


def check_resume(probe: ProbeBatch, fitted: OverfitResult) -> Iterator[Finding]:
    """Yields K29 if weights differ one step after a checkpoint from an uninterrupted run.

    The checkpoint is temporary.
    """
    learner = fitted.learner
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.save(
            Path(folder) / "fold-0",
            1,
            learner.weights(),
            learner.average_weights(),
            learner.state(),
            CheckpointProvenance(),
        )
        checkpoint = checkpoints.load(path)
        other = probe.learner()
        other.load(checkpoint.state(), checkpoint.weights, checkpoint.average)
    for learner_to_step in (learner, other):
        fit.set_lr(learner_to_step, fitted.factor)
        one_step(probe, learner_to_step)
    cases = [Case("differs", name) for name in _find_differing(learner, other)]
    if cases:
        yield Finding(
            "K29",
            "problem",
            f"one step after a checkpoint {len(cases)} weights differ from those of an uninterrupted run",
            "a resumed run differs from an uninterrupted run",
            "put the state of the optimizer or layer into its state_dict()",
            tuple(cases),
        )


def _find_differing(one: Learner, other: Learner) -> list[str]:
    """Returns the names of the tensors in which two learners differ: at all on a CPU, by more than rounding
    elsewhere.
    """
    mine, theirs = one.network.state_dict(), other.network.state_dict()
    if one.device.type == "cpu":
        return [name for name in mine if not torch.equal(mine[name], theirs[name])]
    return [
        name
        for name in mine
        if not torch.allclose(mine[name].float(), theirs[name].float(), rtol=TOLERANCE, atol=TOLERANCE)
    ]
