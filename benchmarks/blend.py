"""Hill climbing against AutoGluon's EnsembleSelection, nested scores against one fit, and memory against the members.

    python -m venv ../peer && ../peer/bin/pip install autogluon.core
    python benchmarks/blend.py --peer ../peer/bin/python [--members 30] [--rows 100000] [--classes 18] [--rounds 25]

The members are drawn once and written as one .npy file that both sides read. The sides take turns of a fit, kit in
this process and AutoGluon in one of its own, so that a machine whose speed drifts slows both; a figure is the least of
its turns. The members that AutoGluon chose are then scored round by round by kit: where kit would have chosen another,
the difference is shown. Without --peer only kit is measured. --large blends 100 members x 1,000,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kit.evaluation.crossfit import cross_fit
from kit.evaluation.hill_climbing import climb
from kit.kinds import Ensembler, Metric
from kit.plugins.ensembler.hill_climb import climb_members

THEIRS = {"macro_f1": "f1_macro", "log_loss": "log_loss"}
PEER = """
import json, sys, time
import numpy as np
from autogluon.core.metrics import get_metric
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
members, truth = list(np.load(sys.argv[1])), np.load(sys.argv[2])
for line in sys.stdin:
    name, rounds = line.split()
    chooser = EnsembleSelection(int(rounds), "multiclass", get_metric(name, "multiclass"))
    chooser.use_best = False
    start = time.perf_counter()
    chooser.fit(members, truth)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, [int(one) for one in chooser.indices_]]), flush=True)
"""


def draw(file: Path, members: int, rows: int, classes: int) -> np.ndarray:
    """Writes members (M, N, K) float32 that know the truth to different degrees, and returns the truth (N,)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(classes, size=rows)
    members_map = np.lib.format.open_memmap(file, "w+", np.float32, (members, rows, classes))
    common = 2 * rng.normal(size=(rows, classes)).astype(np.float32)
    common[np.arange(rows), truth] += 4
    for index in range(members):
        logits = common + (1.5 + index % 5 / 5) * rng.standard_normal((rows, classes), dtype=np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        members_map[index] = logits / logits.sum(axis=1, keepdims=True)
    members_map.flush()
    return truth


def rounds(options: argparse.Namespace, file: Path, truth: np.ndarray) -> None:
    """Seconds a round on both sides, in turns, and whether the same members are chosen."""
    members = np.load(file, mmap_mode="r")
    np.save(file.with_name("truth.npy"), truth)
    peer = None
    if options.peer:
        command = [options.peer, "-c", PEER, str(file), str(file.with_name("truth.npy"))]
        peer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    for name in THEIRS:
        ours, theirs, order = [], [], []
        for _ in range(options.turns):
            start = time.perf_counter()
            climb_members(Metric.open(name), members, truth, options.rounds, range(len(members)))
            ours.append((time.perf_counter() - start) / options.rounds)
            if peer is not None and peer.stdin and peer.stdout:
                peer.stdin.write(f"{THEIRS[name]} {options.rounds}\n")
                peer.stdin.flush()
                seconds, order = json.loads(peer.stdout.readline())
                theirs.append(seconds / options.rounds)
        print(f"{name}: kit {min(ours):.4f} s a round {_all(ours)}")
        if theirs:
            print(
                f"  AutoGluon {min(theirs):.4f} s a round {_all(theirs)}: {min(theirs) / min(ours):.1f} times as long"
            )
            print(f"  {_agreement(Metric.open(name), members, truth, order)}")
    if peer is not None:
        peer.kill()


def _all(seconds: list[float]) -> str:
    return "(" + " ".join(f"{time_s:.4f}" for time_s in seconds) + ")"


def _agreement(metric: Metric, members: np.ndarray, truth: np.ndarray, order: list[int]) -> str:
    """How often kit would choose what the peer chose after the same rounds, and by how much the others differ."""
    sums, differences = climb(metric, members, truth), []
    for member in order:
        costs = sums.costs()
        differences.append(float(costs[member] - costs.min()))
        sums.add(member)
    same = sum(difference <= 1e-9 for difference in differences)
    return f"the same choice in {same} of {len(order)} rounds; the score differs by {max(differences):.1e} at most"


def nested(options: argparse.Namespace, file: Path, truth: np.ndarray) -> None:
    """Nested scoring of five folds, with the fit on all rows, against that fit alone."""
    members, folds = np.load(file), np.arange(len(truth)) % 5
    for name in THEIRS:
        recipe = Ensembler.open({"name": "hill_climb", "metric": name, "rounds": options.rounds})
        one_fit, all_of_it = [], []
        for _ in range(options.turns):
            start = time.perf_counter()
            recipe.fit(members, truth)
            one_fit.append(time.perf_counter() - start)
            start = time.perf_counter()
            cross_fit(recipe, members, truth, folds)
            all_of_it.append(time.perf_counter() - start)
        ratio = min(all_of_it) / min(one_fit)
        print(
            f"{name}: one fit {min(one_fit):.2f} s, five folds and all rows {min(all_of_it):.2f} s: {ratio:.2f} times"
        )


MEMORY = r"""
import re, sys
from pathlib import Path
import numpy as np
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler
recipe = Ensembler.open({"name": "hill_climb", "metric": sys.argv[3], "rounds": 5})
peak = lambda: 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
truth = np.load(sys.argv[2])
few = np.full((2, 9000, truth.max() + 1), 0.5, dtype=np.float32)
cross_fit(recipe, few, truth[:9000], np.arange(9000) % 5)  # what is imported once is no multiple of the members
before, members = peak(), np.load(sys.argv[1], mmap_mode=None if len(sys.argv) > 4 else "r")
cross_fit(recipe, members, truth, np.arange(len(truth)) % 5)
print((peak() - before) / members.nbytes)
"""


def memory(file: Path) -> None:
    """The peak of a process that fits and cross-fits, above what it needs before the members, against their size."""
    for name in THEIRS:
        command = [sys.executable, "-c", MEMORY, str(file), str(file.with_name("truth.npy")), name]
        mapped, loaded = (
            float(subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout)
            for more in ([], ["loaded"])
        )
        print(
            f"{name}: peak {mapped:.2f} times the members' size from a memory map, {loaded:.2f} times from an array"
        )


def large(folder: Path, members: int = 100, rows: int = 1_000_000, classes: int = 18) -> None:
    """One climb of 25 rounds and its nested score on members that are larger than is pleasant."""
    file = folder / "large.npy"
    truth = draw(file, members, rows, classes)
    members_map = np.load(file, mmap_mode="r")
    for name in THEIRS:
        start = time.perf_counter()
        recipe = Ensembler.open({"name": "hill_climb", "metric": name})
        blended, _ = cross_fit(recipe, members_map, truth, np.arange(rows) % 5)
        seconds, score = time.perf_counter() - start, Metric.open(name).score(truth, blended)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{members} members x {rows} rows x {classes} classes ({members_map.nbytes / 2**30:.1f} GiB), {name}: "
            f"nested score {score:.4f} in {seconds:.0f} s, peak so far {peak:.1f} GiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="a Python that has autogluon.core")
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="100 members x 1,000,000 rows, and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.large:
            large(Path(folder))
            return
        file = Path(folder) / "members.npy"
        truth = draw(file, options.members, options.rows, options.classes)
        print(
            f"{options.members} members x {options.rows} rows x {options.classes} classes, {options.rounds} rounds"
        )
        rounds(options, file, truth)
        nested(options, file, truth)
        memory(file)


if __name__ == "__main__":
    main()
