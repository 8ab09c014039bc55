"""Exact nearest neighbours: kit's search against the bare matrix products, faiss, torch and scikit-learn, in turns.

    python benchmarks/search.py [--gallery 100000] [--queries 4000] [--features 512] [--k 10] [--turns 3]
    python benchmarks/search.py --map 1000000       # float16 in a memory map: how much memory it takes beside the map

Unit vectors drawn at random, the hardest case: no query has a neighbour that stands out. Every side's answers are
compared with kit's.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kit.core.nearest import GALLERY_CHUNK, QUERY_CHUNK, nearest


def main() -> None:
    """Times the sides in turns, or measures the memory of a large map."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=4_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--map", type=int, default=0)
    options = parser.parse_args()
    if options.map:
        mapped(options.map, options.features, options.k)
        return
    queries, gallery = (
        drawn(options.queries, options.features, 0),
        drawn(options.gallery, options.features, 1),
    )
    sides: dict[str, Callable[[], np.ndarray | None]] = {
        "bare products": lambda: bare(queries, gallery),
        "kit": lambda: nearest(queries, gallery, options.k, "numpy").rows,
        "kit, by faiss": lambda: nearest(queries, gallery, options.k, "faiss").rows,
        "torch, products and topk": lambda: by_torch(queries, gallery, options.k),
        "scikit-learn": lambda: by_sklearn(queries, gallery, options.k),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    wanted = nearest(queries, gallery, options.k, "numpy").rows
    for _ in range(options.turns):
        for name, side in sides.items():
            spent, neighbours = timed(side)
            times[name].append(spent)
            if neighbours is not None:
                agree = float((neighbours == wanted).mean())
                assert agree > 0.999, f"{name} finds others: {agree:.4f} agree"
    print(f"{options.gallery} gallery x {options.queries} queries x {options.features}, top {options.k}")
    print("| side | seconds, least | of the bare products, median of turns |\n|---|---|---|")
    for name, turns in times.items():
        ratios = np.array(turns) / np.array(times["bare products"])
        print(f"| {name} | {min(turns):.2f} | {np.median(ratios):.2f} |")


def drawn(rows: int, features: int, seed: int) -> np.ndarray:
    """Unit vectors (rows, features) float32."""
    vectors = np.random.default_rng(seed).standard_normal((rows, features), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def timed(side: Callable[[], np.ndarray | None]) -> tuple[float, np.ndarray | None]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    result = side()
    return time.perf_counter() - start, result


def bare(queries: np.ndarray, gallery: np.ndarray) -> None:
    """The products alone, in kit's chunks, their results thrown away."""
    out = np.empty((QUERY_CHUNK, GALLERY_CHUNK), np.float32)
    for start in range(0, len(queries), QUERY_CHUNK):
        for first in range(0, len(gallery), GALLERY_CHUNK):
            part, those = queries[start : start + QUERY_CHUNK], gallery[first : first + GALLERY_CHUNK]
            np.matmul(part, those.T, out=out[: len(part), : len(those)])


def by_torch(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """Products of 512 queries with all of the gallery, and topk of each."""
    import torch

    whole = torch.from_numpy(gallery).T
    parts = (torch.from_numpy(queries[start : start + 512]) @ whole for start in range(0, len(queries), 512))
    return np.concatenate([part.topk(k).indices.numpy() for part in parts])


def by_sklearn(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """NearestNeighbors by brute force; of unit vectors the Euclidean order is that of cosines."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(gallery)
    return np.asarray(model.kneighbors(queries, return_distance=False))


def mapped(rows: int, features: int, k: int) -> None:
    """Searches a map of float16 for 256 queries, and tells the memory that is the process's own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gallery.npy"
        vectors = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(rows, features))
        for start in range(0, rows, 65_536):
            vectors[start : start + 65_536] = drawn(min(65_536, rows - start), features, start)
        vectors.flush()
        gallery = np.load(file, mmap_mode="r")
        queries = drawn(256, features, 7)
        before, watch = own_memory(), Watch()
        start_time = time.perf_counter()
        nearest(queries, gallery, k, "numpy")
        spent = time.perf_counter() - start_time
        print(
            f"{rows} x {features} float16 ({file.stat().st_size / 2**30:.2f} GiB mapped), 256 queries: {spent:.1f} s, "
            f"{(watch.stop() - before) / 2**20:.0f} MiB beside the map"
        )


def own_memory() -> int:
    """Bytes that belong to the process alone, without mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Watch:
    """The most memory while it runs."""

    def __init__(self) -> None:
        self._most, self._on = own_memory(), True
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while self._on:
            self._most = max(self._most, own_memory())
            time.sleep(0.01)

    def stop(self) -> int:
        """Ends it and gives the most."""
        self._on = False
        self._thread.join()
        return self._most


if __name__ == "__main__":
    main()
