"""kit plot retrieve: the page shows wrong and right queries with what retrieval finds, the map its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.stages.prediction.embed import embed
from kit.stages.retrieval.examples import Map, _choose, example_page
from kit.stages.retrieval.figures import embedding_map


def test_a_query_stands_beside_the_nearest_images_of_its_folds_gallery(space: Path) -> None:
    embed(space, ["runs/a"])
    page = example_page(Workspace.open(space), "runs/a", queries=8, k=3)
    vectors = Embeddings.read(space / "runs/a/embeddings/plain/0").train
    folds = dict(line.split(",") for line in (space / "runs/a/folds.csv").read_text().split()[1:])
    at = {name: row for row, name in enumerate(vectors.ids.tolist())}
    gallery = [name for name in vectors.ids.tolist() if folds[name] != "0"]
    wide = vectors.vectors.astype(np.float32)
    for query, *near in page.queries:
        assert folds[query.id] == "0"
        cosines = wide[[at[name] for name in gallery]] @ wide[at[query.id]]
        assert [one.id for one in near] == [gallery[row] for row in np.argsort(-cosines, kind="stable")[:3]]
        assert near[0].similarity == pytest.approx(cosines.max(), abs=1e-5)
    labels = {
        line.split(",")[0]: line.split(",")[1] for line in (space / "data/train.csv").read_text().split()
    }
    held = [name for name in vectors.ids.tolist() if folds[name] == "0"]
    nearest = (wide[[at[name] for name in held]] @ wide[[at[name] for name in gallery]].T).argmax(axis=1)
    answers = [labels[gallery[row]] for row in nearest]
    assert page.wrong == sum(labels[name] != answer for name, answer in zip(held, answers, strict=True))
    assert len(page.queries) == 8
    wrong = [query.label != near.label for query, near, *_ in page.queries]
    assert wrong == sorted(wrong, reverse=True)
    assert sum(wrong) == min(page.wrong, max(4, 8 - (len(held) - page.wrong)))
    assert len(page.map.places) == page.rows == 30


@pytest.mark.parametrize(
    ("wrong", "right", "count", "chosen"),
    [
        (10, 10, 8, (4, 4)),
        (10, 10, 7, (4, 3)),
        (1, 19, 8, (1, 7)),
        (0, 20, 8, (0, 8)),
        (18, 2, 8, (6, 2)),
        (2, 1, 8, (2, 1)),
    ],
)
def test_half_of_the_queries_are_answered_wrongly_if_there_are_such(
    wrong: int, right: int, count: int, chosen: tuple[int, int]
) -> None:
    is_right = np.random.default_rng(0).permutation(np.arange(wrong + right) < right)
    places = _choose(is_right, count, np.random.default_rng(1))
    assert is_right[places].tolist() == [False] * chosen[0] + [True] * chosen[1]
    assert len(set(places.tolist())) == len(places)


def test_two_pictures_are_written(
    space: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    embed(space, ["runs/a"])
    inside(space)
    assert run(["plot", "retrieve", "runs/a", "--queries", "3", "--json", "--out", "near.png"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == ["near.png", "near-map.png"]
    for name in said["files"]:
        picture: np.ndarray | None = cv2.imread(str(space / name))
        assert picture is not None
        assert picture.std() > 10
    assert [len(strip) for strip in said["queries"]] == [7, 7, 7]


def test_a_map_of_shape_groups_has_two_panels() -> None:
    places, labels = np.random.default_rng(0).random((30, 2)), np.array(list("abc") * 10)
    assert len(embedding_map(Map(places, labels, np.empty(0, str)), "title").axes) == 1
    panels = embedding_map(Map(places, labels, np.where(labels == "a", "round", "long")), "title").axes
    assert [axes.get_title() for axes in panels] == ["by class (3)", "by superclass (2)"]
