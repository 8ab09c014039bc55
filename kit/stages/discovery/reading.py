"""Chooses how the found images are read: the reader by their ending, and options that fit some of them."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kit.config.models import Data
from kit.core.locations import JOIN, KEY, parts_of
from kit.data.content import ending
from kit.data.image_paths import ImagePattern, with_index
from kit.errors import ConfigError, DataError, KitError
from kit.images.reader import ImageSource
from kit.kinds import Reader, ReadRules
from kit.kinds.readers import IMAGE, other_readers
from kit.stages.discovery.containers import Container
from kit.stages.discovery.file_scan import ColumnMatch, TableFile
from kit.stages.discovery.slides import Slides, find_slides

SAMPLED = 32  # images that are read


@dataclass(frozen=True)
class Reading:
    """Keys of `data` and of the experiment for reading images, their sizes and the lines of `kit init`."""

    data: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()  # width and height of some images; empty for image files


def reader_of(root: Path, pattern: str, found_ending: str = "") -> str:
    """Returns the name of the reader for a pattern of images, by its ending or that of the files that it names."""
    first = pattern.split(JOIN)[0]
    file, mark, _ = first.partition(KEY)
    kind = ending(file) or found_ending
    if kind in Data().extensions and not mark:
        return IMAGE
    fitting = [candidate for candidate in other_readers(root) if kind in candidate.endings]
    keyed = [candidate for candidate in fitting if mark and candidate.keys != "none"]
    chosen = (keyed or fitting)[:1]
    return chosen[0].plugin_name() if chosen else IMAGE


def sample_locations(
    root: Path, data: Data, images: str, ids: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> list[Path]:
    """Returns the locations of some rows' images, evenly spread, without missing ones."""
    step = max(1, len(ids) // SAMPLED)
    chosen = slice(0, step * SAMPLED, step)
    numbered = with_index(columns, len(ids))
    some = {name: cells[chosen] for name, cells in numbered.items()}
    try:
        located = ImagePattern(root, data, images).locate(ids[chosen], some)
    except (ConfigError, DataError):
        return []
    return [path for path, code in zip(located.paths, located.codes, strict=True) if not code]


def fit_reader(
    root: Path, name: str, locations: Sequence[Path], options: Mapping[str, Any] | None = None
) -> Reading:
    """Returns the reader with options that fit some images, and the channels of these."""
    reader = Reader.open({"name": name, **(options or {})}, root)
    try:
        reader.check_package()
    except ConfigError as error:
        return Reading(_spec(reader), {}, (f"reader {name}: {error.summary}; {error.hint}",))
    fitted, why = reader.suggest(locations)
    shapes = [shape for location in locations[:8] if (shape := _shape(fitted, location))]
    parts = max((len(parts_of(location)) for location in locations[:1]), default=1)
    counts = Counter(shape[2] for shape in shapes if shape[2] > 1) or Counter([1])
    usual = max(counts, key=lambda location: (counts[location], location))  # grey images fit any
    channels = parts * usual if parts * usual > 1 else 3
    lines = [f"reader: {name}" + (f", {why}" if why else "")]
    if channels != 3:
        lines.append(f"channels: {channels}, by {len(shapes)} images")
    if len(counts) > 1:
        others = ", ".join(
            f"{location} in {counts[location]}" for location in sorted(counts) if location != usual
        )
        lines.append(
            f"images differ in their channels: {usual} in {counts[usual]}, {others}; kit train refuses others"
        )
    sizes = tuple((shape[1], shape[0]) for shape in shapes)
    config = {"channels": channels} if channels != 3 else {}
    return Reading(
        _spec(fitted) if name != IMAGE else {}, config, tuple(lines if name != IMAGE else lines[1:]), sizes
    )


def _spec(reader: Reader) -> dict[str, Any]:
    default = type(reader)().spec()
    chosen = {key: value for key, value in reader.spec().items() if value != default[key] or key == "name"}
    return {"reader": chosen}


def _shape(reader: Reader, location: Path) -> tuple[int, int, int] | None:
    """Returns height, width and channels of an image, or None if it cannot be read."""
    part = parts_of(location)[0]
    has_parts = len(parts_of(location)) > 1
    try:
        file = Path(part.files()[0] if len(part.files()) == 1 else part.file)
        pixels = reader.decode(
            reader.load(file, part.key), ReadRules(1 if has_parts else 3, data=Data())
        ).pixels
    except (KitError, OSError, IndexError):
        return None
    return (*pixels.shape, 1)[:3] if pixels.ndim == 2 else pixels.shape


def fits_images(root: Path, data: Data, locations: Sequence[Path]) -> bool:
    """Whether the reader of image files opens some of these, or none is refused for its format."""
    source = ImageSource.open(data, root)
    refused = 0
    for location in locations[:4]:
        try:
            source.read(location)
        except DataError as error:
            refused += error.code == "D13"
    return refused < len(locations[:4])


def read_table_images(
    root: Path,
    train: TableFile,
    match: ColumnMatch,
    pixels: Mapping[str, Container],
    data: Mapping[str, Any],
) -> Reading:
    """Returns how the images of training rows are read. `pixels` are the tables with columns of pixels, by name."""
    images = str(data["images"])
    if images.endswith("/*"):
        return Reading()
    own, is_joined = pixels.get(train.name), JOIN in images
    name = (own.reader if own else "") or reader_of(root, images, match.ending)
    if name == IMAGE and not is_joined and not match.ending.startswith(".tif"):
        return Reading()
    columns = {column: train.file.column(column) for column in train.columns}
    ids = columns.get(str(data["id"]), [str(number) for number in range(len(train.file))])
    options = {"columns": list(own.columns)} if own and own.columns else {}
    known = {key: value for key, value in data.items() if key in Data.model_fields}
    section = Data.model_validate({**known, "reader": {"name": name, **options}})
    locations = sample_locations(root, section, section.images, ids, columns)
    slides = find_slides(locations, section.max_pixels) if name in (IMAGE, "tiff") and not is_joined else None
    if slides is not None:
        return _read_slides(root, slides)
    if name == IMAGE and not is_joined:
        if fits_images(root, section, locations):
            return Reading()
        name = "tiff"
    return fit_reader(root, name, locations, options)


def _read_slides(root: Path, slides: Slides) -> Reading:
    """Returns a level of pyramids, and the option for their tiles."""
    reader = Reader.open({"name": "tiff", "level": slides.level}, root)
    line = f"reader: tiff, {slides.text}; data.tiles.count=36 joins the 36 tiles with most tissue"
    return Reading(_spec(reader), {}, (line,), slides.sizes)


def read_folders(root: Path, folders: Mapping[str, Sequence[str]], train: str) -> Reading:
    """Returns how the images of folders of classes are read."""
    base = posixpath.normpath(train)
    files = [
        posixpath.join(folder, name)
        for folder, names in folders.items()
        if folder == base or folder.startswith(base + "/")
        for name in names
    ]
    name = reader_of(root, files[0]) if files else IMAGE
    if name == IMAGE:
        return Reading()
    step = max(1, len(files) // SAMPLED)
    how = fit_reader(root, name, [root / file for file in files[::step][:SAMPLED]])
    return replace(how, data={**how.data, "extensions": sorted({ending(file) for file in files})})
