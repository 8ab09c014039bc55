"""Checks on your GPU what kit promises about GPUs, and writes a table that you can send to kit's issue tracker.

    python -m benchmarks.gpu                      # about ten minutes on one GPU
    python -m benchmarks.gpu --cpu                # the checks that a CPU can do, on small networks
    python -m benchmarks.gpu --only float16       # the checks whose name contains a word
    python -m benchmarks.gpu --out gpu.md         # the table as a file too

Each row is a check, its result and its figure. "passed" and "failed" say whether a promise holds. "measured" is a
figure without a limit on this device. "not possible" has the reason. The exit status is 1 if a check failed.

The checks change no setting of the machine. They train on drawn images in a temporary folder.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

import kit
from benchmarks import gpu_checks, gpu_measures  # noqa: F401 they fill the list of checks
from benchmarks.gpu_bench import CHECKS, CPU, Bench, NotPossibleError, kit_line
from kit.core.cores import available_cores
from kit.core.files import write_text
from kit.device import memory
from kit.device.precision import choose_device, name_of
from kit.errors import ConfigError


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    result: str
    figure: str
    seconds: float = 0.0

    def __str__(self) -> str:
        figure = self.figure.replace("|", "/").replace("\n", " ")
        return f"| {self.name} | {self.result} | {figure} | {self.seconds:.0f} s |"


HEAD = "| check | result | figure | time |\n|---|---|---|---|"


def run_check(name: str, bench: Bench) -> Row:
    """One check's row; an error is a failed check, and the others go on."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = CHECKS[name](bench)
        result = "measured" if outcome.passed is None else "passed" if outcome.passed else "failed"
        figure = outcome.figure
    except NotPossibleError as error:
        result, figure = "not possible", str(error)
    except Exception as error:
        result, figure = "failed", f"{type(error).__name__} in {kit_line(error)}: {error}"[:300]
    if bench.is_gpu:  # out of the except block, which holds the tensors of a failed check
        gc.collect()
        memory.empty_cache(bench.device)
    return Row(name, result, figure, time.perf_counter() - start)


def run_checks(bench: Bench, word: str = "", seconds: float = 900.0) -> Iterator[Row]:
    """The rows of the checks whose name contains a word; after so many seconds no other check begins."""
    end = time.monotonic() + seconds
    for name in CHECKS:
        if word in name:
            over = time.monotonic() > end
            yield Row(name, "not possible", "the time is over") if over else run_check(name, bench)


def describe_machine(device: torch.device) -> str:
    """The device and versions that the figures depend on."""
    card = name_of(device)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        card += f", {properties.total_memory / 2**30:.0f} GiB, {torch.cuda.device_count()} in all"
    cudnn = torch.backends.cudnn.version() if device.type == "cuda" else "none"
    versions = f"kit {kit.__version__}, torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
    return f"{card}; {available_cores()} cores; Python {platform.python_version()}, {versions}"


def main() -> int:
    """Prints the table row by row, and returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="use the CPU, with small networks")
    parser.add_argument("--only", default="", help="only checks whose name contains this")
    parser.add_argument("--seconds", type=float, default=900.0, help="after these no other check begins")
    parser.add_argument("--out", type=Path, help="a file for the table")
    options = parser.parse_args()
    try:
        device = CPU if options.cpu else choose_device("cuda")
    except ConfigError as error:
        print(f"{error}. To run what a CPU can: python -m benchmarks.gpu --cpu", file=sys.stderr)
        return 2
    # the processes that checks start import kit from here too
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(kit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    lines = [describe_machine(device), "", HEAD]
    print("\n".join(lines), flush=True)
    results: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for row in run_checks(Bench(device, Path(folder)), options.only, options.seconds):
            print(row, flush=True)
            lines.append(str(row))
            results[row.result] += 1
    lines += ["", ", ".join(f"{count} {result}" for result, count in sorted(results.items()))]
    print("\n".join(lines[-2:]))
    if options.out:
        write_text(options.out, "\n".join(lines) + "\n")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
