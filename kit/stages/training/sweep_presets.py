"""Presets: first experiments for a run that fine-tunes, as sets of overrides that take a given time together."""

from __future__ import annotations

import json

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.data.table import train_table
from kit.errors import ConfigError, did_you_mean
from kit.stages.profiling.time_budget import STEP_PX, measure_pace

PRESETS = ("rate", "size", "augmentation")
FACTOR = 3.0  # factor between learning rates: smaller steps are within the noise of a seed
MIXED_UNTIL = 0.75  # share of the run after which images are no longer mixed


def preset_sets(space: Workspace, preset: str, seconds: int | None = None) -> list[str]:
    """Returns the trials of a preset, each as overrides in a line.

    `rate` tries a third, once and three times the config's rate. `size` tries sizes of equal processor time,
    so a larger image gets fewer epochs. `augmentation` tries light, heavy, randaugment, and heavy with mixed
    images in all except the last quarter. With `seconds`, epochs are fitted so that all folds of all trials
    take that long on this machine; otherwise each trial takes as long as a run of the config. Raises
    ConfigError C05 for an unknown preset.
    """
    experiment = space.experiment
    if preset == "rate":
        trials = _rates(experiment)
    elif preset == "size":
        trials = _sizes(experiment)
    elif preset == "augmentation":
        trials = _augmentations(experiment)
    else:
        raise ConfigError(
            f"no preset {preset!r}{did_you_mean(preset, PRESETS)}", code="C05", hint=", ".join(PRESETS)
        )
    epochs = _epochs(space, len(trials), seconds)
    return [_with_epochs(trial, epochs, experiment.image_size) for trial in trials]


def _rates(experiment: Experiment) -> list[str]:
    rate = float(experiment.optimizer.get("lr", 0.001))
    return [f"optimizer.lr={rate * factor:.3g}" for factor in (1 / FACTOR, 1.0, FACTOR)]


def _sizes(experiment: Experiment) -> list[str]:
    size = experiment.image_size
    return [f"image_size={pixels}" for pixels in (size - STEP_PX, size, size + STEP_PX) if pixels >= STEP_PX]


def _epochs(space: Workspace, trials: int, seconds: int | None) -> int:
    """Returns the epochs of a trial at the config's size."""
    if seconds is None:
        return space.experiment.epochs
    pace = measure_pace(space, train_table(space.root, space.competition.data))
    folds = int(space.experiment.splitter.get("folds", 1))
    return max(1, int(seconds / (trials * folds * pace.epoch_seconds(space.experiment.image_size))))


def _with_epochs(trial: str, epochs: int, size: int) -> str:
    """Returns a trial's overrides with its epochs, of which a larger image gets fewer."""
    key, _, value = trial.partition("=")
    if key == "image_size":
        epochs = max(1, round(epochs * (size / int(value)) ** 2))
    return f"{trial} epochs={epochs}"


def _augmentations(experiment: Experiment) -> list[str]:
    mixed = {
        "name": "cutmix_or_mixup",
        "probability": 0.5,
        "stop_after": MIXED_UNTIL,
        "base": experiment.loss,
    }
    plain = ["augmenter=light", "augmenter=heavy", "augmenter=randaugment"]
    # a set of overrides is split at spaces, so the JSON has none
    return [*plain, f"augmenter=heavy loss={json.dumps(mixed, separators=(',', ':'))}"]
