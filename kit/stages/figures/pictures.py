"""Pictures: draws the effect of a setting on images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.config.workspace import Workspace
from kit.core import files
from kit.core.files import StrPath
from kit.core.progress import Work, stage
from kit.core.randomness import generator
from kit.data.table import Table, train_table
from kit.engine.batches import ImageDataset
from kit.errors import DataError
from kit.experiment.loading import geometry, load_rows
from kit.images.cache import Cache
from kit.images.channels import to_rgb
from kit.kinds import Augmenter

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

CELL = 96  # pixels; smaller images are enlarged, each pixel to a square
GAP = 6  # pixels between images
LINE = 18  # pixels of a caption's line
PAPER, INK = 255, (40, 40, 40)


@dataclass(frozen=True, eq=False)
class AugmentedRow:
    """One row of the grid: its image in the cache, and variants (size, size, 3), all uint8 RGB."""

    id: str
    label: str
    original: np.ndarray
    variants: tuple[np.ndarray, ...]


@stage
def augment_rows(
    workspace: Workspace | StrPath, rows: int = 6, variants: int = 6, seed: int | None = None
) -> Work[list[AugmentedRow]]:
    """Returns rows drawn from the training table, and fold 0's images of each in its first `variants` epochs.

    `seed` replaces the experiment's, for the rows and for the augmenter's draws. Raises what loading raises
    for the drawn rows, RunError R03 if the augmenter fails, DataError D03 if none of the rows has an image.
    """
    workspace = Workspace.of(workspace)
    experiment, root = workspace.experiment, workspace.root
    seed = experiment.seed if seed is None else seed
    augmenter = experiment.open(Augmenter, root)
    table = train_table(root, workspace.competition.data).sort_by_id()
    chosen = np.sort(generator(seed, "look").permutation(len(table))[:rows])
    loaded = yield from load_rows(workspace, table.take(chosen), "train", geometry(experiment))
    usable = chosen[~loaded.bad]
    if not len(usable):
        raise DataError("none of the sampled rows has a usable image", code="D03", hint="another --seed")
    images = ImageDataset(
        _spread(loaded.cache, table, chosen), experiment.image_size, augmenter=augmenter, seed=seed
    )
    return [
        AugmentedRow(
            str(table.ids[row]),
            ", ".join(table.label_names(row)) or "no label",
            to_rgb(images.cache[row]),
            tuple(to_rgb(images.image(epoch, row, 0)) for epoch in range(variants)),
        )
        for row in usable.tolist()
    ]


def _spread(cache: Cache, table: Table, chosen: np.ndarray) -> Cache:
    """Returns the chosen rows' cache with the whole table's row numbers, which training's draws depend on."""
    places = np.full((len(table), 3), -1, np.int64)
    places[chosen] = cache.places
    return replace(cache, paths=table.paths, places=places)


def arrange_grid(strips: Sequence[AugmentedRow], title: str = "") -> np.ndarray:
    """Returns the strips one below the other, originals at the left, as one uint8 RGB image of any size.

    An original keeps its shape within a cell of the variants' size. A caption that is too long for its line
    is cut.
    """
    from PIL import Image, ImageDraw, ImageFont

    size = strips[0].variants[0].shape[0]
    cell = size * -(-CELL // size)  # the smallest multiple of the size that is at least CELL
    columns = 1 + max(len(strip.variants) for strip in strips)
    head, step, width = LINE + GAP, LINE + cell + GAP, GAP + columns * (cell + GAP)
    paper = np.full((head + len(strips) * step, width, 3), PAPER, np.uint8)
    for number, strip in enumerate(strips):
        top = head + number * step + LINE
        for column, image in enumerate((_fit_into_cell(strip.original, cell), *strip.variants)):
            left = GAP + column * (cell + GAP)
            paper[top : top + cell, left : left + cell] = _enlarge(image, cell)
    picture, font = Image.fromarray(paper), ImageFont.load_default(13)
    pen = ImageDraw.Draw(picture)
    captions = {head + number * step: f"{strip.id} ({strip.label})" for number, strip in enumerate(strips)}
    for top, text in {0: title, **captions}.items():
        pen.text((GAP, top + 1), _clip_text(text, font, width - 2 * GAP), fill=INK, font=font)
    return np.asarray(picture)


def _fit_into_cell(image: np.ndarray, cell: int) -> np.ndarray:
    """Returns the whole image in the centre of a blank cell."""
    from kit.images.reader import resize

    height, width = image.shape[:2]
    scale = cell / max(height, width)
    small = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
    framed = np.full((cell, cell, 3), PAPER, np.uint8)
    top, left = (cell - small.shape[0]) // 2, (cell - small.shape[1]) // 2
    framed[top : top + small.shape[0], left : left + small.shape[1]] = small
    return framed


def _enlarge(image: np.ndarray, cell: int) -> np.ndarray:
    times = cell // image.shape[0]
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _clip_text(text: str, font: FreeTypeFont | ImageFont, width: int) -> str:
    """Returns the start of the text that fits into a width in pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes a uint8 RGB image as a PNG file, completely or not at all."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    files.write_bytes(path, content.getvalue())
