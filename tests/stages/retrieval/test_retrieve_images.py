"""Stand-ins of Shopee and of Landmark retrieval are answered with images, as brute force answers them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.table import train_table
from kit.errors import ConfigError, InvalidError
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.embed import embed, embed_index
from kit.stages.retrieval.joined_vectors import Reduction
from kit.stages.retrieval.retrieve_images import ImageQuestion, open_question, retrieve_images
from kit.stages.submission.board import Board
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_tables import csv, make
from tests.entering import TINY

GROUPS, PHOTOS = 8, 3
SEEN = [(group, photo) for group in range(GROUPS) for photo in range(PHOTOS)]


def draw(root: Path, folder: str, prefix: str, first: int) -> list[str]:
    """A photo of noise in its group's colour for each group and number."""
    rng = np.random.default_rng(first)
    colours = np.random.default_rng(7).uniform(0, 255, (2 * GROUPS, 3))
    (root / folder).mkdir()
    for group, photo in SEEN:
        pixels = rng.normal(0, 25, (12, 12, 3)) + colours[first + group]
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            root / folder / f"{prefix}{group}{photo}.png"
        )
    return [f"{prefix}{group}{photo}" for group, photo in SEEN]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shopee: ids are not the images' names, and a row is in its own set."""
    root = tmp_path_factory.mktemp("shop")
    photos, tests = draw(root, "train_images", "a", 0), draw(root, "test_images", "t", GROUPS)
    rows = [f"train_{name},{name}.png,{group}" for name, (group, _) in zip(photos, SEEN, strict=True)]
    make(
        root,
        {
            "train.csv": csv("posting_id,image,label_group", *rows),
            "test.csv": csv("posting_id,image", *(f"test_{name},{name}.png" for name in tests)),
            "sample_submission.csv": csv("posting_id,matches", *(f"test_{n},test_{n}" for n in tests)),
        },
    )
    return enter(root, "a", "b")


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Landmark retrieval: images of an index, the most similar first."""
    root = tmp_path_factory.mktemp("landmarks")
    photos, tests = draw(root, "train", "a", 0), draw(root, "test", "t", GROUPS)
    listed = draw(root, "index", "i", GROUPS)
    make(
        root,
        {
            "train.csv": csv("id,landmark_id", *(f"{n},{g}" for n, (g, _) in zip(photos, SEEN, strict=True))),
            "index.csv": csv("id", *listed),
            "sample_submission.csv": csv("id,images", *(f"{name},{listed[0]} {listed[1]}" for name in tests)),
        },
    )
    return enter(root, "a")


@pytest.fixture(scope="module")
def whales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where's Whale-do?: a row for each image of a database, with a score."""
    root = tmp_path_factory.mktemp("whales")
    photos, tests = draw(root, "train", "a", 0), draw(root, "queries", "t", GROUPS)
    listed = draw(root, "database", "i", GROUPS)
    rows = [f"{name},{image},0.5" for name in tests for image in listed[:3]]
    make(
        root,
        {
            "train.csv": csv(
                "image_id,whale_id", *(f"{n},{g}" for n, (g, _) in zip(photos, SEEN, strict=True))
            ),
            "database.csv": csv("image_id", *listed),
            "submission_format.csv": csv("query_id,database_image_id,score", *rows),
        },
    )
    return enter(root, "a")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Stored vectors, which float16 rounds, at length 1."""
    wide = vectors.astype(float)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def enter(root: Path, *runs: str) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        initialise(root, "scratch")
        for number, name in enumerate(runs):
            train(root, [*TINY, f"backbone.width={4 + 4 * number}"], name=name)
        embed(root, [f"runs/{name}" for name in runs])
    return root


def test_kit_init_finds_the_ids_and_the_format_of_both(shop: Path, landmarks: Path) -> None:
    data = Workspace.open(shop).competition.data
    assert (data.id, data.label, data.images) == ("posting_id", "label_group", "train_images/{image}")
    space = Workspace.open(landmarks)
    assert space.competition.format == {"name": "id_list", "images": "other"}
    assert space.competition.data.test is None


def test_sets_within_test_are_those_of_brute_force(shop: Path) -> None:
    question = ImageQuestion("set", None, 2, 4, 0.97)
    result = retrieve_images(shop, ["a", "b"], question, "sets")
    assert result.path is not None
    assert check_submission(Workspace.open(shop), result.path).faults == ()
    parts = [
        Embeddings.read(shop / f"runs/{run}/embeddings/plain/{fold}").test
        for fold in (0, 1)
        for run in ("a", "b")
    ]
    ids = parts[0].ids.tolist()
    cosines = np.mean([unit(one.vectors) @ unit(one.vectors).T for one in parts], axis=0)
    written = pd.read_csv(result.path, index_col=0)["matches"]
    for row, name in enumerate(ids):
        others = [one for one in np.argsort(-cosines[row], kind="stable") if one != row]
        near = [one for one in others if cosines[row, one] >= 0.97]
        wanted = {ids[one] for one in (near if near else others[:1])[:3]} | {name}
        assert set(written[name].split()) == wanted
    (entry,) = [one for one in Board.read(shop).entries if one.file == result.path.name]
    assert (entry.metric, entry.cv, entry.rows) == ("mean_f1_of_rows", result.score, len(SEEN))
    record = json.loads(result.path.with_suffix(".json").read_text())
    assert [one["member"] for one in record["members"]] == ["runs/a@plain", "runs/b@plain"]


def test_held_out_rows_are_compared_among_themselves(shop: Path) -> None:
    result = retrieve_images(shop, ["a"], ImageQuestion("ranking", None, 1, 3), "ranks")
    table, folds = train_table(shop).sort_by_id(), Folds.read(shop / "runs/a/folds.csv")
    scores = []
    for fold in (0, 1):
        held = np.flatnonzero(folds.oof_mask(fold))
        vectors = unit(Embeddings.read(shop / f"runs/a/embeddings/plain/{fold}").train.vectors[held])
        labels = table.targets()[held]
        for row, vector in enumerate(vectors):
            others = [one for one in np.argsort(-(vectors @ vector), kind="stable") if one != row][:3]
            hits = labels[others] == labels[row]
            wanted = int((labels == labels[row]).sum()) - 1
            if wanted:
                precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
                scores.append((precision * hits).sum() / min(wanted, 3))
    assert result.score == pytest.approx(np.mean(scores), abs=0.02)


def test_index_images_answer_with_pca_and_whitening(landmarks: Path) -> None:
    with pytest.raises(InvalidError, match=r"D48 a@plain has no embeddings of index.csv") as error:
        retrieve_images(landmarks, ["a"], ImageQuestion("ranking", "index.csv", 1, 3))
    assert "--index index.csv" in error.value.hint
    embed_index(landmarks, ["runs/a"], "index.csv", "index/{id}")
    question = ImageQuestion("ranking", "index.csv", 1, 3, reduction=Reduction(3, whiten=True))
    result = retrieve_images(landmarks, ["a"], question)
    assert result.path is not None
    assert result.metric == "mean_average_precision_at_3"
    assert check_submission(Workspace.open(landmarks), result.path).faults == ()
    cells = pd.read_csv(result.path)["images"].str.split()
    assert cells.map(len).tolist() == [3] * len(SEEN)
    assert {name for cell in cells for name in cell} <= {f"i{group}{photo}" for group, photo in SEEN}


def test_a_row_for_each_image_of_an_index_has_its_cosine_as_a_score(whales: Path) -> None:
    space = Workspace.open(whales)
    assert space.competition.format == {"name": "image_rows", "images": "other"}
    embed_index(whales, ["runs/a"], "database.csv", "database/{id}")
    result = retrieve_images(whales, ["a"], ImageQuestion("ranking", "database.csv", 1, 5))
    assert result.path is not None
    assert result.metric == "mean_average_precision_at_5"
    assert check_submission(space, result.path).faults == ()
    written = pd.read_csv(result.path)
    assert list(written.columns) == ["query_id", "database_image_id", "score"]
    folders = [whales / f"runs/a/embeddings/{views}" for views in ("plain", "plain-index")]
    parts = [[Embeddings.read(folder / str(fold)).test for folder in folders] for fold in (0, 1)]
    cosines = np.mean([unit(one.vectors) @ unit(other.vectors).T for one, other in parts], axis=0)
    ids, names = parts[0][0].ids.tolist(), parts[0][1].ids
    for name, rows in written.groupby("query_id", sort=False):
        row = cosines[ids.index(name)]
        assert len(rows) == 5
        assert rows["score"].is_monotonic_decreasing
        at = [names.tolist().index(image) for image in rows["database_image_id"]]
        np.testing.assert_allclose(rows["score"], (1 + row[at]) / 2, atol=2e-3)
        np.testing.assert_allclose(row[at], np.sort(row)[::-1][:5], atol=2e-3)
    print("Where's Whale-do?: kit init, kit retrieve RUN --index database.csv --at-most 5; valid")


def test_wrong_rows_of_ranked_images_are_named(whales: Path, tmp_path: Path) -> None:
    first = (whales / "submission_format.csv").read_text().splitlines()
    file = tmp_path / "wrong.csv"
    file.write_text("\n".join([*first[:2], first[1], first[4].replace("0.5", "1.5"), *first[5:]]) + "\n")
    faults = check_submission(Workspace.open(whales), file).faults
    fault_lines = [(one.code, one.line, one.detail.split(",")[0]) for one in faults]
    assert fault_lines == [("D44", 3, "'i00' is there twice"), ("D44", 4, "column 'score' holds '1.5'")]
    file.write_text("\n".join([first[0], *first[4:]]) + "\n")
    (missing,) = check_submission(Workspace.open(whales), file).faults
    assert (missing.code, missing.id, missing.detail) == ("D41", "t00", "is missing")


def test_options_that_do_not_go_together_are_refused() -> None:
    assert open_question(None, None, None) is None
    assert open_question("test", None, None) == ImageQuestion("set")
    for given, text in (
        ((None, None, "set"), "need --within test or --index FILE"),
        (("test", "index.csv", None), "either --within or --index"),
        (("test", None, None, 3, 2), "--at-least 3 is more than --at-most 2"),
        (("test", None, "ranking", 1, 9, 0.5), "--threshold is for sets"),
        (("test", None, None, 1, 9, None, None, True), "--whiten needs --pca N"),
    ):
        with pytest.raises(ConfigError, match=text):
            open_question(*given)
