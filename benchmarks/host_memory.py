"""Resident memory of `kit train` and `kit tta` with few and with many images, and of TTA with one and with eight views.

    python benchmarks/host_memory.py [--images 2000 50000] [--keep FOLDER]

What is told is the peak of RssAnon, sampled from /proc/PID/status every 10 ms while the command runs: all memory
that is the process's own. Pages of maps are not in it, the cache's among them, as the system takes them back when it
needs them; they are in RssFile, whose peak is told beside it. Images are drawn at 24 px, each of its own content, as
many for training as for testing; the network is tiny, so that what grows with the rows shows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SAMPLED = 0.01  # seconds
CONFIG = {
    "splitter": "holdout",
    "augmenter": "flips",
    "backbone": {"name": "small", "width": 4, "stages": 1},
    "image_size": 16,
    "cache_size": 20,
    "epochs": 1,
    "batch_size": 250,
    "workers": 0,
    "precision": "float32",
}


def draw(root: Path, images: int, classes: int = 10) -> None:
    """A workspace of so many training and as many test images, JPEGs of noise."""
    rng = np.random.default_rng(0)
    (root / "data" / "images").mkdir(parents=True)
    for number in range(2 * images):
        _, content = cv2.imencode(".jpg", rng.integers(0, 256, (24, 24, 3)).astype(np.uint8))
        (root / "data" / "images" / f"{number:06d}.jpg").write_bytes(content.tobytes())
    rows = [f"{number:06d},c{number % classes}" for number in range(2 * images)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label", *rows[:images]]) + "\n")
    (root / "data" / "sample_submission.csv").write_text("\n".join(["id,label", *rows[images:]]) + "\n")
    (root / "config.json").write_text(json.dumps(CONFIG))


def peaks(root: Path, *arguments: str) -> dict[str, float]:
    """Peaks of a kit command in MiB, by the names of /proc/PID/status, and its seconds."""
    peak_mib = {"RssAnon": 0.0, "RssFile": 0.0}
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "kit", *arguments],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = status.read_text().splitlines() if status.exists() else []
            for line in lines:
                name, _, value = line.partition(":")
                if name in peak_mib:
                    peak_mib[name] = max(peak_mib[name], int(value.split()[0]) / 1024)
            time.sleep(SAMPLED)
        if process.returncode:
            raise SystemExit(process.stderr.read() if process.stderr else "")
    return {**peak_mib, "seconds": time.perf_counter() - start}


def measured(root: Path, images: int) -> dict[str, dict[str, float]]:
    """The peaks of each command in a workspace of so many images; the cache is filled by the first."""
    draw(root, images)
    run = ["tta", "--checkpoints", "runs/r", "--views"]
    return {
        "train, filling the cache": peaks(root, "train", "--name", "first"),
        "train": peaks(root, "train", "--name", "r"),
        "tta, filling the cache": peaks(root, *run, "plain"),
        "tta, 1 view": peaks(root, *run, "hflip", "--merge", "geometric"),
        "tta, 8 views": peaks(root, *run, "d4"),
    }


def main() -> None:
    """Prints each command's peaks at each number of images, and the bytes that an image adds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 50_000])
    parser.add_argument("--keep", type=Path, help="Leave the workspaces in this folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder)
        peaks_by_images = {images: measured(root / str(images), images) for images in options.images}
    few, many = min(peaks_by_images), max(peaks_by_images)
    for name in peaks_by_images[few]:
        peaks_text = ", ".join(
            f"{images} images {peak[name]['RssAnon']:.0f} MiB (file pages {peak[name]['RssFile']:.0f})"
            for images, peak in peaks_by_images.items()
        )
        grown = (
            (peaks_by_images[many][name]["RssAnon"] - peaks_by_images[few][name]["RssAnon"])
            * 2**20
            / max(many - few, 1)
        )
        print(
            f"{name}: {peaks_text}; {grown:.0f} bytes an image; {peaks_by_images[many][name]['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
