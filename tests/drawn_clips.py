"""A competition whose images share answers: a clip has one to three frames, and the sample asks for clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.drawing import CLASSES, CONFIG, draw

TRAIN_CLIPS, TEST_CLIPS = 36, 7


def draw_clips(root: Path, **config: Any) -> Path:
    """Writes data/ and config.json into `root`. Frame f of clip 3 is `c03_f`; a clip has 1 + number % 3 frames."""
    rng = np.random.default_rng(0)
    images = root / "data" / "images"
    images.mkdir(parents=True)
    rows = {"train": ["frame,clip,label,site"], "test": ["frame,clip"]}
    for number in range(TRAIN_CLIPS + TEST_CLIPS):
        label, split = CLASSES[number % 3], "train" if number < TRAIN_CLIPS else "test"
        for frame in range(1 + number // 3 % 3):
            name = f"c{number:02d}_{frame}"
            cv2.imwrite(str(images / f"{name}.png"), draw(label, rng))
            more = f",{label},s{number // 6}" if split == "train" else ""
            rows[split].append(f"{name},c{number:02d}{more}")
    for split, lines in rows.items():
        (root / "data" / f"{split}.csv").write_text("\n".join(lines) + "\n")
    sample_rows = [f"c{number:02d},blob" for number in range(TRAIN_CLIPS, TRAIN_CLIPS + TEST_CLIPS)]
    (root / "data" / "sample_submission.csv").write_text("\n".join(["clip,label", *sample_rows]) + "\n")
    data = {"id": "frame", "test": "data/test.csv", "answer": "clip"}
    (root / "config.json").write_text(json.dumps({**CONFIG, "data": data, **config}))
    return root
