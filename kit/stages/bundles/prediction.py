"""Prediction: the input of a bundle, and the submission that it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kit.core.display import Displayed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PredictionInput:
    """The input of a bundle: the folder of images, the sample, the test table if the competition has one.

    `on_unreadable_test` is the action for an unreadable image: its row gets the class prior, or the work
    stops. `overrides` are further keys of the config, of its data part, `device` and `workers`:
    `data.max_pixels=500000000`. `time_limit` is in seconds from the start of the prediction.
    """

    images: Path
    sample: Path
    test: Path | None = None
    on_unreadable_test: Literal["stop", "class_prior"] = "class_prior"
    overrides: Sequence[str] = ()
    time_limit: float | None = None


@dataclass(frozen=True, repr=False)
class BundlePrediction(Displayed):
    """A submission that a bundle predicted."""

    path: Path

    def _lines(self) -> list[str]:
        return [f"{self.path}: {len(self.to_frame())} rows"]

    def to_frame(self) -> pd.DataFrame:
        """Returns the rows of the submission, as text."""
        import pandas as pd

        return pd.read_csv(self.path, sep=None, engine="python", dtype=str, keep_default_na=False)
