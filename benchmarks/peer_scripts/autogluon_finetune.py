"""AutoGluon's MultiModalPredictor from a folder of weights; runs in its own environment and writes test probabilities.

python start.py autogluon_finetune.py TREE OUT.csv --weights FOLDER [--epochs 5]

FOLDER has config.json and pytorch_model.bin as AutoGluon reads a local network of timm. TREE has train/CLASS,
validation/CLASS and test. Everything else is MultiModalPredictor's default.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def table_of(folder: Path) -> pd.DataFrame:
    """The images of a folder with one subfolder per class."""
    files = sorted(folder.glob("*/*"))
    return pd.DataFrame(
        {"image": [str(file) for file in files], "label": [file.parent.name for file in files]}
    )


def main() -> None:
    """Fine-tunes, and writes the columns image and one per class."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    predictor = MultiModalPredictor(
        label="label",
        problem_type="multiclass",
        eval_metric="f1_macro",
        path=str(options.out.with_suffix("")),
    )
    predictor.fit(
        table_of(options.tree / "train"),
        tuning_data=table_of(options.tree / "validation"),
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": options.weights,
            "optim.max_epochs": options.epochs,
            "env.num_gpus": 0,
            "env.num_workers": options.workers,
            "env.num_workers_inference": options.workers,
        },
    )
    files = sorted((options.tree / "test").iterdir())
    probabilities = predictor.predict_proba(pd.DataFrame({"image": [str(file) for file in files]}))
    probabilities.insert(0, "image", [file.name for file in files])
    probabilities.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
