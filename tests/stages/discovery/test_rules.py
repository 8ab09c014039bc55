"""kit init decides by stated rules, whatever the hash seed and the order in which a system lists files."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.stages.discovery.discover import discover
from tests.drawn_competitions import COMPETITIONS, planet
from tests.drawn_tables import csv, ids, make, usual

FINDER = """
import json, sys
from pathlib import Path
from kit.stages.discovery.discover import discover
folders = {folder.name: discover(folder) for folder in sorted(Path(sys.argv[1]).iterdir())}
print(json.dumps({name: [found.data, found.findings] for name, found in folders.items()}))
"""
TIED = (
    "Planet",
    "Happywhale",
    "ISIC 2019",
    "iWildCam",
    "State Farm Distracted Driver",
    "iMet 2020",
    "Mayo Clinic STRIP AI",
)


def test_the_hash_seed_changes_nothing(tmp_path: Path) -> None:
    for name in TIED:
        make(tmp_path / name, COMPETITIONS[name].files, COMPETITIONS[name].images)
    seeds = [
        subprocess.Popen(
            [sys.executable, "-c", FINDER, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    said = {process.communicate(timeout=120)[0] for process in seeds}
    assert len(said) == 1
    findings = json.loads(said.pop())
    assert all(findings[name][0]["images"] for name in TIED)


@pytest.mark.parametrize("name", TIED)
def test_the_order_in_which_the_system_lists_files_changes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, COMPETITIONS[name].files, COMPETITIONS[name].images)
    expected = discover(tmp_path)
    walk = os.walk

    def shuffled(
        top: str,
        topdown: bool = True,
        onerror: Callable[[OSError], object] | None = None,
        followlinks: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        for path, inner, names in walk(top, topdown, onerror, followlinks):
            random.Random(3).shuffle(inner)
            random.Random(4).shuffle(names)
            yield path, inner, names

    monkeypatch.setattr(os, "walk", shuffled)
    assert discover(tmp_path) == expected


def test_of_folders_with_the_same_names_the_first_ending_of_the_config_is_taken_and_the_others_named(
    tmp_path: Path,
) -> None:
    competition = planet()
    make(tmp_path, competition.files, competition.images)
    discovery = discover(tmp_path)
    assert (discovery.data["images"], discovery.data["test_images"]) == ("train-jpg/{id}", "test-jpg/{id}")
    assert any("the same names are in train-tif-v2/{id}" in line for line in discovery.findings)
    only_tif = [name for name in competition.images if not name.startswith("train-jpg")]
    make(tmp_path / "tif", competition.files, only_tif)
    discovery = discover(tmp_path / "tif")
    assert (discovery.data["images"], discovery.data["test_images"]) == (
        "train-tif-v2/{id}",
        "test-tif-v2/{id}",
    )


def test_the_column_that_the_sample_asks_for_is_the_label(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{('cat', 'dog')[n % 2]},{n % 4}" for n, name in enumerate(ids("a", 30))]
    sample = csv("image_id,shape", *(f"{name},0" for name in ids("t", 12)))
    make(tmp_path, {"train.csv": csv("image_id,label,shape", *rows), "sample_submission.csv": sample})
    assert discover(tmp_path).data["label"] == "shape"


def test_a_file_called_ground_truth_holds_the_labels(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "train.csv").rename(tmp_path / "Challenge_GroundTruth.csv")
    rows = [f"{name},{n % 5},{n % 3}" for n, name in enumerate(ids("a", 30))]
    make(tmp_path, {"train_metadata.csv": csv("image_id,type,class", *rows)})
    (tmp_path / "sample_submission.csv").unlink()
    make(tmp_path, {"test_GroundTruth.csv": csv("image_id,label", *(f"{name},cat" for name in ids("t", 12)))})
    discovery = discover(tmp_path)
    assert (discovery.data["train"], discovery.data["label"]) == ("Challenge_GroundTruth.csv", "label")


def test_a_list_of_classes_has_exactly_the_labels(tmp_path: Path) -> None:
    usual(tmp_path)
    make(tmp_path, {"animals.csv": csv("name,legs", "ant,6", "cat,4", "dog,4", "eel,0")})
    assert "class_list" not in discover(tmp_path).data
    make(tmp_path, {"classes.csv": csv("class,legs", "ant,6", "cat,4", "dog,4", "eel,0")})
    discovery = discover(tmp_path)
    assert "class_list" not in discovery.data
    assert any("classes.csv lists 1 classes that no training row has" in line for line in discovery.findings)
    make(tmp_path, {"legs.csv": csv("class,legs", "eel,0", "cat,4", "dog,4")})
    assert discover(tmp_path).data["class_list"] == "legs.csv"


@pytest.mark.parametrize("column", ["location", "patient_id", "experiment", "seq_id", "LesionID", "study"])
def test_columns_with_these_names_are_groups(column: str, tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{('cat', 'dog', 'eel')[n % 3]},g{n // 3}" for n, name in enumerate(ids("a", 30))]
    make(tmp_path, {"train.csv": csv(f"image_id,label,{column}", *rows)})
    assert discover(tmp_path).data["group"] == column


@pytest.mark.parametrize("column", ["location", "patient_id", "experiment", "seq_id"])
def test_a_group_that_is_a_folder_of_the_path_is_one_too(column: str, tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [(name, ("cat", "dog", "eel")[n % 3], f"g{n // 3}") for n, name in enumerate(ids("b", 30))]
    make(
        tmp_path,
        {"train.csv": csv(f"image_id,label,{column}", *(",".join(row) for row in rows))},
        [f"photos/{group}/{name}.jpg" for name, _, group in rows],
    )
    data = discover(tmp_path).data
    assert (data["group"], data["images"]) == (column, f"photos/{{{column}}}/{{id}}")


@pytest.mark.parametrize("word", ["location", "patient", "experiment", "seq"])
def test_a_path_with_a_folder_for_each_group_names_the_group(word: str, tmp_path: Path) -> None:
    usual(tmp_path)
    paths = [f"photos/{word}_{n // 3:02}/{n}.jpg" for n in range(30)]
    rows = [f"{path},{('cat', 'dog', 'eel')[n % 3]}" for n, path in enumerate(paths)]
    make(tmp_path, {"train.csv": csv("path,label", *rows)}, paths)
    discovery = discover(tmp_path)
    assert discovery.data["group"] == "{folder}"
    assert any(line.startswith("group: '{folder}', 10 folders") for line in discovery.findings)


def test_the_larger_of_two_groups_is_taken_if_it_contains_the_other(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{('cat', 'dog')[n % 2]},s{n // 2},p{n // 6}" for n, name in enumerate(ids("a", 36))]
    images = [f"images/train/{name}.jpg" for name in ids("a", 36)]
    make(tmp_path, {"train.csv": csv("image_id,label,seq_id,location", *rows)}, images)
    assert discover(tmp_path).data["group"] == "location"


def test_answers_for_groups_of_rows_are_named(tmp_path: Path) -> None:
    competition = COMPETITIONS["Mayo Clinic STRIP AI"]
    make(tmp_path, competition.files, competition.images)
    discovery = discover(tmp_path)
    assert discovery.data["answer"] == "patient_id"
    assert (
        "answer: 'patient_id', the 4 ids of sample_submission.csv are its values in test.csv; its images share one "
        "prediction"
    ) in discovery.findings


def test_labels_in_a_table_without_images_are_joined(tmp_path: Path) -> None:
    photos, shops = ids("a", 30), [f"b{n // 3}" for n in range(30)]
    tests = ids("t", 12)
    files = {
        "train.csv": csv("shop_id,labels", *(f"b{n},{n % 3}" for n in range(10))),
        "train_photos.csv": csv(
            "photo_id,shop_id", *(",".join(row) for row in zip(photos, shops, strict=True))
        ),
        "test_photos.csv": csv("photo_id,shop_id", *(f"{name},c{n // 3}" for n, name in enumerate(tests))),
        "sample_submission.csv": csv("shop_id,labels", *(f"c{n},1 2" for n in range(4))),
    }
    make(tmp_path, files, [f"photos/{name}.jpg" for name in (*photos, *tests)])
    discovery = discover(tmp_path)
    findings = "\n".join(discovery.findings)
    assert discovery.data["join"] == [{"table": "train.csv", "on": "shop_id"}]
    assert (discovery.data["train"], discovery.data["label"]) == ("train_photos.csv", "labels")
    assert (
        "answer: 'shop_id', the 4 ids of sample_submission.csv are its values in test_photos.csv" in findings
    )
    assert "joined: train.csv by 'shop_id', because it has the sample's labels" in findings


def test_a_column_called_label_goes_before_one_whose_name_contains_it(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{n % 3},{('cat', 'dog', 'eel')[n % 3]}" for n, name in enumerate(ids("a", 30))]
    make(tmp_path, {"train.csv": csv("image_id,label_id,label", *rows)})
    (tmp_path / "sample_submission.csv").unlink()
    assert discover(tmp_path).data["label"] == "label"


@pytest.mark.parametrize("given", ["images_big/train", "images_small/train"])
def test_images_to_predict_are_taken_from_the_folder_beside_the_training_images(
    given: str, tmp_path: Path
) -> None:
    usual(tmp_path)
    images = [
        f"{folder}/{split}/{name}.jpg"
        for folder in ("images_big", "images_small")
        for split, prefix, count in (("train", "a", 30), ("test", "t", 12))
        for name in ids(prefix, count)
    ]
    shutil.rmtree(tmp_path / "images")
    make(tmp_path, {}, images)
    data = discover(tmp_path, {"images": f"{given}/{{id}}"}).data
    assert data["test_images"] == f"{given.replace('train', 'test')}/{{id}}"
