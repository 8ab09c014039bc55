"""How seconds and memory grow with rows, with classes, and with runs: each point in a process of its own.

    python benchmarks/scale.py [rows|classes|runs] [--work FOLDER] [--most 1000000] [--only folds blend]

A point is prepared in one process and measured in another: seconds of the call alone, and what the process's peak of
resident memory grew by. The exponent is the slope of the logarithms between the last two points: 1 is linear, below 1 a
fixed cost still shows. Images are files of a few bytes; no network is trained.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "classes": (10, 100, 1_000, 10_000),
    "runs": (1, 10, 100, 1_000),
}
ROWS, FOLDED, CLASSES, MEMBERS = 10_000, 50_000, 10, 2  # of the points that grow otherwise

Point = Callable[[Path, int], Any]


def workspace(root: Path, rows: int, classes: int) -> None:
    """A training table and a sample of as many rows; no images."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    lines = [f"{number:07d},c{number % classes:05d}" for number in range(2 * rows)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label", *lines[:rows]]) + "\n")
    (root / "data" / "sample_submission.csv").write_text("\n".join(["id,label", *lines[rows:]]) + "\n")
    (root / "config.json").write_text('{"data": {"images": "data/images/{id}.png"}}')


def files(root: Path, rows: int, image: bool = False) -> None:
    """A file a training row: a few bytes of its own, or a small image."""
    folder = root / "data" / "images"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(rows):
        content = f"{number}".encode()
        if image:
            import cv2

            content = cv2.imencode(".png", rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))[1].tobytes()
        (folder / f"{number:07d}.png").write_bytes(content)


