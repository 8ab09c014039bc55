"""boxes: the part of each image that a run's networks look at, for a second run that trains on crops."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, write_bytes
from kit.core.locations import Box
from kit.core.progress import Progress, Work, stage
from kit.data.table import Table, rows_to_predict, table_of, train_table
from kit.device.precision import choose_device
from kit.errors import ConfigError, DataError
from kit.experiment.cams import cam_batches
from kit.experiment.loading import (
    Loaded,
    RunCheckpoints,
    check_reading,
    check_rows_unchanged,
    find_targets,
    geometry,
    load_rows,
)
from kit.experiment.prediction_file import restore, same_experiment
from kit.images.reader import centre_square, resize
from kit.model import checkpoints

if TYPE_CHECKING:
    import pandas as pd

TASK = "boxes"
THRESHOLD = 0.15  # of a map's maximum, as in section 4.1 of the paper
HEADER = ("id", "x", "y", "width", "height")


@dataclass(frozen=True, repr=False)
class BoxesResult(Displayed):
    """The file of boxes, how many rows of each table it has, and the mean share of the image in a box."""

    file: Path
    rows: tuple[int, int]  # of train and test
    whole: int  # rows without a box, whose whole image is used
    area: float

    def _lines(self) -> list[str]:
        train, test = self.rows
        whole = f", {self.whole} of them the whole image" if self.whole else ""
        return [
            f"{self.file}: boxes of {train} training and {test} test rows{whole}; "
            f"a box has {self.area:.0%} of its image on average"
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the file, the rows of both tables, those without a box, and the mean area."""
        train, test = self.rows
        row = {"file": str(self.file), "train_rows": train, "test_rows": test}
        return frame([row | {"whole": self.whole, "area": self.area}])


@stage
def boxes(
    workspace: Workspace | StrPath,
    path: StrPath,
    out: StrPath = "boxes.csv",
    threshold: float = THRESHOLD,
    device: str = "auto",
) -> Work[BoxesResult]:
    """Writes a box per row, in percent of the image's sides, for `data.box`.

    A box is the square around the largest connected region in which the Grad-CAM map of the most probable class is at
    least `threshold` of its maximum. A held-out row has the map of the network that was not trained on it. Test rows,
    and training rows that no network held out, have the mean of the maps of all networks. No label is used.

    Raises ConfigError C07 for a threshold outside 0 to 1, for checkpoints of several epochs, for a run on crops, tiles
    or padded images, and for ids that both tables have. Raises C83 for a run on embeddings, and what `tta` raises.
    Source: Selvaraju et al. 2017, "Grad-CAM", sections 3 and 4.1 (threshold of 15 %, largest segment).
    """
    workspace = Workspace.of(workspace)
    if not 0 < threshold < 1:
        raise ConfigError(f"the threshold {threshold:g} is not between 0 and 1", code="C07")
    torch_device, data = choose_device(device), workspace.competition.data
    targets = find_targets(workspace, path)
    if len(targets) > 1:
        raise ConfigError(
            f"{path} has checkpoints of several epochs", code="C07", hint="a run, such as runs/a"
        )
    (target,) = targets
    with target.run.lock():
        train = table_of(target.run.folder, train_table(workspace.root, data).sort_by_id(), data)
        tables = (train, rows_to_predict(workspace, data, train.classes))
        experiment = _check(workspace, target, tables)
        splits: dict[str, Loaded] = {}
        for split, table in zip(("train", "test"), tables, strict=True):
            if len(table):
                splits[split] = yield from load_rows(workspace, table, split, geometry(experiment))
        totals = yield from _sum_cams(workspace, target, splits, experiment, torch_device)
    boxes_by_id = [
        (str(name), _of_row(loaded, row, totals[split][row], experiment, threshold))
        for split, loaded in splits.items()
        for row, name in enumerate(loaded.table.ids)
    ]
    file = workspace.root / out
    write_bytes(file, _to_csv(boxes_by_id))
    sides = [box.width * box.height / 10_000 if box else 1.0 for _, box in boxes_by_id]
    whole = sum(box is None for _, box in boxes_by_id)
    return BoxesResult(file, (len(tables[0]), len(tables[1])), whole, float(np.mean(sides)))


