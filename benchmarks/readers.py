"""Reading images through kit, against a bare loop of pydicom, h5py and pyarrow in the same process.

    python -m benchmarks.readers --images 64
    python -m benchmarks.readers --slide 12000

Prints kit's images per second of CPU time divided by the library's; both end with the array of each image.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pydicom
import tifffile
from pyarrow import parquet

from kit.config.models import Data
from kit.images.reader import ImageSource

SIDE, JPEG_SIDE, REPEATS = 64, 512, 9
TILES, TILE_SIDE = 64, 192


def rates(kit: Callable[[], object], bare: Callable[[], object], images: int) -> tuple[float, float]:
    """Images per second of CPU time, of kit and of a bare loop, which take turns; the best of some repeats each."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for work, seconds_of_work in zip((kit, bare), times, strict=True):
            start = time.process_time()
            work()
            seconds_of_work.append(time.process_time() - start)
    return images / min(times[0]), images / min(times[1])


def read_all(source: ImageSource, paths: Sequence[Path]) -> None:
    """Reads images as the cache does, without resizing them."""
    for path in source.reader.order(paths):
        source.read(path)


def dicom(folder: Path, images: int) -> tuple[float, float]:
    """JPEG 2000 files of 512 x 512 pixels."""
    content = (Path(pydicom.__file__).parent / "data" / "test_files" / "693_J2KI.dcm").read_bytes()
    paths = [folder / f"{number}.dcm" for number in range(images)]
    for path in paths:
        path.write_bytes(content)
    source = ImageSource.open(Data(reader={"name": "dicom"}), channels=1)

    def bare() -> None:
        for path in paths:
            image = pydicom.dcmread(path)
            pydicom.pixels.apply_voi_lut(pydicom.pixels.apply_modality_lut(image.pixel_array, image), image)

    return rates(lambda: read_all(source, paths), bare, images)


def hdf5(folder: Path, images: int) -> tuple[float, float]:
    """JPEG of 512 x 512 pixels by key."""
    rng, file = np.random.default_rng(0), folder / "a.hdf5"
    coarse = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    photo = cv2.imencode(".jpg", cv2.resize(coarse, (JPEG_SIDE, JPEG_SIDE), interpolation=cv2.INTER_CUBIC))[1]
    with h5py.File(file, "w") as opened:
        for number in range(images):
            opened[f"k{number}"] = np.void(photo.tobytes())
    paths = [Path(f"{file}::k{number}") for number in range(images)]
    source = ImageSource.open(Data(reader={"name": "hdf5"}))

    def bare() -> None:
        with h5py.File(file) as opened:
            for number in range(images):
                coded = np.frombuffer(opened[f"k{number}"][()], np.uint8)
                cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    return rates(lambda: read_all(source, paths), bare, images)


def table(folder: Path, images: int) -> tuple[float, float]:
    """Parquet with a column for each of 64 x 64 pixels."""
    rng, file = np.random.default_rng(0), folder / "a.parquet"
    pixels = rng.integers(0, 256, (images, SIDE * SIDE), dtype=np.uint8)
    pd.DataFrame(pixels, columns=[str(number) for number in range(SIDE * SIDE)]).to_parquet(file)
    paths = [Path(f"{file}::{number}") for number in range(images)]

    def through_kit() -> None:
        file.touch()  # opened anew, as the library's loop opens it
        read_all(ImageSource.open(Data(reader={"name": "parquet"}), channels=1), paths)

    def bare() -> None:
        frame = parquet.read_table(file).to_pandas()
        for row in frame.to_numpy():
            np.ascontiguousarray(row).reshape(SIDE, SIDE)

    return rates(through_kit, bare, images)


def tiles(folder: Path, side: int) -> None:
    """Prints seconds and the peak of arrays for the tiles of a JPEG slide, and for cutting the whole image."""
    rng, file = np.random.default_rng(0), folder / "a.tif"
    image = np.full((side, side, 3), 255, np.uint8)
    half = side // 2
    coarse = rng.integers(60, 220, (half // 64, half // 64, 3)).astype(np.uint8)
    image[:half, :half] = cv2.resize(coarse, (half, half), interpolation=cv2.INTER_CUBIC)
    tifffile.imwrite(file, image, photometric="rgb", tile=(512, 512), compression="jpeg", metadata=None)
    data = Data.model_validate(
        {"reader": "tiff", "max_pixels": side**2, "tiles": {"count": TILES, "size": TILE_SIDE}}
    )
    source = ImageSource.open(data)

    def whole() -> np.ndarray:
        down = -side % TILE_SIDE
        edges = (down // 2, down - down // 2)
        padded = np.pad(tifffile.imread(file), (edges, edges, (0, 0)), constant_values=255)
        grid = padded.reshape(len(padded) // TILE_SIDE, TILE_SIDE, -1, TILE_SIDE, 3).swapaxes(1, 2)
        cut = grid.reshape(-1, TILE_SIDE, TILE_SIDE, 3)
        chosen = cut[np.argsort(cut.reshape(len(cut), -1).sum(axis=1), kind="stable")[:TILES]]
        across = int(TILES**0.5)
        return chosen.reshape(across, across, TILE_SIDE, TILE_SIDE, 3).swapaxes(1, 2)

    pixels_by_way: dict[str, np.ndarray] = {}
    ways: dict[str, Callable[[], np.ndarray]] = {"kit": lambda: source.read(file).pixels, "whole": whole}
    for name, work in ways.items():
        tracemalloc.start()
        start = time.perf_counter()
        pixels_by_way[name] = np.asarray(work()).ravel()
        took, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"tiles    {name:5} {took:6.1f} s, arrays of {peak / 2**20:,.0f} MiB at most")
    assert np.array_equal(pixels_by_way["kit"], pixels_by_way["whole"])


def main() -> None:
    """Prints the ratio of each reader."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--images", type=int, default=64)
    options.add_argument("--slide", type=int, help="only the tiles of a slide with sides of so many pixels")
    given = options.parse_args()
    images = given.images
    cv2.setNumThreads(1)
    if given.slide:
        with tempfile.TemporaryDirectory() as folder:
            tiles(Path(folder), given.slide)
        return
    for name, measure in (("dicom", dicom), ("hdf5", hdf5), ("parquet", table)):
        with tempfile.TemporaryDirectory() as folder:
            kit, library = measure(Path(folder), images)
        print(f"{name:8} kit {kit:8.1f} images/s, library {library:8.1f} images/s, ratio {kit / library:.2f}")


if __name__ == "__main__":
    main()
