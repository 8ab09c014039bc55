"""JPEG decoding at half scale or less, where that suffices for the cache, against whole decoding: pixels, time, scores.

    python benchmarks/reduced_jpeg.py WORKSPACE --runs k18 h18 [--cache-size 96] [--images 500]

Fills two caches in a temporary folder, on one core, with `data.jpeg_scaling=true` and without; tells how far
their pixels are apart, how fast each was, and what the networks of finished runs score on the out-of-fold rows of
each, beside the gain with the paired bootstrap's interval. A cache size other than the runs' own makes photos that are
too small for it count as large ones. Nothing is written to the workspace.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.table import Table, train_table
from kit.engine.batches import PlainBatches
from kit.evaluation.bootstrap import compute_gains, format_gain
from kit.experiment.loading import find_targets
from kit.experiment.prediction_file import experiment_of, restore
from kit.images.cache import Cache, Geometry, fill_cache
from kit.kinds import Metric
from kit.model import checkpoints
from kit.model.predict import predict_all
from kit.runs.run import Run

WAYS = ("reduced", "whole")


def filled(space: Workspace, table: Table, geometry: Geometry, folder: Path, way: str) -> tuple[Cache, float]:
    """The cache by one way of decoding, and its images a second on one core."""
    data = space.competition.data.model_copy(update={"jpeg_scaling": way == "reduced"})
    start = time.perf_counter()
    cache = finish(fill_cache(folder / way, list(table.paths), geometry, data, workers=1)).cache
    return cache, len(table) / (time.perf_counter() - start)


def apart(one: Cache, other: Cache, rows: int) -> np.ndarray:
    """Of each of the first rows: mean absolute difference, largest one, and PSNR in dB."""
    gaps = []
    for row in range(min(rows, len(one))):
        gap = one[row].astype(np.int16) - other[row]
        error = float((gap.astype(np.float64) ** 2).mean())
        gaps.append((np.abs(gap).mean(), np.abs(gap).max(), 10 * np.log10(255**2 / max(error, 1e-9))))
    return np.array(gaps)


def held_out(space: Workspace, run: Run, table: Table, cache: Cache) -> np.ndarray:
    """Each row's probabilities by the network of the fold that held it out."""
    (target,) = find_targets(space, [run.folder])
    folds, probabilities = run.folds(), np.zeros((len(table), len(table.classes)), np.float32)
    for fold, path in target.folds.items():
        checkpoint = checkpoints.load(path)
        experiment, rows = experiment_of(checkpoint.provenance), np.flatnonzero(folds.oof_mask(fold))
        predictor = restore(checkpoint, space.root, torch.device("cpu"))
        batches = PlainBatches(
            cache, rows, experiment.image_size, experiment.center_crop, int(experiment.batch_size), 0
        )
        (probabilities[rows],) = finish(
            predict_all([predictor], batches, [lambda x: x], "mean", len(rows), "")
        )
    return probabilities


def main() -> None:
    """Prints pixels, speed and scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--runs", nargs="+", required=True)
    parser.add_argument("--cache-size", type=int, help="By default that of each run.")
    parser.add_argument("--images", type=int, default=500, help="How many images' pixels are compared.")
    options = parser.parse_args()
    space = Workspace.find(options.workspace)
    table = train_table(space.root, space.competition.data).sort_by_id()
    metric = Metric.open(space.competition.metric, space.root)
    for name in options.runs:
        run = Run(space.runs / name)
        path = next(iter(find_targets(space, [run.folder])[0].folds.values()))
        experiment = experiment_of(checkpoints.provenance_of(path))
        size = options.cache_size or experiment.cache_size
        geometry = Geometry.of(experiment.model_copy(update={"cache_size": size}))
        with tempfile.TemporaryDirectory() as folder:
            caches = {way: filled(space, table, geometry, Path(folder), way) for way in WAYS}
            gaps = apart(caches["reduced"][0], caches["whole"][0], options.images)
            predictions = {way: held_out(space, run, table, cache) for way, (cache, _) in caches.items()}
        speeds = ", ".join(f"{way} {rate:.0f} images/s" for way, (_, rate) in caches.items())
        print(f"{name}, cache {geometry.cache_size} px: {speeds}")
        mean, most, psnr = gaps.mean(axis=0)
        largest = f"the largest {gaps[:, 1].max():.0f} (mean {most:.0f})"
        print(f"  levels apart: mean {mean:.2f}, {largest}, PSNR {psnr:.1f} dB")
        truth = table.targets()
        for scored in (metric, Metric.open("log_loss"), Metric.open("accuracy")):
            (gain,) = compute_gains(
                scored, truth, predictions["reduced"], {"whole": predictions["whole"]}, table.groups
            )
            scores = ", ".join(f"{way} {scored.score(truth, predictions[way]):.4f}" for way in WAYS)
            print(f"  {scored.plugin_name()}: {scores}; reduced over whole {format_gain(gain)}")
        same = (predictions["reduced"].argmax(1) == predictions["whole"].argmax(1)).mean()
        print(f"  the same answer on {same:.2%} of rows")


if __name__ == "__main__":
    main()
