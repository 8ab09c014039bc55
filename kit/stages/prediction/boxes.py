"""boxes: the part of each image that a run's networks look at, for a second run that trains on crops."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy import ndimage

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, write_bytes
from kit.core.locations import Box
from kit.core.progress import Progress, ResultOf, Work, stage
from kit.data.table import Table, rows_to_predict, table_of, train_table
from kit.device.precision import choose_device
from kit.engine.batches import ImageDataset
from kit.errors import ConfigError, DataError
from kit.experiment.loading import (
    Loaded,
    RunCheckpoints,
    check_reading,
    check_rows_unchanged,
    find_targets,
    geometry,
    load_rows,
)
from kit.experiment.prediction_file import (
    experiment_of,
    restore,
    same_experiment,
)
from kit.images.reader import resize
from kit.model import checkpoints
from kit.model.grad_cam import compute_cams
from kit.model.network import Network

if TYPE_CHECKING:
    import pandas as pd

TASK = "boxes"
BATCH = 32
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

    A box holds the largest connected region in which the Grad-CAM map of the most probable class is at least
    `threshold` of its maximum. A held-out row has the map of the network that was not trained on it. Test rows, and
    training rows that no network held out, have the mean of the maps of all networks. No label is used.

    Raises ConfigError C07 for a threshold outside 0 to 1, for checkpoints of several epochs, for a run on crops, tiles
    or padded images, and for ids that both tables have. Raises C83 for a run on embeddings, and what `tta` raises.
    Source: Selvaraju et al. 2017, "Grad-CAM", sections 3 and 4.1 (threshold of 15 %, largest segment).
    """
    workspace = Workspace.of(workspace)
    if not 0 < threshold < 1:
        raise ConfigError(f"the threshold {threshold:g} is not between 0 and 1", code="C07")
    place, data = choose_device(device), workspace.competition.data
    targets = find_targets(workspace, path)
    if len(targets) > 1:
        raise ConfigError(
            f"{path} has checkpoints of several epochs", code="C07", hint="a run, such as runs/a"
        )
    (target,) = targets
    with target.run.lock():
        train = table_of(target.run.folder, train_table(workspace.root, data).sort_by_id(), data)
        tables = (train, rows_to_predict(workspace, data, train.classes))
        _check(workspace, target, tables)
        found: list[tuple[str, Box | None]] = []
        rows = sum(map(len, tables)) * len(target.folds)
        for number, split in enumerate(("train", "test")):
            if not len(tables[number]):
                continue
            done = len(train) * len(target.folds) * number
            work = ResultOf(_of_table(workspace, target, tables[number], split, threshold, place))
            for step in work:
                yield replace(step, done=done + step.done, total=rows) if step.task == TASK else step
            found += work.result
    file = workspace.root / out
    write_bytes(file, _to_csv(found))
    sides = [box.width * box.height / 10_000 if box else 1.0 for _, box in found]
    whole = sum(box is None for _, box in found)
    return BoxesResult(file, (len(tables[0]), len(tables[1])), whole, float(np.mean(sides)))


def _check(workspace: Workspace, target: RunCheckpoints, tables: tuple[Table, Table]) -> None:
    """Raises for a run whose images are not whole, and for tables that share ids."""
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


def _of_table(
    workspace: Workspace,
    target: RunCheckpoints,
    table: Table,
    split: str,
    threshold: float,
    device: torch.device,
) -> Work[list[tuple[str, Box | None]]]:
    """Returns the id and the box of each row."""
    folds = target.run.folds() if split == "train" else None
    total: np.ndarray | None = None
    held = np.zeros(len(table), bool)
    if folds is not None:
        for fold in target.folds:
            held |= folds.oof_mask(fold)
    done, loaded = 0, None
    for fold, path in target.folds.items():
        checkpoint = checkpoints.load(path)
        experiment = experiment_of(checkpoint.provenance)
        if loaded is None:
            loaded = yield from load_rows(workspace, table, split, geometry(experiment))
        wanted = ~loaded.bad & (~held | folds.oof_mask(fold) if folds is not None else True)
        rows = np.flatnonzero(wanted)
        made = restore(checkpoint, workspace.root, device)
        side = made.encode_columns(loaded.table, split)
        network = cast(Network, made.network).float()
        images = ImageDataset(loaded.cache, experiment.image_size, experiment.center_crop)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            pixels = np.stack([images.image(0, int(row), 0) for row in part])
            shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
            values = None if side is None else torch.from_numpy(side.of(part)).to(device)
            maps = compute_cams(network, made.loss, shown, None, values)
            if total is None:
                total = np.zeros((len(table), *maps.shape[1:]), np.float32)
            total[part] += maps
            done += len(part)
            yield Progress(TASK, done, len(table) * len(target.folds))
    if loaded is None or total is None:
        raise DataError(f"no {split} row has an image", code="D01")
    size, share = experiment.image_size, experiment.center_crop
    return [
        (str(name), _of_row(loaded, row, total[row], (size, share), threshold))
        for row, name in enumerate(loaded.table.ids)
    ]


def _of_row(
    loaded: Loaded, row: int, cam: np.ndarray, shape: tuple[int, float], threshold: float
) -> Box | None:
    """Returns the box of a row in percent of its image. It is None for a row without an image or with an empty map."""
    if loaded.bad[row] or not cam.max() > 0:
        return None
    height, width = loaded.cache[row].shape[:2]
    return in_whole_image(find_box(cam, shape[0], threshold), shape[1], height, width)


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


def in_whole_image(box: tuple[float, float, float, float], crop_share: float, height: int, width: int) -> Box:
    """Returns the box of an image (height, width), in percent, from shares of the square that the network saw.

    The square is in the middle. Its side is `crop_share` of the short side, as in `kit.images.reader.center_crop`.
    """
    side = max(1, round(min(height, width) * crop_share))
    top, left = (height - side) // 2, (width - side) // 2
    x, y, wide, tall = box
    return Box(
        100 * (left + x * side) / width,
        100 * (top + y * side) / height,
        100 * wide * side / width,
        100 * tall * side / height,
        is_percent=True,
    )


def _to_csv(found: Sequence[tuple[str, Box | None]]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for name, box in found:
        cells = [""] * 4 if box is None else [f"{v:.2f}%" for v in (box.x, box.y, box.width, box.height)]
        lines.writerow([name, *cells])
    return text.getvalue().encode()
