"""Ensemblers fitted on rows that their metric cannot score."""

from __future__ import annotations

import numpy as np
import pytest

from kit.kinds import Ensembler


@pytest.mark.parametrize("name", ["hill_climb", "single", "simplex", "class_factors", "prior_correction"])
def test_rows_of_one_class_are_fitted_by_log_loss_where_the_metric_has_no_answer(name: str) -> None:
    members = np.array([[[0.6, 0.4]] * 4, [[0.9, 0.1]] * 4])
    fitted = Ensembler.open({"name": name, "metric": "auc"}).fit(members, np.zeros(4, np.int64))
    assert fitted.blend(members)[0, 0] >= 0.6
    if name in ("hill_climb", "single"):
        np.testing.assert_allclose(fitted.blend(members)[0], [0.9, 0.1])
