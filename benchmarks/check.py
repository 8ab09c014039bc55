"""What `kit check` finds of faults planted in scikit-learn's digits, beside cleanlab, imagededup and deepchecks.

    python -m venv ../peers      # deepchecks 0.19 runs with packages of its time alone
    ../peers/bin/pip install cleanlab imagededup deepchecks 'numpy<2' 'pandas<3' 'scikit-learn~=1.7.0' 'setuptools<81'
    python -m benchmarks.check --peer ../peers/bin/python [--images 20000]

Each line is a kind of fault: the share that is found, the share of clean rows that are named, and seconds. Both sides
see the same files and the same out-of-fold probabilities; copies are sought among training and test images together.
With --images kit check is timed on so many drawn JPEGs of 256 pixels, with nothing decoded before. Without --peer only
kit is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.images.cache import Geometry, fill_cache
from kit.images.near_duplicates import compute_thumbnails, find_near_duplicates
from kit.stages.checks.check import run_checks
from kit.stages.checks.finding import Finding
from kit.stages.checks.shift import measure_images
from tests.planting import Planted, false_alarms, plant, predict, share

SHIM = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
lib = torch.library.Library("torchvision", "DEF")  # a build of torch beside a torchvision built for another device
try:
    lib.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    lib.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
except RuntimeError:
    pass
"""
PEERS = {
    "imagededup": """
from imagededup.methods import PHash
method = PHash(verbose=False)
start = time.perf_counter()
found = method.find_duplicates(image_dir=sys.argv[1], max_distance_threshold=int(sys.argv[2]), num_enc_workers=0)
seconds = time.perf_counter() - start
pairs = sorted({tuple(sorted((one, other))) for one, others in found.items() for other in others})
print(json.dumps([seconds, pairs]))
""",
    "cleanlab": """
import numpy as np
from cleanlab.filter import find_label_issues
shares, labels = np.load(sys.argv[1]), np.load(sys.argv[2])
start = time.perf_counter()
found = find_label_issues(labels, shares, filter_by=sys.argv[3], return_indices_ranked_by="normalized_margin", n_jobs=1)
print(json.dumps([time.perf_counter() - start, found.tolist()]))
""",
    "deepchecks": """
import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import MultivariateDrift
train, test = (Dataset(pd.read_csv(file), cat_features=[]) for file in sys.argv[1:3])
start = time.perf_counter()
found = MultivariateDrift(random_state=0).run(train, test, with_display=False).value
print(json.dumps([time.perf_counter() - start, found["domain_classifier_auc"]]))
""",
}


@dataclass(frozen=True)
class Line:
    """What one side finds of one kind of fault."""

    kind: str
    side: str
    recall: float
    alarms: float | None
    seconds: float

    def __str__(self) -> str:
        alarms = "" if self.alarms is None else f"{self.alarms:.2%}"
        return f"{self.kind:30} {self.side:36} {self.recall:8.1%} {alarms:>8} {self.seconds:8.2f}"