def _check(workspace: Workspace, target: RunCheckpoints, tables: tuple[Table, Table]) -> Experiment:
    """Returns the run's experiment. Raises for a run whose images are not whole, and for tables that share ids."""
    data, run = workspace.competition.data, target.run
    check_rows_unchanged(run, run.folds(), tables[0])
    check_reading(run, data)
    experiment = same_experiment(run, target.folds, tables[0])
    unlike = "data.box" if data.box else "data.tiles.count" if data.tiles.count else ""
    if experiment.resize == "pad":
        unlike = "resize=pad"
    if unlike:
        raise ConfigError(
            f"runs/{run.name} was trained with {unlike}, so its boxes would not be those of whole images",
            code="C07",
            hint="a run on whole images",
        )
    shared = sorted({*tables[0].ids} & {*tables[1].ids})
    if shared:
        raise ConfigError(
            f"{len(shared)} ids are both in the training and in the test table, so a file of boxes cannot tell "
            "their images apart",
            code="C07",
            hint=f"a column data.id of unique ids; the first: {', '.join(map(str, shared[:3]))}",
        )
    return experiment


def _sum_cams(
    workspace: Workspace,
    target: RunCheckpoints,
    splits: Mapping[str, Loaded],
    experiment: Experiment,
    device: torch.device,
) -> Work[dict[str, np.ndarray]]:
    """Returns the sum of the maps (rows, h, w) of each split. Each network is loaded once."""
    folds = target.run.folds()
    is_held_out = np.any([folds.oof_mask(fold) for fold in target.folds], axis=0)
    for split, loaded in splits.items():
        if loaded.bad.all():
            raise DataError(f"no {split} row has an image", code="D01")
    totals: dict[str, np.ndarray] = {}
    done, count = 0, len(target.folds) * sum(len(loaded.table) for loaded in splits.values())
    for fold, path in target.folds.items():
        predictor = restore(checkpoints.load(path), workspace.root, device)
        for split, loaded in splits.items():
            wanted = ~is_held_out | folds.oof_mask(fold) if split == "train" else True
            rows = np.flatnonzero(~loaded.bad & wanted)
            for part, _, maps in cam_batches(predictor, loaded, experiment, split, rows):
                if split not in totals:
                    totals[split] = np.zeros((len(loaded.table), *maps.shape[1:]), np.float32)
                totals[split][part] += maps
                done += len(part)
                yield Progress(TASK, done, count)
    return totals


def _of_row(
    loaded: Loaded, row: int, cam: np.ndarray, experiment: Experiment, threshold: float
) -> Box | None:
    """Returns the box of a row in percent of its image. It is None for a row without an image or with an empty map."""
    if loaded.bad[row] or not cam.max() > 0:
        return None
    height, width = loaded.cache[row].shape[:2]
    box = make_square(find_box(cam, experiment.image_size, threshold))
    return in_whole_image(box, experiment.center_crop, height, width)


def find_box(cam: np.ndarray, size: int, threshold: float = THRESHOLD) -> tuple[float, float, float, float]:
    """Returns the largest bright region of a map (h, w) as x, y, width and height.

    The four numbers are shares of the square of `size` px. The map is enlarged to the size of the image.
    Bright is at least `threshold` of its maximum, which must be above 0.
    """
    large = resize(np.ascontiguousarray(cam, np.float32)[:, :, None], size, size).reshape(size, size)
    labels, count = ndimage.label(large >= threshold * large.max())
    largest = 1 + int(np.argmax(ndimage.sum_labels(labels > 0, labels, range(1, count + 1))))
    down, across = ndimage.find_objects(labels)[largest - 1]
    x, y = across.start / size, down.start / size
    return x, y, across.stop / size - x, down.stop / size - y


def make_square(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Returns the square around a box that lies in the unit square, moved inside it.

    A network sees the middle square of a crop. So the ends of a long box would be lost.
    """
    x, y, wide, tall = box
    side = max(wide, tall)
    left, top = (min(max(at + (length - side) / 2, 0.0), 1 - side) for at, length in ((x, wide), (y, tall)))
    return left, top, side, side


def in_whole_image(box: tuple[float, float, float, float], crop_share: float, height: int, width: int) -> Box:
    """Returns the box of an image (height, width), in percent, from shares of the square that the network saw.

    The square is that of `kit.images.reader.center_crop`.
    """
    top, left, side = centre_square(height, width, crop_share)
    x, y, wide, tall = box
    return Box(
        100 * (left + x * side) / width,
        100 * (top + y * side) / height,
        100 * wide * side / width,
        100 * tall * side / height,
        is_percent=True,
    )


def _to_csv(boxes_by_id: Sequence[tuple[str, Box | None]]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for name, box in boxes_by_id:
        cells = [""] * 4 if box is None else [f"{v:.2f}%" for v in (box.x, box.y, box.width, box.height)]
        lines.writerow([name, *cells])
    return text.getvalue().encode()
