"""Stand-ins of competitions whose answers have a form of their own: long tables, labels with a confidence."""

from __future__ import annotations

from tests.drawn_competitions import (
    LOG_LOSS,
    ROWS,
    TESTS,
    StandIn,
    below,
    cycle,
    hashes,
    map_at,
    names,
    sample,
    table,
)
from tests.drawn_tables import csv

HEMORRHAGES = ("epidural", "intraparenchymal", "any")


def hemorrhage() -> StandIn:
    """RSNA Intracranial Hemorrhage: a row for each id and label, in the training table and in the sample."""
    train, tests = names("ID_a", ROWS), names("ID_t", TESTS)
    rows = [
        f"{name}_{label},{number // (place + 1) % 2}"
        for number, name in enumerate(train)
        for place, label in enumerate(HEMORRHAGES)
    ]
    files = {
        "stage_2_train.csv": csv("ID,Label", *rows),
        "stage_2_sample_submission.csv": csv(
            "ID,Label", *(f"{name}_{label},0.5" for name in tests for label in reversed(HEMORRHAGES))
        ),
    }
    images = below("stage_2_train", train, ".png") + below("stage_2_test", tests, ".png")
    long = {"classes": list(HEMORRHAGES), "value_column": "Label", "separator": "_", "class_column": None}
    data = {"id": "ID", "label": None, "long": long, "test_images": "stage_2_test/{id}"}
    return StandIn(files, images, data, LOG_LOSS, "long")


def wide_and_long() -> StandIn:
    """A column for each label in the training table, a row for each id and label in the sample."""
    train, tests = names("a", ROWS), names("t", TESTS)
    columns = [cycle("1000"), cycle("0100"), cycle("1100")]
    files = {
        "train.csv": table(f"image,{','.join(HEMORRHAGES)}", train, *columns),
        "sample_submission.csv": csv(
            "row_id,p", *(f"{name}-{label},0" for label in HEMORRHAGES for name in tests)
        ),
    }
    images = below("train", train, ".png") + below("test", tests, ".png")
    data = {"id": "image", "label": None, "test_images": "test/{id}"}
    return StandIn(files, images, data, LOG_LOSS, "long")


def three_columns() -> StandIn:
    """Id, class and value in a column each."""
    train, tests = names("a", ROWS), names("t", TESTS)
    rows = [f"{name},{label},{n % 2}" for n, name in enumerate(train) for label in HEMORRHAGES]
    files = {
        "train.csv": csv("image_id,finding,present", *rows),
        "sample_submission.csv": csv(
            "image_id,finding,present", *(f"{name},{label},0.5" for name in tests for label in HEMORRHAGES)
        ),
    }
    images = below("train", train, ".png") + below("test", tests, ".png")
    long = {
        "classes": list(HEMORRHAGES),
        "value_column": "present",
        "separator": "_",
        "class_column": "finding",
    }
    return StandIn(files, images, {"id": "image_id", "label": None, "long": long}, LOG_LOSS, "long")


def landmarks() -> StandIn:
    """Google Landmark Recognition: a label and its confidence in one cell, images in folders by the id's characters."""
    train, tests = hashes("train", ROWS), hashes("test", TESTS)
    rows = table("id,landmark_id", train, cycle(("137195", "8815", "20409")))
    cells = [f"{name},137195 0.9" for name in tests[:-1]] + [f"{tests[-1]},"]
    files = {"train.csv": rows, "sample_submission.csv": csv("id,landmarks", *cells)}
    images = [
        f"{folder}/{'/'.join(name[:3])}/{name}.jpg"
        for folder, ids in (("train", train), ("test", tests))
        for name in ids
    ]
    data = {"id": "id", "label": "landmark_id", "test_images": "test/{id[0]}/{id[1]}/{id[2]}/{id}"}
    return StandIn(files, images, data, {"name": "gap"}, "label_confidence")


def new_whales() -> StandIn:
    """Humpback Whale Identification if no training row were new: the sample ranks a class that has no row."""
    train, tests = names("a", ROWS, ".png"), names("t", TESTS, ".png")
    files = {
        "train.csv": table("Image,Id", train, cycle(("w_1", "w_2", "w_3"))),
        "sample_submission.csv": sample("Image,Id", tests, "new_whale w_1 w_2"),
    }
    images = below("train", train) + below("test", tests)
    return StandIn(files, images, {"label": "Id", "unknown_class": "new_whale"}, map_at(3), "top_k")


ANSWERS = {
    "Humpback Whale, new_whale in the sample alone": new_whales(),
    "Google Landmark Recognition": landmarks(),
    "RSNA Intracranial Hemorrhage": hemorrhage(),
    "columns for classes, and a long sample": wide_and_long(),
    "id, class and value": three_columns(),
}
