"""Images: checks the augmenter's images of a batch, and that equal draws give equal images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from kit.engine.batches import Batch, TrainBatches
from kit.errors import Case
from kit.kinds import Sampler
from kit.stages.checks.finding import Finding
from kit.stages.checks.one_batch.probe_batch import ProbeBatch

ROWS = 16  # number of augmented images: enough to see the effect, few enough for a second of any augmenter


def check_images(probe: ProbeBatch) -> Iterator[Finding]:
    """Yields K20 if images have no content or are the same in each epoch, K29 if the same draws give
    different images.
    """
    setting, stage = probe.setting, probe.open_stage
    name = stage.augmenter.plugin_name()
    rows = setting.training_rows(probe.fold)[:ROWS]
    batches = TrainBatches(
        setting.loaded.cache,
        setting.loaded.table.targets(),
        rows,
        Sampler.open("shuffled"),
        stage.augmenter,
        stage.experiment.image_size,
        len(rows),
        stage.experiment.seed,
        probe.fold,
        workers=0,
    )
    try:
        first, again, later = (next(batches.epoch(number)) for number in (0, 0, 1))
    finally:
        batches.close()
    if not torch.equal(first.images, again.images):
        yield Finding(
            "K29",
            "problem",
            f"augmenter {name!r} returns different images for the same random numbers",
            "a resumed run differs from an uninterrupted run",
            "use only the argument rng in the augmenter, never a global generator",
        )
    empty = list(_plain(name, probe, first))
    yield from empty
    if not empty and _is_constant(first, later):
        yield Finding(
            "K20",
            "note",
            f"augmenter {name!r} returns the same image in each epoch",
            "the network sees the identical image in each epoch, and overfits",
            "its options: kit plugins augmenter light"
            if name == "light"
            else "augmenter=light, unless this is intended",
        )


def _plain(name: str, probe: ProbeBatch, batch: Batch) -> Iterator[Finding]:
    """Yields K20 for images of one colour whose originals are not, and for different rows that become the
    same image.
    """
    cache, ids = probe.setting.loaded.cache, probe.setting.loaded.table.ids
    rows = batch.rows.tolist()
    original = {row: cache[row] for row in rows}
    blank = [row for at, row in enumerate(rows) if _flat(batch.images[at]) and original[row].std() > 0]
    same = _alike(batch, original)
    what = "of one colour" if blank else "the same image"
    wrong = blank or same
    if wrong:
        yield Finding(
            "K20",
            "problem",
            f"augmenter {name!r} makes {len(wrong)} of {len(rows)} images {what}",
            "the network cannot learn the labels from such images",
            "kit plot augment plots them",
            tuple(
                Case(f"all its pixels are {_levels(batch, rows.index(row))}", id=str(ids[row]))
                for row in blank
            )
            or tuple(Case("is like the others", id=str(ids[row])) for row in same),
        )


def _flat(image: torch.Tensor) -> bool:
    return bool((image == image[:, :1, :1]).all())


def _levels(batch: Batch, at: int) -> list[int]:
    return [int(value) for value in batch.images[at, :, 0, 0]]


def _alike(batch: Batch, original: Mapping[int, np.ndarray]) -> list[int]:
    """Returns the rows whose images are all equal to the first's although their originals are not.

    It is empty if some differ.
    """
    rows = batch.rows.tolist()
    if not (batch.images == batch.images[:1]).all():
        return []
    first = original[rows[0]]
    return [row for row in rows if not np.array_equal(original[row], first)]


def _is_constant(first: Batch, later: Batch) -> bool:
    """Returns whether each row's image is the same in two epochs."""
    places = {row: at for at, row in enumerate(later.rows.tolist())}
    shared = [(at, places[row]) for at, row in enumerate(first.rows.tolist()) if row in places]
    return bool(shared) and all(torch.equal(first.images[a], later.images[b]) for a, b in shared)
