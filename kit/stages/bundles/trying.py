"""Trying: a bundle predicts a few rows here as it will elsewhere: without kit, without a network."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from kit.config.models import Data, TableFormat
from kit.config.workspace import Workspace
from kit.core import files
from kit.core.locations import JOIN, KEY, files_of
from kit.data.csv_file import CsvFile, format_of, read_csv, read_table
from kit.data.image_paths import fill
from kit.data.row_sources import ALL_IMAGES, find_answers
from kit.data.table import read_labelled_rows, test_table
from kit.errors import MAX_CASES, ConfigError, RunError
from kit.kinds.readers import IMAGE
from kit.stages.bundles.bare_python import bare_environment, bare_python, without_network
from kit.stages.bundles.packing import SCRIPT
from kit.stages.bundles.predicting import below, image_folder, pattern_of

ROWS = 8


@dataclass(frozen=True)
class BundleTrial:
    """A bundle's trial: the number of rows of the sample, the time, and whether images of noise were used
    because none is here.
    """

    rows: int
    seconds: float
    noise: bool

    def describe(self) -> str:
        """Returns the trial in one line."""
        noise = "noise images, because this machine has no test image"
        images = noise if self.noise else "images of the workspace"
        return f"tested without kit and network: {self.rows} rows in {self.seconds:.0f} s, {images}"


def try_bundle(workspace: Workspace, folder: Path, rows: int = ROWS) -> BundleTrial:
    """Runs a bundle's predict.py on the first test rows that have an image here, in a process without kit.

    Raises ConfigError C07 without a sample. Raises RunError R18 if the script fails, leaves a row out or
    writes into the bundle, with its last printed lines.
    """
    data = workspace.competition.data
    if data.sample is None:
        raise ConfigError("data.sample is null, so the bundle cannot be tested", code="C07")
    with tempfile.TemporaryDirectory(prefix="kit-try-") as temporary:
        base = Path(temporary)
        wanted, noise, arguments = write_trial_rows(workspace, rows, base)
        python = bare_python(base / "python")
        before, begun = _state(folder), time.monotonic()
        line = [*without_network(), str(python), str(folder.resolve() / SCRIPT), *arguments]
        done = subprocess.run(
            line,
            env=bare_environment(),
            cwd=base,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        seconds = time.monotonic() - begun
        if done.returncode:
            raise _failure(folder, f"ends with status {done.returncode}", done.stderr)
        if _state(folder) != before:
            raise _failure(folder, "writes into the bundle, which may be read-only", done.stderr)
        submission = read_csv(base / "submission.csv", data.sep, data.encoding)
        if len(submission) != wanted:
            raise _failure(folder, f"writes {len(submission)} rows of {wanted}", done.stderr)
    return BundleTrial(wanted, seconds, noise)


def _failure(folder: Path, how: str, stderr: str) -> RunError:
    return RunError(
        f"{folder}/{SCRIPT} {how} without kit installed",
        code="R18",
        cases=[text for text in stderr.splitlines() if text.strip()][-MAX_CASES:],
        hint="correct the error, then run kit bundle with another --out",
    )


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {file.relative_to(folder).as_posix(): file.stat() for file in folder.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def write_trial_rows(workspace: Workspace, rows: int, base: Path) -> tuple[int, bool, list[str]]:
    """Returns how many rows of the sample are tried, whether with images of noise, and the options of
    predict.py for them.

    Rows that have an image here are taken first.
    """
    root, data = workspace.root, workspace.competition.data
    classes = read_labelled_rows(root, data).classes
    lenient = data.model_copy(update={"on_unreadable_test": "class_prior"})  # rows may lack their images
    sample = read_table(root, data, str(data.sample))
    arguments = ["--sample", str(base / "sample.csv")]
    if data.test is not None:
        table = read_table(root, data, data.test)
        chosen = _with_images(test_table(workspace, lenient, classes).paths, len(table), rows)
        sep, encoding = format_of(data, data.test)
        _write(table, chosen, base / "test.csv", sep, encoding)
        arguments += ["--test", str(base / "test.csv")]
        tables = {str(base / "test.csv"): TableFormat(sep=sep, encoding=encoding)}
        lenient = lenient.model_copy(update={"test": str(base / "test.csv"), "tables": tables})
        rows_table = test_table(workspace, lenient, classes)
    else:
        rows_table = test_table(workspace, lenient, classes)
        rows_table = rows_table.take(_with_images(rows_table.paths, len(rows_table), rows))
    ids = {*rows_table.ids.tolist(), *(() if rows_table.answers is None else rows_table.answers.tolist())}
    names = find_answers(root, sample.frame(), classes, workspace.competition.format)
    places_kept = [index for index, name in enumerate(names) if name in ids] or list(
        range(min(rows, len(names)))
    )
    _write(sample, places_kept, base / "sample.csv", data.sep, data.encoding)
    is_here = any(map(_is_here, rows_table.paths))
    if not is_here and not _takes_noise(data):
        raise ConfigError(
            f"no test image is here, and kit cannot draw noise for data.images {pattern_of(data)!r}",
            code="C07",
            hint="put the test images there",
        )
    images = image_folder(root, data) if is_here else base / "images"
    if not is_here:
        columns = {str(name): rows_table.frame[name].tolist() for name in rows_table.frame.columns}
        _draw_images(
            images,
            data,
            fill(below(pattern_of(data)), {"id": rows_table.ids.tolist(), **columns}, "data.images"),
        )
    return len(places_kept), not is_here, [*arguments, "--images", str(images)]


def _with_images(paths: Sequence[Path], count: int, rows: int) -> list[int]:
    """Returns the first rows that have an image here, ascending; the very first if none has one, or if rows
    have many photos.
    """
    here = (row for row, path in enumerate(paths) if _is_here(path)) if len(paths) == count else iter(())
    return list(islice(here, rows)) or list(range(min(rows, count)))


def _is_here(location: Path) -> bool:
    """Whether all files of a location are on this machine."""
    image_files = files_of(location)
    return bool(image_files) and all(map(os.path.isfile, image_files))


def _takes_noise(data: Data) -> bool:
    """Whether test images are image files, which kit can draw."""
    return data.reader["name"] == IMAGE and KEY not in pattern_of(data)


def _write(table: CsvFile, rows: Sequence[int], path: Path, sep: str, encoding: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
    writer.writerows([table.columns, *(table.rows[row] for row in rows)])
    files.write_bytes(path, text.getvalue().encode(encoding))


def _draw_images(folder: Path, data: Data, names: Sequence[str]) -> None:
    """Draws PNG images of noise with the names of the rows; kit reads them by content, whatever their ending is."""
    rng = np.random.default_rng(0)
    for name in (part for name_parts in names for part in name_parts.split(JOIN)):
        file = folder / name
        if name.endswith(ALL_IMAGES):
            file = file.with_name("photo.png")
        elif not file.suffix:
            file = file.with_name(f"{file.name}{data.extensions[0]}")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(file, "PNG")
