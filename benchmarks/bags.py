"""Do poolings of bags, and heads on cached vectors, find what is planted, and nothing if nothing is planted?

    python -m benchmarks.bags [--bags 400] [--draws 5]

Each competition is drawn: vectors of images in place of `kit embed`, in bags in which one vector decides, the order of
two vectors decides, each vector knows a little, or nothing is known. "Oracle" is the AUC of the exact probabilities.
The second table has vectors of single images for the heads, and scikit-learn's LogisticRegression on the same vectors
and folds. Gains are paired: means over draws with their 95 % interval. No image is read.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.paired import interval
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.stages.training.train import train
from tests.drawn_bags import draw_bags

FEATURES, INSTANCES = 16, 8
SETUP = ("backbone=embeddings", "backbone.run=bare", "batch_size=32", "epochs=20", "validate_every=20")
BAGS = (*SETUP, "data.order=slice", "instances.width=16")
POOLINGS: Mapping[str, tuple[str, ...]] = {
    "mean": ("instances=mean",),
    "max": ("instances=max",),
    "top_k": ("instances=top_k",),
    "attention": ("instances=attention", "instances.hidden=16"),
    "transformer": ("instances=transformer", "instances.dim=32"),
    "transformer, positions": ("instances=transformer", "instances.dim=32", "instances.positions=true"),
    "gru": ("instances=gru", "instances.hidden=16"),
    "lstm": ("instances=lstm", "instances.hidden=16"),
}
CASES = {
    "one vector of 8 decides": "one",
    "the order of two vectors decides": "order",
    "each vector knows a little": "each",
    "nothing": "nothing",
}
HEADS: Mapping[str, tuple[str, ...]] = {"linear": ("head=linear",), "mlp": ("head=mlp", "head.hidden=64")}
SINGLE_CASES = {
    "a direction decides": "direction",
    "two directions decide together": "together",
    "nothing": "nothing",
}


def draw_case(case: str, bags: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (bags, instances, features), labels (bags,) and the exact log odds (bags,), up to a constant."""
    labels = rng.integers(0, 2, bags)
    noise = rng.normal(size=(bags, INSTANCES, FEATURES))
    if case == "one":
        shift, position = 3.5, rng.integers(0, INSTANCES, bags)
        noise[np.arange(bags), position, 0] += shift * labels
        exact = np.log(_likelihood(noise[:, :, 0], shift).mean(axis=1))
    elif case == "order":
        shift = 3.5
        two = np.sort(np.argsort(rng.random((bags, INSTANCES)), axis=1)[:, :2], axis=1)
        noise[np.arange(bags), two[:, 0], 1 - labels] += shift
        noise[np.arange(bags), two[:, 1], labels] += shift
        first, second = (_likelihood(noise[:, :, axis], shift) for axis in (0, 1))
        pairs = first[:, :, None] * second[:, None, :]
        exact = np.log(np.triu(pairs, 1).sum(axis=(1, 2)) / np.tril(pairs, -1).sum(axis=(1, 2)))
    elif case == "each":
        shift = 0.5
        noise[:, :, 0] += shift * labels[:, None]
        exact = shift * noise[:, :, 0].sum(axis=1)
    else:
        exact = np.zeros(bags)
    return _turned(noise, rng), labels, exact


def draw_single_case(
    case: str, rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (rows, 1, features), labels (rows,) and the exact log odds (rows,), up to a constant."""
    labels = rng.integers(0, 2, rows)
    noise, exact = rng.normal(size=(rows, 1, FEATURES)), np.zeros(rows)
    if case == "direction":
        noise[:, 0, 0] += 1.5 * (2 * labels - 1)
        exact = noise[:, 0, 0]
    elif case == "together":
        shift = 2.0
        side = rng.choice([-1, 1], rows)
        noise[:, 0, 0] += shift * side
        noise[:, 0, 1] += shift * side * (2 * labels - 1)
        one, other = noise[:, 0, 0], noise[:, 0, 1]
        exact = np.log(np.cosh(shift * (one + other)) / np.cosh(shift * (one - other)))
    return _turned(noise, rng), labels, exact


def _likelihood(values: np.ndarray, shift: float) -> np.ndarray:
    """How much more likely values are with a shift than without."""
    return np.asarray(np.exp(shift * values - shift**2 / 2))


def _turned(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same vectors by other axes, so that no feature alone has what is planted."""
    return np.asarray(vectors @ np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))[0])


