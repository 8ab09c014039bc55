"""Trains heads on cached vectors with each technique of a question, and prints paired gains over the baseline."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.gain_data import Photos
from kit.config.workspace import Workspace
from kit.core.files import fingerprint
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.evaluation.bootstrap import resample_scores
from kit.evaluation.competition import metric_of, open_ensembler
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Metric
from kit.stages.training.train import train

RATES = (0.002, 0.008)
MAX_NAME = 80  # characters of a run's name, before a hash of the rest
RATE_SEED = 100  # of the runs that choose the rate
RATE = "optimizer.lr={}"


@dataclass(frozen=True)
class Technique:
    """A row of a table: what it changes of the baseline, and the key of its learning rate."""

    changes: tuple[str, ...] = ()
    rate: str = RATE
    rates: tuple[float, ...] = RATES
    ensembler: str | None = None  # fitted on the out-of-fold predictions, by cross-fitting


@dataclass(frozen=True)
class Outcome:
    """What all techniques predict of the same rows with one seed."""

    metric: Metric
    truth: np.ndarray
    scenes: np.ndarray
    predictions: Mapping[str, np.ndarray]

    def scores(self) -> dict[str, float]:
        """The score of each technique."""
        return {name: self.metric.score(self.truth, each) for name, each in self.predictions.items()}

    def drawn(self) -> np.ndarray:
        """Scores (draws, techniques) of resampled scenes, the same ones for all seeds."""
        return resample_scores(self.metric, self.truth, list(self.predictions.values()), self.scenes)


@dataclass(frozen=True)
class Part:
    """A competition of vectors."""

    space: Workspace


@dataclass(frozen=True)
class Question:
    """A table: its competitions by photos, folder and seed, its scores, its baseline and its techniques."""

    title: str
    make: Callable[[Photos, Path, int], Sequence[Part]]
    baseline: str
    techniques: Mapping[str, Technique]
    scores: Mapping[str, object] = field(default_factory=lambda: {"macro F1": "macro_f1"})
    common: tuple[str, ...] = ()


def ask(question: Question, photos: Photos, folder: Path, seeds: int) -> None:
    """Trains all techniques of a question, and prints its table."""
    started = time.process_time()
    folder.mkdir(parents=True, exist_ok=True)
    tried = question.make(photos, folder / "rates", RATE_SEED)
    rates = {name: choose_rate(question, each, tried) for name, each in question.techniques.items()}
    outcomes: list[dict[str, Outcome]] = []
    for seed in range(seeds):
        parts = question.make(photos, folder / f"seed-{seed}", seed)
        predicted = {
            name: [predict(part, question, each, rates[name], seed) for part in parts]
            for name, each in question.techniques.items()
        }
        outcomes.append({title: outcome(parts, predicted, spec) for title, spec in question.scores.items()})
    print_gains(f"{question.title}, {seeds} seeds", question.baseline, outcomes, rates)
    print(f"\n{time.process_time() - started:.0f} s of CPU time", flush=True)


def print_gains(
    title: str, baseline: str, outcomes: Sequence[Mapping[str, Outcome]], rates: Mapping[str, float]
) -> None:
    """Prints a table of outcomes by seed and score: the mean scores, and the gains over the baseline."""
    scores = list(outcomes[0])
    gains = {score: gains_over([each[score] for each in outcomes], baseline) for score in scores}
    head = ["technique", *(["rate"] if rates else []), *(f"{score} | gain (95 %)" for score in scores)]
    print(f"\n{title}\n\n| {' | '.join(head)} |")
    print("|---" * (len(head) + len(scores)) + "|")
    for name in outcomes[0][scores[0]].predictions:
        cells = [name, *([f"{rates[name]:g}"] if rates else [])]
        for score in scores:
            cells.append(f"{np.mean([each[score].scores()[name] for each in outcomes]):.3f}")
            cells.append(gains[score].get(name, ""))
        print(f"| {' | '.join(cells)} |".replace("|  |", "| |"), flush=True)


def choose_rate(question: Question, technique: Technique, parts: Sequence[Part]) -> float:
    """The rate with the best first score of the first fold by a seed of its own."""
    if len(technique.rates) == 1:
        return technique.rates[0]
    spec = next(iter(question.scores.values()))
    predictions = {
        f"{rate}": [predict(parts[0], question, technique, rate, RATE_SEED, folds=(0,))]
        for rate in technique.rates
    }
    scored = outcome(parts[:1], predictions, spec)
    sign = 1 if scored.metric.higher_is_better else -1
    return float(max(scored.scores().items(), key=lambda each: sign * each[1])[0])


def predict(
    part: Part,
    question: Question,
    technique: Technique,
    rate: float,
    seed: int,
    folds: tuple[int, ...] | None = None,
) -> Predictions:
    """Out-of-fold predictions of a technique in a competition, by all folds or the given ones."""
    changes = (*question.common, technique.rate.format(rate), *technique.changes)
    name = "r-" + re.sub(r"[^a-z0-9.]+", "-", " ".join(changes).lower()).strip("-.")
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}-{fingerprint(name)[:8]}"
    overrides = [*changes, f"seed={seed}"]
    run = train(part.space.root, overrides, name=name, folds=folds)
    predictions = Predictions.read(run.predictions("plain") / "oof.parquet")
    return (
        predictions
        if technique.ensembler is None
        else cross_fitted(part, question, technique.ensembler, predictions)
    )


def cross_fitted(part: Part, question: Question, ensembler: str, predictions: Predictions) -> Predictions:
    """The predictions of an ensembler for each fold's rows, fitted on those of the other folds."""
    spec = next(iter(question.scores.values()))
    table = train_table(part.space)
    table = table.take(table.index_of(predictions.ids))
    space = Workspace.of(part.space.root, [f"metric={json.dumps(spec)}"])
    recipe, _ = open_ensembler(space, ensembler, table)
    probabilities, _ = cross_fit(
        recipe, predictions.probabilities[None], table.targets(), predictions.folds, table.groups
    )
    return replace(predictions, probabilities=probabilities)


