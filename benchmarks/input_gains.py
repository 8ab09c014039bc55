"""What do crops, neighbouring slices and bags end to end gain on drawn images, and what do they lose elsewhere?

    python -m benchmarks.input_gains [--draws 4] [--only crops slices bags]

Crops: shapes in frames of 96 px, which the network sees at 32 px; the second stage sees what `kit boxes` cuts out, or
the true boxes. Slices: each row alone, or with its neighbours as channels. Bags: five digits, of which the label needs
one or each. Scores are out of fold over two folds of whole studies or bags. Gains are means over draws with their 95 %
interval by Student's t.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drawn_images import (
    CONFIG,
    SHAPES,
    draw_shape,
    enlarge,
    find_accuracy,
    frame,
    shuffle_digits,
    write_competition,
    write_image,
)
from benchmarks.paired import interval
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.runs.run import Run
from kit.stages.prediction.boxes import boxes
from kit.stages.prediction.embed import embed, embed_untrained
from kit.stages.training.train import train

Scores = dict[tuple[str, str], tuple[float, float]]  # a score and CPU seconds, by case and way
ROWS, FRAME = 300, 96
STUDIES, SLICES, SIDE = 40, 8, 16
BAGS, IMAGES = 240, 5
CROPS = {  # side of the shapes, and whether the class is their place instead of the shape
    "a shape of an eighth of the frame decides": (12, False),
    "the place of such a shape decides": (12, True),
}


def measure_crops(seed: int) -> Scores:
    """Accuracies of whole images, and of crops by `kit boxes` and by the true boxes."""
    scores: Scores = {}
    for case, (side, is_place) in CROPS.items():
        rng = np.random.default_rng(seed)
        names, images, true, labels = rng.choice(SHAPES, ROWS + 2), [], [], []
        for row, name in enumerate(names):
            top, left = (int(position) for position in rng.integers(0, FRAME - side + 1, 2))
            image = rng.normal(0.15, 0.2, (FRAME, FRAME, 3))
            image[top : top + side, left : left + side] += 0.7 * draw_shape(name, side)[:, :, None]
            images.append(image)
            true.append((f"i{row:05d}", left, top, side, side))
            position = "top" if top + side / 2 < FRAME / 2 else "bottom"
            labels.append(position if is_place else name)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            config = {
                "cache_size": FRAME,
                "augmenter": {"name": "light", "hflip": False},
                "epochs": 16,
                "batch_size": 16,
            }
            write_competition(root, images[:ROWS], images[ROWS:], labels, {**config, "seed": seed})
            table = pd.DataFrame(true, columns=["id", "x", "y", "width", "height"])
            table.to_csv(root / "true.csv", index=False)

            def take(way: str, *overrides: str, before: float = 0.0) -> float:
                started = time.process_time()
                run = train(root, overrides, name=f"r{len(scores)}")  # noqa: B023 # called within the round
                spent = before + time.process_time() - started
                scores[case, way] = find_accuracy(run, "oof", labels), spent  # noqa: B023 # called within the round
                return spent

            first = f"r{len(scores)}"
            spent = take("whole")
            started = time.process_time()
            boxes(root, f"runs/{first}")
            boxes(root, f"runs/{first}", "small.csv", threshold=0.5)
            spent += (time.process_time() - started) / 2
            take("kit boxes", "data.box=boxes.csv", "data.box_margin=0.1", before=spent)
            take("small boxes", "data.box=small.csv", "data.box_margin=0.1", before=spent)
            take("true boxes", "data.box=true.csv", "data.box_margin=0.1")
    return scores


def draw_slices(case: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns grey slices (studies, slices, side, side) in shares of white, and labels (studies, slices)."""
    noise = rng.normal(0.4, 0.15, (STUDIES, SLICES, SIDE, SIDE))
    labels = np.zeros((STUDIES, SLICES), bool)
    for study in range(STUDIES):
        if case == "lesion":  # a spot in three slices is a lesion, and spots in one slice are not
            first = int(rng.integers(0, SLICES - 2))
            labels[study, first : first + 3] = True
            _add_spot(noise[study, first : first + 3], rng, 0.4)
            outside = [index for index in range(SLICES) if not first - 1 <= index <= first + 3]
            for index in rng.permutation(outside)[:3]:
                _add_spot(noise[study, index : index + 1], rng, 0.4)
        elif case == "study":  # all slices of a study have the same faint spot, or none
            labels[study] = study % 2 == 1
            if study % 2:
                _add_spot(noise[study], rng, 0.15)
        else:  # each slice has a spot of its own
            labels[study] = rng.random(SLICES) < 0.5
            for index in np.flatnonzero(labels[study]):
                _add_spot(noise[study, index : index + 1], rng, 0.14)
    return noise, labels


