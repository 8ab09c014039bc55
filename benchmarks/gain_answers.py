"""Rules of the final answer on planted test rows: classes without training rows, and other shares of the classes.

One half of the scenes is trained on and the other half is predicted, twice. `kit blend` writes the labels, and the
benchmark knows the truth.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.gain_data import Photos, halve_scenes, in_halves, write_space
from benchmarks.gain_runs import Outcome, print_gains
from kit.kinds import Metric
from kit.stages.blending.blend import Submitted, blend
from kit.stages.training.train import train

UNKNOWN = "Other"
PLAIN = "`mean`"


SCORES = {"macro F1": "macro_f1", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Answers:
    """A table: the rules, how many classes have no training rows, and how many have a single test row."""

    title: str
    rules: Mapping[str, Any]
    unknown: int = 0
    rare: int = 0


def rule(rate: float, by: str) -> dict[str, Any]:
    """The rule that gives the class Other to a share of the rows."""
    return {"name": "unknown_class", "label": UNKNOWN, "unknown_rate": rate, "by": by}


OPEN = {
    PLAIN: "mean",
    "`unknown_class`": rule(0.1, "probability"),
    "`unknown_class` by entropy": rule(0.1, "entropy"),
    "`unknown_class`, twice the share": rule(0.2, "probability"),
}
SHARES = {
    PLAIN: "mean",
    "`prior_shift`": "prior_shift",
    "`prior_shift` with `alpha` 1": {"name": "prior_shift", "alpha": 1},
    "`prior_shift` with `alpha` 10": {"name": "prior_shift", "alpha": 10},
    "`prior_matching`": "prior_matching",
}
ANSWERS = {
    "open": Answers("8 classes of 81 without training rows", OPEN, unknown=8),
    "closed": Answers("No class without training rows", OPEN),
    "shifted": Answers("40 classes of 81 with a single test row", SHARES, rare=40),
    "unshifted": Answers("Test rows with the training rows' shares", SHARES),
}


def ask_answers(question: Answers, photos: Photos, folder: Path, seeds: int) -> None:
    """Trains a head per seed and half, applies all rules, and prints the table."""
    started = time.process_time()
    outcomes = [measure(question, photos, folder / f"{seed}", seed) for seed in range(seeds)]
    print_gains(f"{question.title}, {seeds} seeds", PLAIN, outcomes, {})
    print(f"\n{time.process_time() - started:.0f} s of CPU time", flush=True)


def measure(question: Answers, photos: Photos, folder: Path, seed: int) -> dict[str, Outcome]:
    """The labels of each rule for all photos, each predicted by the head of the other half."""
    names = np.unique(photos.table["label"])
    drawn = np.random.default_rng(seed).permutation(names)
    hidden, rare = drawn[: question.unknown], drawn[: question.rare]
    halves, tables = halve_scenes(photos, seed), list[pd.DataFrame]()
    for number, (shown, held) in enumerate((halves, halves[::-1])):
        known = shown[~photos.table["label"].iloc[shown].isin(hidden).to_numpy()]
        test = photos.take(held)
        if question.rare:
            test = test.take(keep_one(test, rare))
        tables.append(label_half(question, photos.take(known), test, folder / f"{number}", seed))
    table = pd.concat(tables).sort_values("id")
    classes = [*[each for each in names if each not in hidden], UNKNOWN]
    place = {name: number for number, name in enumerate(classes)}
    truth = table["label"].map(lambda each: place.get(each, len(classes) - 1)).to_numpy()
    labels = {name: np.eye(len(classes))[table[name].map(place)] for name in question.rules}
    scenes = table["scene"].to_numpy()
    return {title: Outcome(Metric.open(name), truth, scenes, labels) for title, name in SCORES.items()}


def keep_one(photos: Photos, rare: np.ndarray) -> np.ndarray:
    """Row numbers of all photos but those of rare classes, of which one each remains."""
    is_rare = photos.table["label"].isin(rare).to_numpy()
    is_first = ~photos.table["label"].duplicated().to_numpy()
    return np.flatnonzero(~is_rare | is_first)


def label_half(question: Answers, train_rows: Photos, test: Photos, root: Path, seed: int) -> pd.DataFrame:
    """The test rows' table with a column of labels for each rule."""
    data = {"unknown_class": UNKNOWN} if question.rules is OPEN else None
    space = write_space(root, in_halves(train_rows, seed), test, data=data, format="label")
    run = train(space.root, [f"seed={seed}"], name="r")
    table = test.table.copy()
    for number, (name, spec) in enumerate(question.rules.items()):
        written = blend(space.root, f"{run.folder}", ensembler=spec, name=f"a{number}")
        assert isinstance(written, Submitted)
        labels = pd.read_csv(written.path, dtype=str).set_index("id")["label"]
        table[name] = labels.loc[[f"t-{each}" for each in table["id"]]].to_numpy()
    return table