def runs(root: Path, rows: int, classes: int, members: int) -> None:
    """So many runs of 5 folds, with out-of-fold and test predictions that know something."""
    from kit.data.folds import Folds
    from kit.data.predictions import Predictions, Provenance, ids_fingerprint

    rng = np.random.default_rng(0)
    ids = np.array([f"{number:07d}" for number in range(2 * rows)])
    names, truth = tuple(f"c{number:05d}" for number in range(classes)), np.arange(rows) % classes
    folds = Folds(ids[:rows], (np.arange(rows) // classes % 5)[:, None])
    for member in range(members):
        run = root / "runs" / f"r{member:04d}"
        folds.write(run / "folds.csv")
        shares = rng.random((rows, classes), dtype=np.float32) ** 4
        shares[np.arange(rows), truth] += 0.5 + 0.1 * member / members
        shares /= shares.sum(axis=1, keepdims=True)
        about = Provenance(run=run.name, folds=folds.fingerprint(), scores={"macro_f1": 0.5 + member / 1e4})
        folder = run / "predictions" / "plain"
        Predictions(ids[:rows], folds.numbers[:, 0], names, shares, about).write(folder / "oof.parquet")
        marks = Provenance(run=run.name, ids=ids_fingerprint(ids[rows:]))
        Predictions(ids[rows:], np.full(rows, 0), names, shares, marks).write(folder / "test.parquet")


# ------------------------------------------------------------------------------------ what is measured


def _table(root: Path) -> Any:
    from kit.config.workspace import Workspace
    from kit.data.table import train_table

    return train_table(root, Workspace.open(root).competition.data).sort_by_id()


def measure_table(root: Path, size: int) -> object:
    return _table(root)


def measure_folds(root: Path, size: int) -> object:
    from kit.data.folds import make_folds
    from kit.kinds import Splitter

    return make_folds(_table(root), Splitter.open("stratified_kfold"), 0)


def _cache(root: Path) -> object:
    from kit.config.models import Data
    from kit.core.progress import finish
    from kit.images.cache import Geometry, fill_cache

    paths = tuple(sorted((root / "data" / "images").iterdir()))
    return finish(fill_cache(root / "cache", paths, Geometry(8, "short_side"), Data()))


def measure_cache(root: Path, size: int) -> object:
    return _cache(root)


def measure_predictions(root: Path, size: int) -> object:
    from kit.data.predictions import Predictions

    predictions = Predictions.read(root / "runs" / "r0000" / "predictions" / "plain" / "oof.parquet")
    predictions.write(root / "again.parquet")
    return predictions.mean()


def measure_blend(root: Path, size: int) -> object:
    from kit.config.workspace import Workspace
    from kit.stages.blending.blend import blend

    names = sorted(f"runs/{run.name}" for run in (root / "runs").iterdir())
    return blend(Workspace.open(root), names, "hill_climb")


def measure_board(root: Path, size: int) -> object:
    """A board of so many submissions read, ranked and entered into."""
    from dataclasses import replace

    from kit.stages.submission.board import Board

    board = Board.read(root / "submissions")
    return board.enter(replace(board.sort_entries()[0], number=size + 1)).rank(size + 1)


def measure_records(root: Path, size: int) -> object:
    """`kit runs --sort`: every run's files."""
    from kit.config.workspace import Workspace
    from kit.runs.records import all_records, sort_records

    return sort_records(all_records(Workspace.open(root)), "macro_f1", root)


def board(root: Path, size: int) -> None:
    """A board of so many submissions, as its file would have it."""
    rest = "macro_f1,higher,,r@plain,mean,9,,"
    lines = [f"{n},s{n},{n:04d}-s{n}.csv,{0.5 + n / 1e5},{rest}\n" for n in range(1, size + 1)]
    head = "number,name,file,cv,metric,better,leaderboard,members,ensembler,rows,created,notes\n"
    (root / "submissions").mkdir()
    (root / "submissions" / "board.csv").write_text(head + "".join(lines))


def prepare(name: str, axis: str, size: int, root: Path) -> None:
    """Writes what a point needs."""
    rows, classes = (size, CLASSES) if axis == "rows" else (FOLDED if name == "folds" else ROWS, size)
    if name == "board":
        board(root, size)
    elif name == "records":
        workspace(root, 100, CLASSES)
        runs(root, 100, CLASSES, size)
    elif name == "blend_runs":
        workspace(root, 2_000, CLASSES)
        runs(root, 2_000, CLASSES, size)
    else:
        workspace(root, rows, classes)
        if name in ("table", "folds", "cache"):
            files(root, rows, image=name == "cache")
        if name == "cache_open":
            files(root, rows, image=True)
            _cache(root)
        if name in ("predictions", "blend"):
            runs(root, rows, classes, MEMBERS if name == "blend" else 1)


MEASURED: dict[str, dict[str, Point]] = {
    "rows": {
        "table": measure_table,
        "folds": measure_folds,
        "cache": measure_cache,
        "cache_open": measure_cache,
        "predictions": measure_predictions,
        "blend": measure_blend,
    },
    "classes": {"folds": measure_folds, "predictions": measure_predictions, "blend": measure_blend},
    "runs": {"board": measure_board, "records": measure_records, "blend_runs": measure_blend},
}
IMPORTS = (
    "kit.stages.blending.blend",
    "kit.images.cache",
    "kit.runs.records",
    "kit.data.folds",
    "sklearn.model_selection",
    "pyarrow.parquet",
)


def measure(name: str, axis: str, size: int, root: Path) -> dict[str, float]:
    """Seconds, and MiB that the peak grew by, of a point; what it imports is there before."""
    import importlib
    import warnings

    for module in IMPORTS:
        importlib.import_module(module)
    warnings.simplefilter("ignore")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    MEASURED[axis][name](root, size)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def in_a_process(step: str, name: str, axis: str, size: int, root: Path) -> dict[str, float]:
    arguments = [sys.executable, __file__, "--step", step, name, axis, str(size), str(root)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout)) if done.stdout else {}


def row(name: str, axis: str, sizes: list[int], work: Path) -> str:
    """A line of the table: seconds and MiB at each size, and the exponents between the last two."""
    measures = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            in_a_process("prepare", name, axis, size, Path(folder))
            measures.append(in_a_process("measure", name, axis, size, Path(folder)))
    cells = [f"{one['seconds']:.3g} s, {one['mib']:.0f}" for one in measures]
    return f"| {name} | {' | '.join(cells)} | {slope(sizes, measures, 'seconds')} | {slope(sizes, measures, 'mib')} |"


def slope(sizes: list[int], measures: list[dict[str, float]], key: str) -> str:
    """The exponent by which a value grew from the last size but one to the last."""
    if len(sizes) < 2 or min(measures[-1][key], measures[-2][key]) <= 0:
        return "-"
    return f"{math.log(measures[-1][key] / measures[-2][key]) / math.log(sizes[-1] / sizes[-2]):.2f}"


def main() -> None:
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("axes", nargs="*", default=list(SIZES))
    reader.add_argument("--work", type=Path)
    reader.add_argument("--most", type=int, default=1_000_000)
    reader.add_argument("--only", nargs="*")
    options = reader.parse_args()
    for axis in options.axes:
        sizes = [size for size in SIZES[axis] if size <= options.most]
        heads = [f"{size:,}: s, MiB" for size in sizes]
        print(f"| {axis} | {' | '.join(heads)} | exponent, s | MiB |\n|{'---|' * (len(sizes) + 3)}")
        for name in MEASURED[axis]:
            if not options.only or name in options.only:
                print(row(name, axis, sizes, options.work or Path(tempfile.gettempdir())), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        _, _, step, name, axis, size, root = sys.argv
        if step == "prepare":
            prepare(name, axis, int(size), Path(root))
        else:
            print(json.dumps(measure(name, axis, int(size), Path(root))))
    else:
        main()