def measure_bags(case: str, bags: int, seed: int) -> dict[str, float]:
    """Out-of-fold AUCs of bags: of each pooling, and of the exact probabilities."""
    vectors, labels, exact = draw_case(case, bags, np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        root = _write(Path(folder) / "space", vectors, labels)
        scores = {"oracle": float(roc_auc_score(labels, exact))}
        for name, pooling in POOLINGS.items():
            scores[name] = _train(root, (*BAGS, *pooling, f"seed={seed}"), f"r{len(scores)}")
    return scores


def measure_heads(case: str, rows: int, seed: int) -> dict[str, float]:
    """Out-of-fold AUCs of single vectors: of each head, of LogisticRegression, and of the exact probabilities."""
    vectors, labels, exact = draw_single_case(case, rows, np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        root = _write(Path(folder) / "space", vectors, labels)
        scores = {"oracle": float(roc_auc_score(labels, exact))}
        for name, head in HEADS.items():
            scores[name] = _train(root, (*SETUP, *head, f"seed={seed}"), name)
        scores["LogisticRegression"] = _logistic_regression(root, labels)
    return scores


def _write(root: Path, vectors: np.ndarray, labels: np.ndarray) -> Path:
    """A competition of bags, all labelled but for two copies that stand for the test rows."""
    whole = [*vectors, *vectors[:2]]
    return draw_bags(root, whole, [*labels.tolist(), 0, 0], train=len(vectors))


def _train(root: Path, overrides: Iterable[str], name: str) -> float:
    run = train(root, list(overrides), name=name)
    held_out = Predictions.read(run.predictions("plain") / "oof.parquet")
    return held_out.provenance.require_scores()["auc"]


def _logistic_regression(root: Path, labels: np.ndarray) -> float:
    """The out-of-fold AUC of scikit-learn on the same standardised vectors, pooled as kit pools folds."""
    embeddings = Embeddings.read(root / "runs/bare/embeddings/plain/untrained").train
    folds = Folds.read(root / "runs/linear/folds.csv")
    truth = labels[[int(name.partition("_")[0]) for name in embeddings.ids.tolist()]]
    features, shares = embeddings.vectors.astype(np.float32), np.zeros(len(truth))
    for fold in range(folds.count):
        held_out = folds.oof_mask(fold)
        scaled = (features - features[~held_out].mean(0)) / features[~held_out].std(0)
        model = LogisticRegression(max_iter=1000).fit(scaled[~held_out], truth[~held_out])
        shares[held_out] = model.predict_proba(scaled[held_out])[:, 1]
    return float(roc_auc_score(truth, shares))


def main() -> None:
    """Prints a table row per case and pooling, then per case and head."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bags", type=int, default=400)
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.process_time()
    print("| planted | `instances` | `mean` | this one | oracle | gain (95 %) |\n|---|---|---|---|---|---|")
    for name, case in CASES.items():
        scores = pd.DataFrame([measure_bags(case, options.bags, seed) for seed in range(options.draws)])
        _print_rows(name, scores, "mean", [pooling for pooling in POOLINGS if pooling != "mean"])
    print(f"{time.process_time() - started:.0f} s of CPU time", flush=True)
    print(
        "\n| planted | head | LogisticRegression | this one | oracle | gain (95 %) |\n|---|---|---|---|---|---|"
    )
    for name, case in SINGLE_CASES.items():
        scores = pd.DataFrame([measure_heads(case, options.bags, seed) for seed in range(options.draws)])
        _print_rows(name, scores, "LogisticRegression", list(HEADS))
    print(f"{time.process_time() - started:.0f} s of CPU time", flush=True)


def _print_rows(case: str, scores: pd.DataFrame, peer: str, names: Iterable[str]) -> None:
    for name in names:
        values = " | ".join(f"{scores[key].mean():.3f}" for key in (peer, name, "oracle"))
        gain = interval(np.asarray(scores[name] - scores[peer]))
        print(f"| {case} | `{name}` | {values} | {gain} |", flush=True)


if __name__ == "__main__":
    main()
