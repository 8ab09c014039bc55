"""Counts the files of kit that three journeys enter: a training row to its out-of-fold probability, TTA, and a blend.

Run `python -m tools.journey`, with `--list` for the files. Each journey is one call of the stage train, tta or
blend on 120 of scikit-learn's digits. A file is entered if one of its functions runs; imports do not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
KIT = f"{ROOT / 'kit'}/"
SCANS = 120
CONFIG = {
    "image_size": 16,
    "cache_size": 16,
    "epochs": 1,
    "workers": 0,
    "backbone": {"name": "small", "width": 4, "stages": 1},
    "splitter": {"name": "stratified_kfold", "folds": 2},
}
# what a reader need not open on the way: settings, helpers, the classes that plugins derive from, and plugins
KNOWN = ("errors.py", "config", "core", "kinds", "plugins")
# the files that turn train.csv into a table: all three journeys enter them, and their reader may skip them
TABLE = tuple(
    f"data/{name}.py" for name in ("table", "row_sources", "csv_file", "image_paths", "spelling", "labels")
)
NO_FUNCTIONS = ("<module>", "<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>")


@dataclass
class Journey:
    """The files in the order of their first entry, and how often the running function changed its file."""

    files: dict[str, int] = field(default_factory=dict)
    moves: int = 0
    last: str = ""

    def called(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(KIT) or code.co_name in NO_FUNCTIONS:
            return
        if "__qualname__" in frame.f_locals and "__module__" in frame.f_locals:  # the body of a class
            return
        name = code.co_filename.removeprefix(KIT)
        self.files[name] = self.files.get(name, 0) + 1
        self.moves += name != self.last
        self.last = name


@contextmanager
def record(journey: Journey) -> Iterator[None]:
    """Records the calls of all threads of this process."""
    threading.setprofile(journey.called)
    sys.setprofile(journey.called)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def prepare(root: Path) -> None:
    """A workspace of a few digits."""
    from sklearn import datasets
    from sklearn.utils import Bunch

    from kit.stages.demo import digits

    whole = datasets.load_digits()
    datasets.load_digits = lambda: Bunch(images=whole.images[:SCANS], target=whole.target[:SCANS])
    digits.DEMO_CONFIG.update(CONFIG)
    digits.make_digits(root)


def journeys(root: Path) -> Iterator[tuple[str, Journey]]:
    """Each journey and its trace, after one on another run that has imported everything."""
    from kit.stages.blending.blend import blend
    from kit.stages.prediction.tta import tta
    from kit.stages.training.train import train

    stages: dict[str, Callable[[str], object]] = {
        "train row to out-of-fold probability": lambda name: train(root, name=name),
        "tta": lambda name: tta(root, [f"runs/{name}"], views="hflip"),
        "blend": lambda name: blend(root, sorted({"runs/first@hflip", f"runs/{name}@hflip"})),
    }
    for stage in stages.values():
        stage("first")
    for title, stage in stages.items():
        journey = Journey()
        with record(journey):
            stage("second")
        yield title, journey


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--list", action="store_true", help="list the files, in the order of their first entry"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare(root)
        for title, journey in journeys(root):
            folders = {Path(name).parts[0] for name in journey.files}
            read = [name for name in journey.files if Path(name).parts[0] not in KNOWN]
            tables = [name for name in read if name in TABLE]
            print(
                f"{title}: {len(journey.files)} files in {len(folders)} folders, {len(read)} of them outside "
                f"{', '.join(KNOWN)}, of which {len(tables)} read the table; {journey.moves} moves"
            )
            for name in journey.files if options.list else ():
                print(f"  {name}")


if __name__ == "__main__":
    main()
