"""Contract tests of trackers; one that contacts a server is not started."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kit.kinds import Tracked, Tracker

VALUES = {"epoch": 1, "train_loss": 0.5, "macro_f1": 0.25, "lr": 1e-3, "images_per_second": 80.5}


def _run_info(folder: Path, fold: int | None = 0, step: int = 0) -> Tracked:
    return Tracked(
        "r", fold, folder, folder, {"epochs": 2, "loss": {"name": "focal"}}, "0123456789abcdef", step
    )


def _track(tracker: Tracker, of: Tracked, values: Mapping[str, float]) -> None:
    with tracker.start(of) as log:
        log(of.step + 1, values)
        log(of.step + 2, values)


def law_it_logs_begins_again_and_ends(tracker: Tracker) -> None:
    """It accepts a fold's numbers, those after the fold is resumed, and a run's pooled ones."""
    if tracker.remote:
        return
    with tempfile.TemporaryDirectory() as folder:
        for of in (_run_info(Path(folder)), _run_info(Path(folder), step=2), _run_info(Path(folder), None)):
            _track(tracker, of, VALUES)


def law_numbers_that_are_not_finite_are_logged_too(tracker: Tracker) -> None:
    """An infinite or NaN loss does not stop it."""
    if tracker.remote:
        return
    with tempfile.TemporaryDirectory() as folder:
        _track(tracker, _run_info(Path(folder)), {"train_loss": float("nan"), "log_loss": float("inf")})


def law_it_draws_nothing(tracker: Tracker) -> None:
    """It does not touch the global generators of Python, numpy and torch."""
    import numpy as np
    import torch

    def states() -> tuple[str, ...]:
        return str(random.getstate()), str(np.random.get_state()), str(torch.get_rng_state().tolist())

    if tracker.remote:
        return
    with tempfile.TemporaryDirectory() as folder:
        _track(tracker, _run_info(Path(folder)), VALUES)  # its imports are done here
        before = states()
        _track(tracker, _run_info(Path(folder)), VALUES)
    drawn = [
        name
        for name, earlier, state in zip(("random", "numpy", "torch"), before, states(), strict=True)
        if earlier != state
    ]
    assert not drawn, f"it drew from {', '.join(drawn)}"


def law_the_values_are_left_alone(tracker: Tracker) -> None:
    """The given numbers are not changed."""
    if tracker.remote:
        return
    with tempfile.TemporaryDirectory() as folder:
        values = dict(VALUES)
        _track(tracker, _run_info(Path(folder)), values)
        assert values == VALUES, f"they became {values}"
