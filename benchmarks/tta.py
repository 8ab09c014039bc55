"""`kit tta` with the eight views d4: against bare forwards of the same batches, and against ttach's wrapper.

    python benchmarks/tta.py [--arch resnet18] [--size 128] [--images 512] [--rounds 3] [--folds 5]
    python benchmarks/tta.py --only ttach --workspace grocery --run k18     # the same answers on real photos

files: one checkpoint, from cached images to parquet, against eight forwards of a batch that lies in memory, at the
same precision and layout, in turns of a batch. What kit does besides counts in full: tables, networks, views,
probabilities, scores, writing.
jpeg: as many folds at once from JPEGs of 384 x 512 that no cache holds, against eight forwards for each fold; the cache
is filled on all cores, which counts in full. How often an image was decoded is counted.
ttach: ClassificationTTAWrapper in float32, as people use it, on the same images in memory, in turns of a batch against
kit's views; and the share of rows on which both have the same answer.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch
import ttach
from torch import Tensor, nn

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.table import train_table
from kit.device.precision import Precision
from kit.engine.batches import PlainBatches
from kit.experiment.loading import find_targets
from kit.experiment.prediction_file import experiment_of, restore
from kit.images.cache import Geometry, fill_cache
from kit.images.reader import ImageSource
from kit.kinds import Views
from kit.model import checkpoints
from kit.model.predict import Predictor, View, open_views
from kit.runs.run import Run
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train

VIEWS, CPU = "d4", torch.device("cpu")


def draw(root: Path, images: int, train_rows: int = 160, classes: int = 8) -> None:
    """JPEGs of 384 x 512; a class is a colour among others, so that few steps learn it."""
    rng, names = np.random.default_rng(0), [f"{number:05d}" for number in range(train_rows + images)]
    (root / "data" / "images").mkdir(parents=True)
    colours = rng.integers(40, 216, (classes, 3))
    for number, name in enumerate(names):
        coarse = rng.integers(0, 256, (12, 16, 3)) * 0.4 + colours[number % classes] * 0.6
        picture = cv2.resize(coarse.astype(np.uint8), (512, 384), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "data" / "images" / f"{name}.jpg"), picture)
    rows = [f"{name},c{number % classes}" for number, name in enumerate(names)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label", *rows[:train_rows]]) + "\n")
    (root / "data" / "sample_submission.csv").write_text("\n".join(["id,label", *rows[train_rows:]]) + "\n")
    (root / "config.json").write_text("{}")


def trained(root: Path, options: argparse.Namespace) -> list[Predictor]:
    """The networks of a run `r` of so many folds, each trained for a few steps."""
    overrides = [
        f"backbone.arch={options.arch}",
        f"image_size={options.size}",
        "epochs=4",
        "optimizer.lr=0.002",
        f"splitter.folds={options.folds}",
        "batch_size=32",
        "ema_decay=0",
    ]
    run = train(root, overrides, name="r")
    return [network(run.fold(fold) / "0004", root) for fold in range(options.folds)]


def network(checkpoint: Path, root: Path) -> Predictor:
    """A checkpoint's network, ready to predict."""
    return restore(checkpoints.load(checkpoint), root, CPU)


def bare_turn(predictors: list[Predictor], images: Tensor, forwards: int = 8) -> None:
    """So many forwards of one batch by each network, and nothing else."""
    for predictor in predictors:
        for _ in range(forwards):
            with predictor.precision.autocast_prediction(CPU):
                predictor.network(images)


def against_bare(root: Path, predictors: list[Predictor], paths: list[str], size: int) -> tuple[float, float]:
    """Rows a second of the bare forwards and of kit, in turns of a batch."""
    work = tta.with_progress(Workspace.open(root), paths, VIEWS)
    batch = torch.randint(0, 256, (32, 3, size, size), dtype=torch.uint8)
    images = predictors[0].precision.to_layout(batch, CPU)
    spent, turns = [0.0, 0.0], 0
    bare_turn(predictors, images)
    while True:
        start = time.perf_counter()
        step = next(work, None)
        spent[1] += time.perf_counter() - start
        if step is None:
            break
        if step.task == "tta" and not step.line:
            start = time.perf_counter()
            bare_turn(predictors, images)
            spent[0] += time.perf_counter() - start
            turns += 1
    folder = root / "runs" / "r" / "predictions" / VIEWS
    tables = [np.asarray(_rows(folder / f"{split}.parquet")) for split in ("oof", "test")]
    networks = sum(len(rows) for rows in tables)  # rows times the networks that predicted each
    shutil.rmtree(folder)
    return turns * 32 * len(predictors) / spent[0], networks / spent[1]


def _rows(file: Path) -> list[str]:
    from kit.data.predictions import Predictions

    ids: list[str] = Predictions.read(file).ids.tolist()
    return ids