def ask_peer(peer: str, name: str, *arguments: str) -> Any:
    """What a library answers in its own Python."""
    command = [peer, "-c", SHIM + PEERS[name], *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(f"{name}: {process.stderr.splitlines()[-1:]}")
    return json.loads(process.stdout.splitlines()[-1])


def check_competition(planted: Planted, runs: Sequence[str] = ()) -> tuple[dict[str, Finding], float]:
    """kit check's findings by code, and its seconds with nothing decoded before."""
    start = time.perf_counter()
    findings = run_checks(Workspace.find(planted.root), runs).findings
    return {finding.code: finding for finding in findings}, time.perf_counter() - start


def copies(root: Path, peer: str | None) -> list[Line]:
    planted_space, lines = plant(root, copies=True), []
    folder = planted_space.root / "data/images"
    wanted = {**planted_space.pairs, "leak into test": planted_space.leaks}
    paths, start = sorted(folder.iterdir()), time.perf_counter()
    space = Workspace.find(planted_space.root)
    filled = finish(fill_cache(root / "cold", paths, Geometry.of(space.experiment), space.competition.data))
    pairs = find_near_duplicates(finish(compute_thumbnails(filled.cache)))
    seconds = time.perf_counter() - start
    answers = {"kit": ({frozenset(paths[row].stem for row in pair) for pair in pairs.tolist()}, seconds)}
    for most in (10, 0) if peer else ():
        took, pairs_found = ask_peer(peer or "", "imagededup", str(folder), str(most))
        pairs_of_stems = {frozenset(Path(file).stem for file in pair) for pair in pairs_found}
        answers[f"imagededup PHash, distance <= {most}"] = (pairs_of_stems, took)
    for kind, planted in wanted.items():
        for side, (pairs_found, took) in answers.items():
            alarms = false_alarms({name for pair in pairs_found for name in pair}, planted_space.clean)
            lines.append(Line(f"copies: {kind}", side, share(pairs_found, planted), alarms, took))
    return lines


def labels(root: Path, peer: str | None) -> list[Line]:
    planted = plant(root, wrong=True)
    shares, ids = predict(planted), np.array(sorted(planted.labels))
    clean = {name for name in planted.clean if name in planted.labels}
    findings, seconds = check_competition(planted, ["runs/knn"])
    suspects = [case.id for case in findings["K13"].cases]
    lines = [
        Line(
            "wrong labels",
            "kit check, all of it",
            share(suspects, planted.wrong),
            false_alarms(suspects, clean),
            seconds,
        )
    ]
    np.save(root / "shares.npy", shares)
    np.save(root / "labels.npy", np.array([int(planted.labels[name]) for name in ids.tolist()]))
    for way in ("prune_by_noise_rate", "low_normalized_margin", "confident_learning") if peer else ():
        files = (str(root / "shares.npy"), str(root / "labels.npy"))
        took, rows = ask_peer(peer or "", "cleanlab", *files, way)
        suspects = ids[rows].tolist()
        lines.append(
            Line(
                "wrong labels",
                f"cleanlab {way}",
                share(suspects, planted.wrong),
                false_alarms(suspects, clean),
                took,
            )
        )
    return lines


def shifts(root: Path, peer: str | None) -> list[Line]:
    """Groups in ids and darker test images are found or not; the AUC stands where both sides have one."""
    moved = plant(root / "moved", groups=True, shift=True)
    findings, seconds = check_competition(moved)
    lines = [Line("groups in ids", "kit", float("K09" in findings), None, seconds)]
    for name, planted in (("darker test images", moved), ("none (clean digits)", plant(root / "clean"))):
        findings, seconds = check_competition(planted)
        lines.append(Line(f"shift: {name}", "kit, K14 is told", float("K14" in findings), None, seconds))
        if peer:
            took, auc = ask_peer(peer, "deepchecks", *_measures(planted))
            lines.append(Line(f"shift: {name}", "deepchecks MultivariateDrift, AUC", auc, None, took))
    return lines


def _measures(planted: Planted) -> list[str]:
    """What kit measures of the images, as the two CSVs that the peer reads."""
    import pandas as pd

    names = {"train": sorted(planted.labels)}
    everything = {file.stem for file in (planted.root / "data/images").iterdir()}
    names["test"] = sorted(everything - set(planted.labels))
    files = []
    for split, ids in names.items():
        space = Workspace.find(planted.root)
        paths = [planted.root / f"data/images/{name}.png" for name in ids]
        filled = finish(fill_cache(space.cache, paths, Geometry.of(space.experiment), space.competition.data))
        files.append(str(planted.root / f"{split}-measures.csv"))
        pd.DataFrame(dict(finish(measure_images(filled.cache)).numbers)).to_csv(files[-1], index=False)
    return files


def _drawn(job: tuple[str, int]) -> None:
    folder, seed = job
    rng = np.random.default_rng(seed)
    image = cv2.resize(
        rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(6):
        at, colour = rng.integers(0, 256, 2), rng.integers(0, 255, 3)
        cv2.circle(image, at.tolist(), int(rng.integers(10, 60)), colour.tolist(), -1)
    noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    cv2.imwrite(f"{folder}/{seed:06d}.jpg", noisy)


def large(root: Path, images: int) -> None:
    """Seconds of kit check on drawn images, cold and with the cache full."""
    folder = root / "data/images"
    folder.mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(_drawn, ((str(folder), seed) for seed in range(images)), chunksize=200))
    split = images * 3 // 4
    rows = [f"{seed:06d},c{seed % 20}" for seed in range(split)]
    (root / "data/train.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    tests = [f"{seed:06d},c0" for seed in range(split, images)]
    (root / "data/sample_submission.csv").write_text("\n".join(["id,label", *tests]) + "\n")
    (root / "config.json").write_text("{}")
    for how in ("nothing decoded before", "cache full"):
        start = time.perf_counter()
        result = run_checks(Workspace.find(root))
        codes = " ".join(finding.code for finding in result.findings) or "nothing"
        print(f"{images} images, {how}: {time.perf_counter() - start:.1f} s, found {codes}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", help="a Python that has cleanlab, imagededup and deepchecks")
    parser.add_argument("--images", type=int, help="time kit check on so many drawn images")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'fault':30} {'side':36} {'found':>8} {'alarms':>8} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate((copies, labels, shifts)):
            for line in part(Path(folder) / str(number), options.peer):
                print(line, flush=True)
        if options.images:
            large(Path(folder) / "large", options.images)


if __name__ == "__main__":
    main()
