"""Test rows: each fold's models are blended by themselves, then the folds are averaged.

What is fitted was fitted on out-of-fold rows, which one model a member predicted; a mean over folds is smoother than
that, so a threshold or a temperature must act before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kit.data.predictions import Predictions
from kit.errors import InvalidError
from kit.kinds import Ensembler
from kit.stages.blending.members import Member


def blend_test_rows(members: Sequence[Member], fitted: Ensembler, ids: Sequence[str]) -> Predictions:
    """The blend of the test rows, in the order of `ids`.

    Where members have other folds than one another, each one's mean over its folds is blended. Raises InvalidError
    (D41) for a member that does not predict these rows.
    """
    folds = sorted({int(fold) for fold in np.unique(members[0].test.folds)})
    if any(sorted(set(member.test.folds.tolist())) != folds for member in members[1:]):
        folds = [-1]
    total = np.zeros((len(ids), len(members[0].test.classes)))
    for fold in folds:
        total += fitted.blend(
            np.stack([_rows(member, fold if len(folds) > 1 else None, ids) for member in members])
        )
    shares = (total / len(folds)).astype(np.float32)
    at = np.full(len(ids), -1)
    made = Predictions(
        np.array(ids, dtype=str), at, members[0].test.classes, shares, multi_label=fitted.multi_label
    )
    return made.check("the blend", fitted.gives_distributions())


def _rows(member: Member, fold: int | None, ids: Sequence[str]) -> np.ndarray:
    """Probabilities (len(ids), K) of one fold's model, or the mean over all folds."""
    test = member.test.mean() if fold is None else member.test.take(member.test.folds == fold)
    try:
        return test.align(ids)
    except InvalidError as error:
        raise InvalidError(
            f"{member} does not predict the sample's rows: {error.summary}", code="D41", cases=error.cases
        ) from None
