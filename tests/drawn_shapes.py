"""Stand-ins of competitions whose tables have other shapes: JSON, joined and split tables, labels in file names."""

from __future__ import annotations

import json
from typing import Any

from tests.drawn_competitions import (
    AUC,
    LOG_LOSS,
    MACRO_F1,
    ROWS,
    SAMPLES_F1,
    TESTS,
    StandIn,
    below,
    cycle,
    hashes,
    hot,
    names,
    sample,
    table,
)
from tests.drawn_tables import csv

ANIMALS = ((0, "empty", "none"), (3, "red fox", "mammal"), (5, "jay", "bird"), (9, "boar", "mammal"))


def coco(images: list[dict[str, Any]], labels: list[list[int]] | None = None, **keys: str) -> str:
    """COCO JSON of images with these categories each; without labels only the images."""
    content: dict[str, Any] = {"info": {"year": 2020}, "images": images}
    if labels is not None:
        pairs = [
            (image["id"], label) for image, several in zip(images, labels, strict=True) for label in several
        ]
        content["annotations"] = [
            {"id": number, "image_id": image, "category_id": label}
            for number, (image, label) in enumerate(pairs)
        ]
        content["categories"] = [
            {"id": number, keys.get("name", "name"): name, "supercategory": above}
            for number, name, above in ANIMALS
        ]
    return json.dumps(content)


def inaturalist() -> StandIn:
    """Ids are numbers and file names are paths; the validation images have a JSON of their own."""

    def images(split: str, first: int, count: int) -> list[dict[str, Any]]:
        return [
            {
                "id": first + n,
                "file_name": f"{split}/{'Birds' if n % 2 else 'Plants'}/{name}.jpg",
                "width": 800,
            }
            for n, name in enumerate(hashes(split, count))
        ]

    train, val, test = images("train_val2019", 0, ROWS), images("train_val2019", 100, TESTS), []
    for each, name in zip(val, hashes("v", TESTS), strict=True):
        each["file_name"] = f"train_val2019/Birds/{name}.jpg"
    test = images("test2019", 500, TESTS)
    labels = [[ANIMALS[n % 4][0]] for n in range(ROWS)]
    files = {
        "train2019.json": coco(train, labels),
        "val2019.json": coco(val, labels[:TESTS]),
        "test2019.json": coco(test),
        "kaggle_sample_submission.csv": sample("id,predicted", [str(each["id"]) for each in test], "0"),
    }
    data = {
        "train": ["train2019.json", "val2019.json"],
        "test": "test2019.json",
        "id": "id",
        "label": "category_id",
        "images": "{file_name}",
        "class_list": "train2019.json#categories",
        "superclasses": "supercategory",
    }
    return StandIn(files, [each["file_name"] for each in train + val + test], data, MACRO_F1, "label")


def iwildcam_json() -> StandIn:
    train, tests = hashes("a", ROWS), hashes("t", TESTS)

    def images(ids: list[str], places: int) -> list[dict[str, Any]]:
        return [
            {
                "id": name,
                "file_name": f"{name}.jpg",
                "location": places + n // 4,
                "seq_id": f"s{n // 2}",
                "datetime": n,
            }
            for n, name in enumerate(ids)
        ]

    files = {
        "iwildcam2020_train_annotations.json": coco(
            images(train, 0), [[ANIMALS[n % 4][0]] for n in range(ROWS)]
        ),
        "iwildcam2020_test_information.json": coco(images(tests, 50)),
        "sample_submission.csv": sample("Id,Category", tests, "0"),
    }
    pictures = below("train", train, ".jpg") + below("test", tests, ".jpg")
    data = {"label": "category_id", "group": "location", "images": "train/{id}", "test_images": "test/{id}"}
    return StandIn(files, pictures, data, MACRO_F1, "label")


def herbarium() -> StandIn:
    """The keys are image_id and scientificName, and the test JSON is a list."""
    train = [
        {"image_id": f"000{n:02}__001", "file_name": f"000/{n % 3:02}/000{n:02}__001.jpg"}
        for n in range(ROWS)
    ]
    tests = [{"image_id": str(n), "file_name": f"000/{n:06}.jpg", "license": 0} for n in range(TESTS)]
    content = {
        "annotations": [
            {"genus_id": n % 2, "institution_id": 7, "category_id": n % 3, "image_id": each["image_id"]}
            for n, each in enumerate(train)
        ],
        "images": train,
        "categories": [
            {"category_id": n, "scientificName": f"{genus} {n}", "family": "Pinaceae", "genus": genus}
            for n, genus in enumerate(("Abies", "Abies", "Picea"))
        ],
        "genera": [{"genus_id": 1, "genus": "Abies"}],
    }
    files = {
        "train_metadata.json": json.dumps(content),
        "test_metadata.json": json.dumps(tests),
        "sample_submission.csv": sample("Id,Predicted", [str(n) for n in range(TESTS)], "2"),
    }
    images = [f"train_images/{each['file_name']}" for each in train]
    images += [f"test_images/{each['file_name']}" for each in tests]
    data = {
        "train": "train_metadata.json",
        "test": "test_metadata.json",
        "id": "image_id",
        "label": "category_id",
        "images": "train_images/{file_name}",
        "test_images": "test_images/{file_name}",
        "parents": ["genus"],  # all families are one
    }
    return StandIn(files, images, data, MACRO_F1, "label")


