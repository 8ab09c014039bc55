"""fastai as its documentation trains a folder of images; runs in the peers' environment, prints the accuracy last."""

from __future__ import annotations

import argparse

from fastai.vision.all import (
    ImageDataLoaders,
    LabelSmoothingCrossEntropy,
    Resize,
    accuracy,
    aug_transforms,
    vision_learner,
)


def main() -> None:
    """Trains from random weights, by the one-cycle policy, and says the last epoch's accuracy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=2e-3)
    options = parser.parse_args()
    loaders = ImageDataLoaders.from_folder(
        options.tree,
        train="train",
        valid="validation",
        bs=32,
        item_tfms=Resize(160),
        batch_tfms=aug_transforms(size=128),
    )
    learner = vision_learner(
        loaders, options.arch, pretrained=False, metrics=accuracy, loss_func=LabelSmoothingCrossEntropy()
    )
    learner.fit_one_cycle(options.epochs, options.lr)
    print(float(learner.recorder.values[-1][-1]))


if __name__ == "__main__":
    main()