class Whole(nn.Module):
    """A network as people wrap it: float32 images in, probabilities out."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = self.inner(images).float().softmax(dim=1)
        return probabilities


def against_ttach(root: Path, checkpoint: Path, rows: int) -> tuple[float, float, float]:
    """Images a second of ttach and of kit's views, and the share of rows with the same answer."""
    space, experiment = Workspace.open(root), experiment_of(checkpoints.load(checkpoint).provenance)
    table = train_table(root, space.competition.data).sort_by_id()
    chosen = np.sort(np.random.default_rng(0).permutation(len(table))[:rows])
    views, ours = open_views(Views.open(VIEWS), experiment.image_size), network(checkpoint, root)
    plain = Precision("float32", "float32", "contiguous").to_device(network(checkpoint, root).network, CPU)
    wrapper = ttach.ClassificationTTAWrapper(Whole(plain).eval(), ttach.aliases.d4_transform())
    with tempfile.TemporaryDirectory() as folder:
        paths = [table.paths[int(row)] for row in chosen]
        cache = finish(fill_cache(Path(folder), paths, Geometry.of(experiment), space.competition.data)).cache
        seconds_by_way = _in_turns(
            wrapper,
            ours,
            views,
            PlainBatches(cache, np.arange(len(paths)), experiment.image_size, experiment.center_crop, 32, 0),
        )
    return seconds_by_way


def _in_turns(
    wrapper: nn.Module, ours: Predictor, views: Sequence[View], batches: PlainBatches
) -> tuple[float, float, float]:
    spent, same, count = [0.0, 0.0], 0, 0
    for number, batch in enumerate(batches):
        floats = batch.images.float().contiguous()
        start = time.perf_counter()
        with torch.no_grad():
            theirs = wrapper(floats)
        middle = time.perf_counter()
        mine = ours.predict_views(ours.precision.to_layout(batch.images, CPU), views, "mean")
        end = time.perf_counter()
        same += int((theirs.argmax(1) == mine.argmax(1)).sum())
        count += len(batch)
        if number:  # the first turn allocates
            spent[0], spent[1] = spent[0] + middle - start, spent[1] + end - middle
    timed = count - batches.batch_size
    return timed / spent[0], timed / spent[1], same / count


def rounds(options: argparse.Namespace, root: Path, predictors: list[Predictor]) -> Iterator[str]:
    """A line a measurement and round, then each one's median."""
    first = predictors[:1]
    if options.only in (None, "files"):
        ratios = []
        for number in range(options.rounds + 1):
            bare, mine = against_bare(root, first, ["runs/r/fold-0"], options.size)
            if number:  # the first one fills the cache
                ratios.append(mine / bare)
                yield f"files: bare {bare:.1f} rows/s, kit {mine:.1f} rows/s, ratio {ratios[-1]:.3f}"
        yield f"files, one checkpoint: median ratio {statistics.median(ratios):.3f}"
    if options.only in (None, "jpeg"):
        ratios = []
        with patch.object(ImageSource, "decode", autospec=True, side_effect=ImageSource.decode) as decoded:
            for _ in range(options.rounds):
                shutil.rmtree(root / "cache")
                decoded.reset_mock()
                bare, mine = against_bare(root, predictors, ["runs/r"], options.size)
                ratios.append(mine / bare)
                files = len(list((root / "data" / "images").iterdir()))
                yield (
                    f"jpeg: {decoded.call_count} decoded of {files} images; bare {bare:.1f} rows/s, "
                    f"kit {mine:.1f} rows/s, ratio {ratios[-1]:.3f}"
                )
        yield f"jpeg, {len(predictors)} folds: median ratio {statistics.median(ratios):.3f}"


def main() -> None:
    """Prints a line a measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", choices=["files", "jpeg", "ttach"])
    parser.add_argument("--workspace", type=Path, help="For ttach: a workspace with photos.")
    parser.add_argument("--run", help="For ttach: a finished run of that workspace.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, checkpoint = options.workspace, None
        if options.workspace:
            (target,) = find_targets(Workspace.find(root), [Run(root / "runs" / options.run).folder])
            checkpoint = next(iter(target.folds.values()))
        else:
            root = Path(folder) / "space"
            draw(root, options.images)
            predictors = trained(root, options)
            checkpoint = root / "runs/r/fold-0/0004"
            print(f"{options.arch}, {options.size} px, batch 32, {predictors[0].precision}", flush=True)
            for line in rounds(options, root, predictors):
                print(line, flush=True)
        if options.only in (None, "ttach"):
            theirs, mine, same = against_ttach(root, checkpoint, options.images)
            print(f"ttach: {theirs:.1f} images/s, kit {mine:.1f} images/s, {mine / theirs:.2f} times as fast")
            print(f"ttach: the same answer on {same:.2%} of rows")


if __name__ == "__main__":
    main()