def outcome(parts: Sequence[Part], predicted: Mapping[str, Sequence[Predictions]], spec: object) -> Outcome:
    """Joins the predictions of all competitions of a seed; their classes are the same."""
    tables, arrays = [], {name: list[np.ndarray]() for name in predicted}
    for place, part in enumerate(parts):
        table = train_table(part.space)
        ids = predicted[next(iter(predicted))][place].mean().ids
        tables.append(table.take(table.index_of(ids)))
        for name, predictions in predicted.items():
            arrays[name].append(predictions[place].mean().align(ids))
    space = Workspace.of(parts[0].space.root, [f"metric={json.dumps(spec)}"])
    truth = np.concatenate([np.asarray(table.targets()) for table in tables])
    scenes = np.concatenate([np.asarray(table.groups) for table in tables])
    ids = np.concatenate([table.ids for table in tables])
    order = np.argsort(ids)
    joined = {name: np.concatenate(each)[order] for name, each in arrays.items()}
    return Outcome(metric_of(space, tables[0]), truth[order], scenes[order], joined)


def gains_over(outcomes: Sequence[Outcome], baseline: str) -> dict[str, str]:
    """The mean gain over the baseline by technique, with the interval of resampled scenes and seeds."""
    names = list(outcomes[0].predictions)
    place, sign = names.index(baseline), 1 if outcomes[0].metric.higher_is_better else -1
    drawn = np.stack([each.drawn() for each in outcomes])  # (seeds, draws, techniques)
    drawn = sign * (drawn - drawn[:, :, place : place + 1])
    seeds, draws, _ = drawn.shape
    chosen = np.random.default_rng(0).integers(seeds, size=(draws, seeds))
    means = drawn[chosen, np.arange(draws)[:, None]].mean(axis=1)  # (draws, techniques)
    low, high = np.nanpercentile(means, [2.5, 97.5], axis=0)
    gains = {}
    for number, name in enumerate(names):
        if name != baseline:
            value = sign * np.mean([each.scores()[name] - each.scores()[baseline] for each in outcomes])
            gains[name] = f"{value:+.3f} ({low[number]:+.3f} to {high[number]:+.3f})"
    return gains