def _add_spot(slices: np.ndarray, rng: np.random.Generator, light: float) -> None:
    top, left = rng.integers(0, SIDE - 4, 2)
    slices[:, top : top + 4, left : left + 4] += light


SLICE_CASES = {
    "a spot in three slices decides, one in one slice does not": "lesion",
    "all slices of a study have the same faint spot": "study",
    "each slice has a spot of its own": "own",
}


def measure_slices(seed: int) -> Scores:
    """AUCs of slices alone, and of slices with both neighbours."""
    scores: Scores = {}
    for name, case in SLICE_CASES.items():
        pixels, labels = draw_slices(case, np.random.default_rng(seed))
        with tempfile.TemporaryDirectory() as folder:
            root, rows = Path(folder), []
            for study in range(STUDIES):
                names = [f"s{study:02d}_{index}" for index in range(SLICES)]
                for index, name_of_slice in enumerate(names):
                    write_image(root / "scans" / f"{name_of_slice}.png", pixels[study, index])
                    label = "yes" if labels[study, index] else "no"
                    before, after = names[max(index - 1, 0)], names[min(index + 1, SLICES - 1)]
                    rows.append((name_of_slice, f"s{study:02d}", before, after, label))
            (root / "data").mkdir()
            table = pd.DataFrame(rows, columns=["id", "study", "before", "after", "label"])
            table.to_csv(root / "data" / "train.csv", index=False)
            data = {"sample": None, "group": "study", "images": "scans/{id}.png"}
            config = {"data": data, "seed": seed, "metric": "auc", "format": {"name": "binary_probability"}}
            splitter = {"name": "stratified_group_kfold", "folds": 2}
            more = {"splitter": splitter, "image_size": SIDE, "cache_size": SIDE, "epochs": 20}
            small = {"augmenter": {"name": "flips"}, "backbone": {"name": "small", "width": 8, "stages": 2}}
            (root / "config.json").write_text(json.dumps({**CONFIG, **config, **more, **small}))
            for way, images in {
                "alone": "scans/{id}.png",
                "neighbours": "scans/{before}.png | scans/{id}.png | scans/{after}.png",
            }.items():
                started = time.process_time()
                run = train(root, [f"data.images={images}"], name=way)
                scores[name, way] = read_auc(run), time.process_time() - started
    return scores


def read_auc(run: Run) -> float:
    """The out-of-fold AUC of a run, of its answers."""
    predictions = Predictions.read(run.predictions("plain") / "oof.parquet")
    return predictions.provenance.require_scores()["auc"]


BAG_CASES = {"one digit of five decides": "one", "each image knows a little": "each"}


