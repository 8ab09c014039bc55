"""What do adapted batch norm and views gain on drawn images, where they can gain and where they cannot?

    python -m benchmarks.prediction_gains [--draws 4] [--only bn-adapt views]

scikit-learn's digits, or shapes, in frames of 32 px, 500 rows to train on and 500 test rows. The same small networks
predict all kinds of test images. Gains over their plain prediction are in accuracy on the test rows: means over draws
with their 95 % interval by Student's t.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.drawn_images import (
    SHAPES,
    draw_shape,
    enlarge,
    find_accuracy,
    frame,
    shuffle_digits,
    write_competition,
)
from benchmarks.paired import interval
from kit.kinds import Views
from kit.runs.run import Run
from kit.stages.prediction.tta import predict_view_sets, tta, views_name
from kit.stages.training.train import train

SIDE, ROWS, EPOCHS = 32, 500, 12

Accuracies = dict[tuple[str, str], float]  # by case and technique
SHIFTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "the same light": lambda image: image,
    "half of the light": lambda image: image / 2,
    "half of the contrast": lambda image: 0.5 * image + 0.2,
    "a colour cast": lambda image: image * [1.2, 0.8, 0.4] + [0.0, 0.1, 0.3],
}
PRIORS = (64, 0)
FEW_CLASSES = "the same light, 2 of 10 classes"


def frame_digits(scans: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Frames with a digit of 24 to 28 px near the centre."""
    return [frame(enlarge(scan, int(rng.choice((24, 26, 28)))), SIDE, rng, 0.5) for scan in scans]


def measure_bn_adapt(seed: int) -> Accuracies:
    """Accuracies by case and N of `--bn-adapt`; plain: without it."""
    rng = np.random.default_rng(seed)
    scans, labels = shuffle_digits(rng)
    images = frame_digits(scans[: 2 * ROWS], rng)
    accuracies: Accuracies = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "trained"
        write_competition(root, images[:ROWS], images[ROWS:], labels.tolist(), {"seed": seed})
        train(root, [f"epochs={EPOCHS}"], name="r")
        few = [row for row in range(ROWS, len(scans)) if labels[row] in (3, 8)]
        cases = {name: (images[ROWS:], labels, shift) for name, shift in SHIFTS.items()}
        framed = frame_digits(scans[few], rng)
        cases[FEW_CLASSES] = framed, np.array([*labels[:ROWS], *labels[few]]), SHIFTS["the same light"]
        for place, (name, (shown, truth, shift)) in enumerate(cases.items()):
            space = Path(folder) / f"case{place}"
            shutil.copytree(root / "runs", space / "runs")
            test = [shift(image) for image in shown]
            write_competition(space, images[:ROWS], test, truth.tolist(), {"seed": seed})
            run = Run(space / "runs" / "r")
            for prior in (None, *PRIORS):
                tta(space, run.folder, bn_adapt=prior)
                member = "plain" if prior is None else f"plain-bn{prior}"
                accuracies[name, member] = find_accuracy(run, "test", truth.tolist(), member)
    return accuracies


VIEWS: Mapping[str, Any] = {
    "`five_crop`": "five_crop",
    "`ten_crop`": "ten_crop",
    "`tiles`": "tiles",
    "`scale`": "scale",
    "`scale`, 1 and 2": {"name": "scale", "factors": [1.0, 2.0]},
    "`shift`": "shift",
}
CROPS = {"name": "light", "scale": [0.3, 1.0]}
SCENES: Mapping[str, tuple[int | tuple[int, ...], int | tuple[int, ...], float, float, Mapping[str, Any]]] = {
    # sides of the shapes of training images, of test images, their offset, the noise, and the augmenter
    "whole images; shapes that fill the frame": (28, 28, 0.0, 2.0, {"name": "resize"}),
    "whole images; shapes of a third, anywhere": (10, 10, 1.0, 1.0, {"name": "resize"}),
    "random crops; test shapes smaller by a third": (15, 10, 1.0, 0.4, CROPS),
    "random crops; sizes vary threefold": ((6, 10, 18), (6, 10, 18), 1.0, 0.5, CROPS),
}


def measure_views(seed: int) -> Accuracies:
    """Accuracies by case and views."""
    accuracies: Accuracies = {}
    for name, (own, theirs, offset, noise, augmenter) in SCENES.items():
        rng = np.random.default_rng(seed)
        labels = rng.choice(SHAPES, 2 * ROWS).tolist()
        sides = [int(rng.choice(np.atleast_1d(each))) for each in (own, theirs) for _ in range(ROWS)]
        images = [
            frame(draw_shape(label, side), SIDE, rng, offset, noise)
            for label, side in zip(labels, sides, strict=True)
        ]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            config = {"seed": seed, "augmenter": augmenter, "splitter": "holdout"}
            write_competition(root, images[:ROWS], images[ROWS:], labels, config)
            run = train(root, [f"epochs={EPOCHS}"], name="r")
            sets = {"plain": "plain", **VIEWS}
            predict_view_sets(root, run.folder, list(sets.values()))
            for label, views in sets.items():
                member = views_name(Views.open(views, root, "views"), "mean")
                accuracies[name, label] = find_accuracy(run, "test", labels, member)
    return accuracies


def print_table(head: str, accuracies: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Prints a row per case and technique. Columns are pairs of them, and rows are draws."""
    print(f"| {head} | plain | this one | gain (95 %) |\n|---|---|---|---|---|")
    for case in accuracies.columns.get_level_values(0).unique():
        for name, label in names.items():
            plain, own = accuracies[case, "plain"], accuracies[case, name]
            gain = interval(np.asarray(own - plain))
            print(f"| {case} | {label} | {plain.mean():.3f} | {own.mean():.3f} | {gain} |", flush=True)


def collect(draws: Sequence[Accuracies]) -> pd.DataFrame:
    """A row per draw, and a column per pair of case and technique."""
    return pd.DataFrame({key: [draw[key] for draw in draws] for key in draws[0]})


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=("bn-adapt", "views"), default=["bn-adapt", "views"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started, draws = time.process_time(), range(options.draws)
    if "bn-adapt" in options.only:
        names = {f"plain-bn{prior}": f"`--bn-adapt {prior}`" for prior in PRIORS}
        print_table("test images | option", collect([measure_bn_adapt(seed) for seed in draws]), names)
        print(f"{time.process_time() - started:.0f} s of CPU time\n", flush=True)
    if "views" in options.only:
        names = {name: name for name in VIEWS}
        print_table(
            "trained on; test images | `--views`", collect([measure_views(seed) for seed in draws]), names
        )
        print(f"{time.process_time() - started:.0f} s of CPU time", flush=True)


if __name__ == "__main__":
    main()
