"""The peak that `kit memory` foretells for a batch, from steps of a quarter of it, against the peak of a real step.

    python benchmarks/memory.py [--archs resnet18,efficientnet_b0,...] [--size 128] [--batch 64] [KEY=VALUE ...]

Both are `kit memory` in processes of their own: the first measures a real step of a quarter of the batch and foretells
the whole, the second measures a real step of the whole: on a GPU by its allocator, on a CPU by the process's high-water
mark. No image is read.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ARCHS = "resnet18,resnet50,efficientnet_b0,mobilenetv3_large_100,regnetx_004,resnet10t,vit_tiny_patch16_224"


def draw(root: Path) -> None:
    """A workspace of sixteen rows, whose images nobody reads."""
    (root / "data" / "images").mkdir(parents=True)
    names = [f"{number:02d}" for number in range(16)]
    for name in names:
        (root / "data" / "images" / f"{name}.jpg").touch()
    lines = ["id,label", *(f"{name},c{int(name) % 8}" for name in names)]
    (root / "data" / "train.csv").write_text("\n".join(lines) + "\n")
    (root / "config.json").write_text(json.dumps({"data": {"sample": None}}))


def asked(folder: Path, sizes: str, overrides: list[str]) -> dict[str, Any]:
    """What `kit memory` says of these sizes, the last of which it measures."""
    command = [sys.executable, "-m", "kit", "memory", "--batch-size", sizes, "--json", *overrides]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=os.environ)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Prints a line a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", default=ARCHS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    print("| network | foretold | measured | foretold / measured |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for arch in options.archs.split(","):
            config = [f"backbone.arch={arch}", f"image_size={options.size}", *options.overrides]
            config += [f"backbone.img_size={options.size}"] * ("vit" in arch)
            foretold = asked(Path(folder), f"{options.batch},{options.batch // 4}", config)["sizes"][-1][
                "peak"
            ]
            measured = asked(Path(folder), str(options.batch), config)["measured"]["peak"]
            name, ratio = arch, foretold / measured
            print(
                f"| {name} | {foretold / 2**20:.0f} MiB | {measured / 2**20:.0f} MiB | {ratio:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
