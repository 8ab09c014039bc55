"""Shows held-out rows with their nearest training images, and a map of the rows' embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.core.nearest import nearest
from kit.core.progress import Progress, Work, stage
from kit.core.randomness import generator
from kit.data.table import Table
from kit.experiment.loading import geometry, load_rows
from kit.images.channels import to_rgb
from kit.stages.blending.members import labels
from kit.stages.retrieval.neighbour_search import TASK
from kit.stages.retrieval.source import EmbeddedRun, read_source

MAX_MAP_POINTS = 2_000  # maximum rows of the map, drawn if there are more


@dataclass(frozen=True, eq=False)
class ExampleImage:
    """An image (H, W, 3) uint8, its id, and its similarity to the query; 1 for the query itself."""

    id: str
    label: str
    image: np.ndarray
    similarity: float


@dataclass(frozen=True, eq=False)
class Map:
    """The positions of rows in two dimensions (rows, 2), with the class and the superclass of each."""

    places: np.ndarray
    labels: np.ndarray  # (rows,) of str
    shapes: np.ndarray  # (rows,) of str; empty if the competition has none


@dataclass(frozen=True, eq=False)
class Page:
    """Queries, each followed by its nearest images, the wrong ones first; and the map of the fold's rows."""

    queries: tuple[tuple[ExampleImage, ...], ...]
    wrong: int  # held-out rows of the fold whose nearest image is of another class
    rows: int  # held-out rows of the fold
    map: Map


@stage
def example_page(
    workspace: Workspace | StrPath, member: str, queries: int = 10, k: int = 6, seed: int = 0
) -> Work[Page]:
    """Draws queries from the first embedded fold's held-out rows, half of them wrong if there are enough.

    Raises what `read_source` and loading raise, ConfigError C28 if the gallery has fewer than k images.
    """
    workspace = Workspace.of(workspace)
    table = labels(workspace).sort_by_id()
    source = read_source(workspace, member, table)
    fold = min(source.by_fold)
    vectors = source.by_fold[fold].train.vectors
    held_out = np.array([row for row in source.oof_mask(fold) if source.has_vector[row]])
    gallery = source.gallery(fold)
    yield Progress(TASK, 0, 1, f"{source.member} fold {fold}")
    neighbours = nearest(np.ascontiguousarray(vectors[held_out]), np.ascontiguousarray(vectors[gallery]), k)
    rows = gallery[neighbours.rows]
    right = table.targets()[rows[:, 0]] == table.targets()[held_out]
    chosen = _choose(right, queries, generator(seed, "look retrieve"))
    wanted = np.concatenate([held_out[chosen, None], rows[chosen]], axis=1)
    images = yield from _images(workspace, source, np.unique(wanted))
    strips = tuple(
        tuple(
            _example_image(table, row, images[row], float(similarity))
            for row, similarity in zip(line, (1.0, *neighbours.similarities[index]), strict=True)
        )
        for index, line in zip(chosen.tolist(), wanted.tolist(), strict=True)
    )
    return Page(strips, int((~right).sum()), len(held_out), _map(table, held_out, vectors, seed))


def _choose(right: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns positions of queries, the wrong ones first: half of them, or as many as there are."""
    wrong, good = (rng.permutation(np.flatnonzero(mask)) for mask in (~right, right))
    first = min(len(wrong), max(count - count // 2, count - len(good)))
    return np.concatenate([wrong[:first], good[: count - first]])


def _images(workspace: Workspace, source: EmbeddedRun, rows: np.ndarray) -> Work[dict[int, np.ndarray]]:
    """Returns the rows' images in the run's cache."""
    loaded = yield from load_rows(workspace, source.table.take(rows), "train", geometry(source.experiment))
    return {row: to_rgb(loaded.cache[index]) for index, row in enumerate(rows.tolist())}


def _example_image(table: Table, row: int, image: np.ndarray, similarity: float) -> ExampleImage:
    return ExampleImage(str(table.ids[row]), table.label_names(row)[0], image, similarity)


def _map(table: Table, held_out: np.ndarray, vectors: np.ndarray, seed: int) -> Map:
    """Returns the map. Source: van der Maaten and Hinton 2008, "Visualizing Data using t-SNE", by
    scikit-learn, on cosines.
    """
    from sklearn.manifold import TSNE

    rows = np.sort(generator(seed, "look retrieve map").permutation(held_out)[:MAX_MAP_POINTS])
    perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
    model = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=seed)
    names: Sequence[str] = table.class_groups
    truth = table.targets()[rows]
    shapes = np.array([names[number] for number in truth]) if names else np.empty(0, str)
    places = np.asarray(model.fit_transform(vectors[rows].astype(np.float32)))
    return Map(places, np.array(table.classes)[truth], shapes)
