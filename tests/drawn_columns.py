"""A competition whose side columns decide the label: images are noise, `site` and `age` say the class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from tests.drawing import CONFIG

COLUMNS = ("age", "site", "taken", "turn")


def draw_columns(root: Path, train: int = 48, test: int = 12, **config: Any) -> Path:
    """Writes data/ and config.json: label yes if age is high, site leg or arm; dates, angles, blanks and a new site.

    The first test row has no age, and the second a site that no training row has.
    """
    rng = np.random.default_rng(0)
    (root / "data" / "images").mkdir(parents=True)
    ids = [f"r{number:03d}" for number in range(train + test)]
    for name in ids:
        noise = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
        cv2.imwrite(str(root / "data" / "images" / f"{name}.png"), noise)
    truth = np.arange(len(ids)) % 2
    age = np.round(40 + 20 * (2 * truth - 1) + rng.normal(size=len(ids)) * 4, 2).astype(str).astype(object)
    age[3], age[train] = "", "NA"
    site = np.where(truth == 1, "leg", "arm").astype(object)
    site[train + 1] = "never seen"
    frame = pd.DataFrame(
        {
            "id": ids,
            "age": age,
            "site": site,
            "taken": [f"2021-0{1 + number % 9}-03" for number in range(len(ids))],
            "turn": rng.integers(0, 360, len(ids)),
        }
    )
    frame[:train].assign(label=np.array(["no", "yes"])[truth[:train]]).to_csv(
        root / "data" / "train.csv", index=False
    )
    frame[train:].to_csv(root / "data" / "test.csv", index=False)
    pd.DataFrame({"id": ids[train:], "label": "no"}).to_csv(
        root / "data" / "sample_submission.csv", index=False
    )
    data = {"test": "data/test.csv", "columns": list(COLUMNS), "column_kinds": {"turn": "angle"}}
    options = {**CONFIG, "cache_size": 16, "epochs": 4, "metric": "accuracy", "data": data, **config}
    (root / "config.json").write_text(json.dumps(options))
    return root