def coco_multi_label() -> StandIn:
    train, tests = names("a", ROWS), names("t", TESTS)
    images = [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate(train)]
    labels = [[(3,), (3, 5), (5, 9), (9,), (3, 5, 9), (5,)][n % 6] for n in range(ROWS)]
    files = {
        "annotations.json": coco(images, [list(each) for each in labels]),
        "sample_submission.csv": sample("file_name,labels", [f"{name}.png" for name in tests], "3 5"),
    }
    pictures = below("train", train, ".png") + below("test", tests, ".png")
    data = {"train": "annotations.json", "label": "category_id", "label_separator": " "}
    return StandIn(files, pictures, data, SAMPLES_F1, "labels")


def dogs_vs_cats() -> StandIn:
    images = [f"train/{kind}.{n // 2}.jpg" for n, kind in enumerate(cycle(("cat", "dog")))]
    images += below("test", names("", TESTS), ".jpg")
    files = {"sample_submission.csv": sample("id,label", names("", TESTS), "0.5")}
    data = {"train": "train", "label": "label", "test_images": "test/{id}"}
    return StandIn(files, images, data, AUC, "binary_probability")


def pets_by_regex() -> StandIn:
    """Names that show no label by themselves, with the regular expression that is given."""
    images = [
        f"images/x{n:03}-{kind}-A{n % 7}b.jpg" for n, kind in enumerate(cycle(("beagle", "pug", "boxer")))
    ]
    regex = "-(beagle|pug|boxer)-"
    data = {"train": "images", "label": "label", "sample": None}
    return StandIn({}, images, data, MACRO_F1, None, {"label_from_name": regex})


def landmark() -> StandIn:
    train, tests = hashes("a", ROWS), hashes("t", TESTS)
    files = {
        "train.csv": table("id,landmark_id", train, cycle(("7", "84", "203"))),
        "sample_submission.csv": sample("id,landmarks", tests, "7 0.1"),
    }
    images = [
        f"{split}/{n[0]}/{n[1]}/{n[2]}/{n}.jpg"
        for split, ids in (("train", train), ("test", tests))
        for n in ids
    ]
    data = {
        "label": "landmark_id",
        "images": "train/{id[0]}/{id[1]}/{id[2]}/{id}",
        "test_images": "test/{id[0]}/{id[1]}/{id[2]}/{id}",
    }
    return StandIn(files, images, data, {}, "")