def measure_bags(seed: int) -> Scores:
    """AUCs of images with the labels of their bags, of heads on frozen features, and of bags end to end."""
    scores: Scores = {}
    for name, case in BAG_CASES.items():
        rng = np.random.default_rng(seed)
        scans, digits = shuffle_digits(rng)
        labels = np.arange(BAGS + 1) % 2 == 1
        with tempfile.TemporaryDirectory() as folder:
            root, rows = Path(folder), []
            for bag in range(BAGS + 1):  # the last one stands for the test rows
                rows_of_bag = rng.choice(np.flatnonzero(digits != 0), IMAGES)
                if labels[bag] and case == "one":
                    rows_of_bag[rng.integers(IMAGES)] = rng.choice(np.flatnonzero(digits == 0))
                for index, row in enumerate(rows_of_bag.tolist()):
                    image = frame(enlarge(scans[row], 14), SIDE, rng, 1.0)
                    if case == "each":
                        image += rng.normal(0.08 * labels[bag], 0.1)
                    key = f"b{bag:03d}_{index}"
                    write_image(root / "data" / "images" / f"{key}.png", image)
                    rows.append((key, f"b{bag:03d}", "yes" if labels[bag] else "no"))
            table = pd.DataFrame(rows, columns=["id", "bag", "label"])
            known = table[table["bag"] < f"b{BAGS:03d}"]
            known.to_csv(root / "data" / "train.csv", index=False)
            table.drop(index=known.index)[["id", "bag"]].to_csv(root / "data" / "test.csv", index=False)
            (root / "data" / "sample_submission.csv").write_text(f"bag,yes\nb{BAGS:03d},0.5\n")
            data = {"test": "data/test.csv", "answer": "bag"}
            config = {"data": data, "seed": seed, "metric": "auc", "format": {"name": "binary_probability"}}
            size = {"image_size": SIDE, "cache_size": SIDE, "epochs": 12, "augmenter": "resize"}
            (root / "config.json").write_text(json.dumps({**CONFIG, **config, **size}))
            for way, score in _train_bags(root).items():
                scores[name, way] = score
    return scores


def _train_bags(root: Path) -> dict[str, tuple[float, float]]:
    """Scores and CPU seconds by way; those on vectors of a trained network contain its training."""
    scores: dict[str, tuple[float, float]] = {}

    def take(way: str, overrides: Sequence[str], before: Callable[[], object] | None = None) -> Run:
        started = time.process_time()
        if before is not None:
            before()
        run = train(root, overrides, name=way.replace(" ", "-"))
        scores[way] = read_auc(run), time.process_time() - started
        return run

    pooled = ["instances=attention", "instances.hidden=16"]
    cached = ["backbone=embeddings", "epochs=20", "batch_size=16", *pooled, "instances.width=16"]
    take("images", ["batch_size=40"])
    take(
        "random features",
        [*cached, "backbone.run=bare"],
        lambda: embed_untrained(Workspace.open(root), "bare"),
    )
    take("trained features", [*cached, "backbone.run=images"], lambda: embed(root, "runs/images"))
    scores["trained features"] = (
        scores["trained features"][0],
        sum(scores[way][1] for way in ("images", "trained features")),
    )
    take("end to end", [*pooled, "batch_size=8"])
    return scores


PARTS: Mapping[str, tuple[Callable[[int], Scores], str, str, Mapping[str, str]]] = {
    "crops": (
        measure_crops,
        "accuracy",
        "whole",
        {
            "kit boxes": "crops by `kit boxes`",
            "small boxes": "crops by `kit boxes --threshold 0.5`",
            "true boxes": "crops by true boxes",
        },
    ),
    "slices": (measure_slices, "AUC", "alone", {"neighbours": "with both neighbours"}),
    "bags": (
        measure_bags,
        "AUC",
        "images",
        {
            "random features": "cached features of a random network, `instances=attention`",
            "trained features": "cached features of the trained network, `instances=attention`",
            "end to end": "end to end, `instances=attention`",
        },
    ),
}


def print_part(part: str, draws: int) -> None:
    """Prints a row per case and way."""
    measure, score, base, names = PARTS[part]
    scores = [measure(seed) for seed in range(draws)]
    print(
        f"| planted | way | {base}: {score} | this one | gain (95 %) | CPU time, s |\n|---|---|---|---|---|---|"
    )
    for case in dict.fromkeys(each for each, _ in scores[0]):
        for way, label in names.items():
            peer, own = (np.array([each[case, key] for each in scores]) for key in (base, way))
            gain = interval(own[:, 0] - peer[:, 0])
            spent = f"{own[:, 1].mean():.1f} to {peer[:, 1].mean():.1f}"
            print(
                f"| {case} | {label} | {peer[:, 0].mean():.3f} | {own[:, 0].mean():.3f} | {gain} | {spent} |",
                flush=True,
            )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.process_time()
    for part in options.only:
        print_part(part, options.draws)
        print(f"{time.process_time() - started:.0f} s of CPU time\n", flush=True)


if __name__ == "__main__":
    main()
