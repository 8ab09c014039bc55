"""fastai's fine_tune from a file of weights; runs in the peers' environment and writes test probabilities as a CSV.

python start.py fastai_finetune.py TREE OUT.csv --arch NAME --weights FILE [--epochs 5]

TREE has train/CLASS, validation/CLASS and test. The steps are those of fastai's documentation: presized crops,
aug_transforms, vision_learner, fine_tune (one frozen epoch first), and tta() for the test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from fastai.vision.all import (
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    get_image_files,
    vision_learner,
)


def main() -> None:
    """Fine-tunes, and writes the columns image and one per class."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    loaders = ImageDataLoaders.from_folder(
        options.tree,
        train="train",
        valid="validation",
        bs=32,
        num_workers=options.workers,
        item_tfms=Resize(round(options.size * 8 / 7)),
        batch_tfms=aug_transforms(size=options.size, min_scale=0.75),
    )
    overlay = {"file": options.weights, "num_classes": 1000}
    learner = vision_learner(
        loaders, options.arch, pretrained=True, metrics=accuracy, pretrained_cfg_overlay=overlay
    )
    learner.fine_tune(options.epochs)
    files = sorted(get_image_files(options.tree / "test"))
    probabilities, _ = learner.tta(dl=loaders.test_dl(files))
    table = pd.DataFrame(probabilities.numpy(), columns=list(loaders.vocab))
    table.insert(0, "image", [file.name for file in files])
    table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