def joined_labels() -> StandIn:
    """Labels by patient in one table, images by patient in another."""
    patients = [f"p{n // 2:03}" for n in range(ROWS)]
    grades = [f"p{n:03},{'mild' if n % 3 else 'severe'}" for n in range(ROWS // 2)]
    train, tests = names("a", ROWS), names("t", TESTS)
    files = {
        "train_images.csv": table("image,patient_id,side", train, patients, cycle("LR")),
        "train_labels.csv": csv("patient_id,grade", *grades),
        "sample_submission.csv": sample("image,grade", tests, "mild"),
    }
    data = {
        "train": "train_images.csv",
        "label": "grade",
        "group": "patient_id",
        "join": [
            {
                "table": "train_labels.csv",
                "on": "patient_id",
                "key": None,
                "rows": "train",
                "on_missing": "stop",
            }
        ],
    }
    return StandIn(
        files, below("train", train, ".png") + below("test", tests, ".png"), data, MACRO_F1, "label"
    )


def chain_of_tables() -> StandIn:
    """Images by visit, visits by patient, and labels by patient, where the patient's column has another name."""
    visits = [f"v{n // 2:03}" for n in range(ROWS)]
    people = [f"v{n:03},p{n // 2:03}" for n in range(ROWS // 2)]
    grades = [f"p{n:03},{'mild' if n % 3 else 'severe'}" for n in range(ROWS // 4)]
    train, tests = names("a", ROWS), names("t", TESTS)
    files = {
        "train_images.csv": table("image,visit_id,side", train, visits, cycle("LR")),
        "visits.csv": csv("visit_id,patient_id", *people),
        "diagnoses.csv": csv("patient,grade", *grades),
        "sample_submission.csv": sample("image,grade", tests, "mild"),
    }
    data = {
        "train": "train_images.csv",
        "label": "grade",
        "group": "patient_id",
        "join": [
            {"table": "visits.csv", "on": "visit_id", "key": None, "rows": "train", "on_missing": "stop"},
            {
                "table": "diagnoses.csv",
                "on": "patient_id",
                "key": "patient",
                "rows": "train",
                "on_missing": "stop",
            },
        ],
    }
    return StandIn(
        files, below("train", train, ".png") + below("test", tests, ".png"), data, MACRO_F1, "label"
    )


def labels_and_features() -> StandIn:
    """The test table has the features' columns, and the labels are in another table."""
    sites = [f"s{n // 4}" for n in range(ROWS)]
    train, tests = names("a", ROWS), names("t", TESTS)
    files = {
        "train_features.csv": table("id,site_id,age", train, sites, cycle(("41", "52", "63"))),
        "train_labels.csv": table("id,label", train, cycle(("blast", "hispa", "normal"))),
        "test_features.csv": table("id,site_id,age", tests, ["z1"] * TESTS, cycle(("40", "50"), TESTS)),
        "sample_submission.csv": sample("id,label", tests, "blast"),
    }
    data = {"train": "train_labels.csv", "test": "test_features.csv", "group": "site_id", "label": "label"}
    return StandIn(
        files, below("train", train, ".png") + below("test", tests, ".png"), data, MACRO_F1, "label"
    )


def split_labels() -> StandIn:
    train, tests = names("a", ROWS), names("t", TESTS)
    half, kinds = ROWS // 2, cycle(("cat", "dog"))
    files = {
        "train_labels_1.csv": table("id,label", train[:half], kinds[:half]),
        "train_labels_2.csv": table("id,label", train[half:], kinds[half:]),
        "sample_submission.csv": sample("id,label", tests, "cat"),
    }
    data = {"train": ["train_labels_1.csv", "train_labels_2.csv"], "label": "label"}
    return StandIn(
        files, below("train", train, ".png") + below("test", tests, ".png"), data, MACRO_F1, "label"
    )


def two_versions() -> StandIn:
    train, tests = names("a", ROWS), names("t", TESTS)
    files = {
        "train_v1.csv": table("id,label", train, cycle(("cat", "cat", "dog"))),
        "train_v2.csv": table("id,label", train, cycle(("cat", "dog"))),
        "sample_submission_v1.csv": sample("id,label", tests[:4], "cat"),
        "sample_submission_v2.csv": sample("id,label", tests, "cat"),
    }
    data = {"train": "train_v2.csv", "sample": "sample_submission_v2.csv"}
    return StandIn(
        files, below("train", train, ".png") + below("test", tests, ".png"), data, MACRO_F1, "label"
    )


def unlike_tables() -> StandIn:
    train, tests = names("a", ROWS), names("t", TESTS)
    files = {
        "train.csv": table("id,label", train, cycle(("cat", "dog"))).replace(",", ";"),
        "sample_submission.csv": sample("id,label", tests, "cat"),
    }
    data = {"sep": ",", "tables": {"train.csv": {"sep": ";", "encoding": None}}}
    return StandIn(
        files, below("train", train, ".png") + below("test", tests, ".png"), data, MACRO_F1, "label"
    )


def folders_and_test_table() -> StandIn:
    """A folder per class, and a test table whose ids are not the names of the images."""
    tests = names("TEST_", TESTS)
    images = [f"train/{kind}/{n}.png" for n, kind in enumerate(cycle(("oak", "elm", "fir")))]
    images += [f"test/pic_{n}.png" for n in range(TESTS)]
    files = {
        "test.csv": table("id,img_path", tests, [f"./test/pic_{n}.png" for n in range(TESTS)]),
        "sample_submission.csv": sample("id,label", tests, "oak"),
    }
    data = {"train": "train", "test": "test.csv", "id": "id", "test_images": "{img_path}"}
    return StandIn(files, images, data, MACRO_F1, "label")


def one_hot_labels() -> StandIn:
    train, tests = names("Train_", ROWS), names("Test_", TESTS)
    classes = "healthy,multiple_diseases,rust,scab"
    files = {
        "train.csv": table(f"image_id,{classes}", train, *hot(ROWS, 4)),
        "test.csv": csv("image_id", *tests),
        "sample_submission.csv": sample(f"image_id,{classes}", tests, "0.25,0.25,0.25,0.25"),
    }
    data = {"label": "label", "label_separator": None}
    return StandIn(files, below("images", [*train, *tests], ".jpg"), data, LOG_LOSS, "probabilities")


SHAPES = {
    "iNaturalist 2019": inaturalist(),
    "iWildCam 2020": iwildcam_json(),
    "Herbarium 2022": herbarium(),
    "COCO, several labels": coco_multi_label(),
    "Dogs vs. Cats": dogs_vs_cats(),
    "names with a regex": pets_by_regex(),
    "Landmark Recognition 2020": landmark(),
    "labels by patient": joined_labels(),
    "labels by visit and patient": chain_of_tables(),
    "labels and features": labels_and_features(),
    "labels in two tables": split_labels(),
    "two versions": two_versions(),
    "unlike tables": unlike_tables(),
    "folders and a test table": folders_and_test_table(),
    "Plant Pathology 2020": one_hot_labels(),
}
