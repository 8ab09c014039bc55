"""Timing: measures a bundle's prediction time per image on this machine."""

from __future__ import annotations

import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from kit.config.workspace import Workspace
from kit.core.durations import write_duration
from kit.device.precision import choose_device
from kit.errors import KitWarning
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.bundles.trying import write_trial_rows

FEW, MANY = 2, 40  # rows; the difference of their times excludes the start-up time
PLANNED = 10_000  # images in the sentence for people


@dataclass(frozen=True)
class PredictionTime:
    """Seconds of all networks of a bundle per additional image, measured with this many images."""

    seconds_per_image: float
    images: int
    device: str

    def describe(self, time_limit_s: float | None = None) -> str:
        """Returns the time as a sentence; with a limit, also how many images all networks predict within the limit."""
        total = write_duration(PLANNED * self.seconds_per_image)
        text = (
            f"{self.seconds_per_image:.4f} s per image on {self.device}, measured here with {self.images} "
            f"images: {PLANNED:,} images take {total}"
        )
        if time_limit_s is None:
            return text
        count = int(time_limit_s / self.seconds_per_image)
        return f"{text}; {write_duration(time_limit_s)} is enough for {count:,} images"


def measure_prediction_time(workspace: Workspace, folder: Path) -> PredictionTime:
    """Times a bundle with few and with many of the test rows, with decoding, and compares.

    If the longer pass is not slower, the result is its whole time divided by its rows, which is too high.
    Raises ConfigError C07 without a sample, and what predicting raises.
    """
    with tempfile.TemporaryDirectory(prefix="kit-time-") as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        base = Path(temporary)
        few, first = _give(workspace, base / "few", FEW)
        many, second = _give(workspace, base / "many", MANY)
        _predict(folder, first, base / "warm")  # loads libraries
        short = _predict(folder, first, base / "first")
        long = _predict(folder, second, base / "second")
    rows = max(1, many - few)
    seconds = (long - short) / rows if long > short else long / max(1, many)
    return PredictionTime(seconds, rows, choose_device("auto").type)


def _give(workspace: Workspace, base: Path, rows: int) -> tuple[int, PredictionInput]:
    base.mkdir()
    count, _, arguments = write_trial_rows(workspace, rows, base)
    given = dict(zip(arguments[::2], map(Path, arguments[1::2]), strict=True))
    return count, PredictionInput(given["--images"], given["--sample"], given.get("--test"))


def _predict(folder: Path, given: PredictionInput, base: Path) -> float:
    begun = time.monotonic()
    predict_bundle(folder.resolve(), given, base / "submission.csv", base / "work")
    return time.monotonic() - begun
