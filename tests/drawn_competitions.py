"""Stand-ins of real competitions: the same tables, columns and folders with a few made-up rows and empty images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.drawn_tables import csv

ROWS, TESTS = 24, 8


@dataclass(frozen=True)
class StandIn:
    """Files and images of a competition, and what kit init should find: keys of `data`, metric and format."""

    files: dict[str, str]
    images: list[str]
    data: dict[str, Any]
    metric: dict[str, Any]
    format: str | None  # None: there are no rows to predict, or the sample is of no format
    given: dict[str, str] = field(default_factory=dict)


LOG_LOSS, AUC, MACRO_F1, SAMPLES_F1 = (
    {"name": name} for name in ("log_loss", "auc", "macro_f1", "samples_f1")
)


def map_at(k: int) -> dict[str, Any]:
    return {"name": "map_at_k", "k": k}


def names(prefix: str, count: int, ending: str = "") -> list[str]:
    return [f"{prefix}{number}{ending}" for number in range(count)]


def hashes(prefix: str, count: int) -> list[str]:
    return [hashlib.sha256(name.encode()).hexdigest()[:12] for name in names(prefix, count)]


def cycle(values: Sequence[str], count: int = ROWS) -> list[str]:
    return [values[number % len(values)] for number in range(count)]


def table(header: str, *columns: Sequence[str]) -> str:
    return csv(header, *(",".join(row) for row in zip(*columns, strict=True)))


def sample(header: str, tests: Sequence[str], cells: str) -> str:
    return csv(header, *(f"{name},{cells}" for name in tests))


def below(folder: str, files: Iterable[str], ending: str = "") -> list[str]:
    return [f"{folder}/{name}{ending}" for name in files]


def hot(count: int, classes: int, one: str = "1", zero: str = "0") -> list[list[str]]:
    """Columns of zeros with one 1 a row."""
    return [[one if row % classes == number else zero for row in range(count)] for number in range(classes)]


def plankton() -> StandIn:
    classes, tests = ("acantharia", "copepod", "fish_larvae"), names("t", TESTS, ".jpg")
    images = [f"train/{kind}/{n}.jpg" for n, kind in enumerate(cycle(classes))] + below("test", tests)
    files = {"sampleSubmission.csv": sample(f"image,{','.join(classes)}", tests, "0.33,0.33,0.34")}
    return StandIn(files, images, {"train": "train", "test_images": "test/{id}"}, LOG_LOSS, "probabilities")


def diabetic_retinopathy() -> StandIn:
    train, tests = (
        [f"{n // 2}_{('left', 'right')[n % 2]}" for n in range(s, s + c)]
        for s, c in ((20, ROWS), (90, TESTS))
    )
    train, tests = list(train), list(tests)
    files = {
        "trainLabels.csv": table("image,level", train, cycle("00120304")),
        "sampleSubmission.csv": sample("image,level", tests, "0"),
    }
    images = below("train", train, ".jpeg") + below("test", tests, ".jpeg")
    return StandIn(files, images, {"id": "image", "label": "level", "group": None}, MACRO_F1, "label")


def state_farm() -> StandIn:
    train, tests = names("img_", ROWS, ".jpg"), names("img_9", TESTS, ".jpg")
    kinds, drivers = cycle(("c0", "c1", "c2")), [f"p{n // 4:03}" for n in range(ROWS)]
    files = {
        "driver_imgs_list.csv": table("subject,classname,img", drivers, kinds, train),
        "sample_submission.csv": sample("img,c0,c1,c2", tests, "0.3,0.3,0.4"),
    }
    images = [f"imgs/train/{kind}/{name}" for kind, name in zip(kinds, train, strict=True)]
    images += below("imgs/test", tests)
    data = {"id": "img", "label": "classname", "group": "subject", "images": "imgs/train/{classname}/{id}"}
    return StandIn(files, images, data, LOG_LOSS, "probabilities")


def leaf() -> StandIn:
    species = ("Acer_Opalus", "Quercus_Rubra", "Tilia_Oliveri")
    train, tests = names("1", ROWS), names("2", TESTS)
    margins = [f"0.{n:04d}" for n in range(1, ROWS + 1)]
    files = {
        "train.csv": table("id,species,margin1,margin2", train, cycle(species), margins, margins[::-1]),
        "test.csv": table("id,margin1,margin2", tests, margins[:TESTS], margins[-TESTS:]),
        "sample_submission.csv": sample(f"id,{','.join(species)}", tests, "0.3,0.3,0.4"),
    }
    images = below("images", [*train, *tests], ".jpg")
    data = {"id": "id", "label": "species", "group": None, "test": "test.csv"}
    return StandIn(files, images, data, LOG_LOSS, "probabilities")


PLANET_TAGS = (
    "haze primary", "agriculture clear primary water", "clear primary", "cloudy", "clear habitation primary road",
    "agriculture clear habitation primary road", "clear cultivation primary", "haze primary water",
    "agriculture partly_cloudy primary", "partly_cloudy primary", "agriculture clear cultivation primary road",
    "partly_cloudy primary water", "clear primary water", "agriculture cultivation haze primary",
)  # fmt: skip


def planet() -> StandIn:
    train, tests = names("train_", ROWS), names("test_", TESTS)
    files = {
        "train_v2.csv": table("image_name,tags", train, cycle(PLANET_TAGS)),
        "sample_submission_v2.csv": sample("image_name,tags", tests, "primary clear agriculture road water"),
    }
    images = below("train-jpg", train, ".jpg") + below("train-tif-v2", train, ".tif")
    images += below("test-jpg", tests, ".jpg") + below("test-tif-v2", tests, ".tif")
    data = {
        "label": "tags",
        "label_separator": " ",
        "images": "train-jpg/{id}",
        "test_images": "test-jpg/{id}",
    }
    return StandIn(files, images, data, SAMPLES_F1, "labels")


def binary(
    label: str, cell: str, folders: tuple[str, str], ending: str, train_table: str = "train.csv"
) -> StandIn:
    train, tests = hashes("a", ROWS), hashes("t", TESTS)
    files = {
        train_table: table(f"id,{label}", train, cycle("01")),
        "sample_submission.csv": sample(f"id,{label}", tests, cell),
    }
    images = below(folders[0], train, ending) + below(folders[1], tests, ending)
    return StandIn(files, images, {"id": "id", "label": label, "group": None}, AUC, "binary_probability")


def camera() -> StandIn:
    models, tests = ("HTC-1-M7", "LG-Nexus-5x", "iPhone-6"), names("img_", TESTS, "_manip.tif")
    images = [f"train/{model}/({model}){n}.jpg" for n, model in enumerate(cycle(models))] + below(
        "test", tests
    )
    files = {"sample_submission.csv": sample("fname,camera", tests, "HTC-1-M7")}
    return StandIn(files, images, {"train": "train", "test_images": "test/{id}"}, MACRO_F1, "label")


def dog_breeds() -> StandIn:
    breeds, train, tests = ("affenpinscher", "beagle", "saluki"), hashes("a", ROWS), hashes("t", TESTS)
    files = {
        "labels.csv": table("id,breed", train, cycle(breeds)),
        "sample_submission.csv": sample(f"id,{','.join(breeds)}", tests, "0.3,0.3,0.4"),
    }
    images = below("train", train, ".jpg") + below("test", tests, ".jpg")
    return StandIn(files, images, {"id": "id", "label": "breed"}, LOG_LOSS, "probabilities")


def plant_seedlings() -> StandIn:
    species, tests = ("Black-grass", "Common Chickweed", "Sugar beet"), hashes("t", TESTS)
    tests = [f"{name}.png" for name in tests]
    images = [f"train/{kind}/{n}.png" for n, kind in enumerate(cycle(species))] + below("test", tests)
    files = {"sample_submission.csv": sample("file,species", tests, "Sugar beet")}
    return StandIn(files, images, {"train": "train", "test_images": "test/{id}"}, MACRO_F1, "label")


def protein_atlas() -> StandIn:
    cells = (
        "16 0",
        "7 1 2 0",
        "5",
        "1",
        "18",
        "0",
        "25 2",
        "1 5",
        "0 25",
        "7 18",
        "16 7",
        "2",
        "5 0 16",
        "18 2",
    )
    train, tests = hashes("a", ROWS), hashes("t", TESTS)
    files = {
        "train.csv": table("Id,Target", train, cycle(cells)),
        "sample_submission.csv": sample("Id,Predicted", tests, "0"),
    }
    images = below("train", train, "_green.png") + below("test", tests, "_green.png")
    given = {"images": "train/{Id}_green.png", "test_images": "test/{Id}_green.png"}
    return StandIn(
        files, images, {"id": "Id", "label": "Target", "label_separator": " "}, SAMPLES_F1, "labels", given
    )


def humpback() -> StandIn:
    whales, tests = (
        ("w_1287fbc", "w_98baff9", "w_7554f44", "w_1eafe46", "new_whale", "w_fd1cb9d"),
        hashes("t", TESTS),
    )
    train = [f"{name}.jpg" for name in hashes("a", ROWS)]
    tests = [f"{name}.jpg" for name in tests]
    files = {
        "train.csv": table("Image,Id", train, cycle(whales)),
        "sample_submission.csv": sample(
            "Image,Id", tests, "new_whale w_1287fbc w_98baff9 w_7554f44 w_1eafe46"
        ),
    }
    images = below("train", train) + below("test", tests)
    return StandIn(files, images, {"id": "Image", "label": "Id", "label_separator": None}, map_at(5), "top_k")


def imet() -> StandIn:
    cells = ("147 616 813", "616", "13 147", "813 13", "147", "13 616", "51 813", "13 51 147", "51")
    train, tests = hashes("a", ROWS), hashes("t", TESTS)
    files = {
        "train.csv": table("id,attribute_ids", train, cycle(cells)),
        "labels.csv": csv(
            "attribute_id,attribute_name",
            "13,culture::x",
            "51,culture::y",
            "147,culture::z",
            "616,tag::a",
            "813,tag::b",
        ),
        "sample_submission.csv": sample("id,attribute_ids", tests, "13 51"),
    }
    images = below("train", train, ".png") + below("test", tests, ".png")
    data = {"label": "attribute_ids", "label_separator": " ", "class_list": "labels.csv"}
    return StandIn(files, images, data, SAMPLES_F1, "labels")


def aptos() -> StandIn:
    train, tests = hashes("a", ROWS), hashes("t", TESTS)
    files = {
        "train.csv": table("id_code,diagnosis", train, cycle("00213042")),
        "test.csv": csv("id_code", *tests),
        "sample_submission.csv": sample("id_code,diagnosis", tests, "0"),
    }
    images = below("train_images", train, ".png") + below("test_images", tests, ".png")
    return StandIn(files, images, {"id": "id_code", "label": "diagnosis"}, MACRO_F1, "label")


def plant_pathology_2020() -> StandIn:
    train, tests, classes = (
        names("Train_", ROWS),
        names("Test_", TESTS),
        "healthy,multiple_diseases,rust,scab",
    )
    files = {
        "train.csv": table(f"image_id,{classes}", train, *hot(ROWS, 4)),
        "test.csv": csv("image_id", *tests),
        "sample_submission.csv": sample(f"image_id,{classes}", tests, "0.25,0.25,0.25,0.25"),
    }
    data = {"id": "image_id", "label": "label"}
    return StandIn(files, below("images", [*train, *tests], ".jpg"), data, LOG_LOSS, "probabilities")


def plant_pathology_2021() -> StandIn:
    cells = (
        "healthy",
        "scab",
        "frog_eye_leaf_spot",
        "rust",
        "complex",
        "powdery_mildew",
        "scab frog_eye_leaf_spot",
        "scab frog_eye_leaf_spot complex",
        "frog_eye_leaf_spot complex",
        "rust frog_eye_leaf_spot",
        "rust complex",
        "powdery_mildew complex",
    )
    train, tests = (
        [f"{name}.jpg" for name in hashes(kind, count)] for kind, count in (("a", ROWS), ("t", TESTS))
    )
    train, tests = list(train), list(tests)
    files = {
        "train.csv": table("image,labels", train, cycle(cells)),
        "sample_submission.csv": sample("image,labels", tests, "healthy"),
    }
    images = below("train_images", train) + below("test_images", tests)
    return StandIn(
        files, images, {"id": "image", "label": "labels", "label_separator": " "}, SAMPLES_F1, "labels"
    )


def isic_2020() -> StandIn:
    train, tests = names("ISIC_00", ROWS), names("ISIC_99", TESTS)
    patients = [f"IP_{n // 3:04}" for n in range(ROWS)]
    sex, place = cycle(("male", "female")), cycle(("torso", "head/neck", "palms/soles"))
    target = cycle("00010000")
    kind = [("benign", "malignant")[int(cell)] for cell in target]
    diagnosis = ["melanoma" if cell == "1" else "unknown" for cell in target]
    more = "patient_id,sex,age_approx,anatom_site_general_challenge"
    files = {
        "train.csv": table(
            f"image_name,{more},diagnosis,benign_malignant,target",
            train,
            patients,
            sex,
            cycle(("45.0", "50.0", "60.0")),
            place,
            diagnosis,
            kind,
            target,
        ),
        "test.csv": table(
            f"image_name,{more}", tests, names("IP_9", TESTS), sex[:TESTS], ["45.0"] * TESTS, place[:TESTS]
        ),
        "sample_submission.csv": sample("image_name,target", tests, "0"),
    }
    images = below("jpeg/train", train, ".jpg") + below("jpeg/test", tests, ".jpg")
    data = {"id": "image_name", "label": "target", "group": "patient_id", "test": "test.csv"}
    return StandIn(files, images, data, AUC, "binary_probability")


def isic_2024() -> StandIn:
    train, tests = names("ISIC_00", ROWS), names("ISIC_99", TESTS)
    patients, age = [f"IP_{n // 3:04}" for n in range(ROWS)], cycle(("45.0", "50.0", "60.0"))
    files = {
        "train-metadata.csv": table(
            "isic_id,target,patient_id,age_approx,sex",
            train,
            cycle("00010000"),
            patients,
            age,
            cycle(("male", "female")),
        ),
        "test-metadata.csv": table(
            "isic_id,patient_id,age_approx,sex",
            tests,
            names("IP_9", TESTS),
            age[:TESTS],
            cycle(("male", "female"), TESTS),
        ),
        "sample_submission.csv": sample("isic_id,target", tests, "0.3"),
    }
    images = below("train-image/image", train, ".jpg") + below("test-image/image", tests, ".jpg")
    data = {"id": "isic_id", "label": "target", "group": "patient_id"}
    return StandIn(files, images, data, AUC, "binary_probability")


def isic_2019() -> StandIn:
    train, tests, classes = names("ISIC_00", ROWS), names("ISIC_99", TESTS), "MEL,NV,BCC,UNK"
    lesions = [f"BCN_{n // 2:05}" for n in range(ROWS)]
    site = cycle(("anterior torso", "upper extremity", "lower extremity"))
    files = {
        "ISIC_2019_Training_GroundTruth.csv": table(
            f"image,{classes}", train, *hot(ROWS, 3, "1.0", "0.0"), ["0.0"] * ROWS
        ),
        "ISIC_2019_Training_Metadata.csv": table(
            "image,age_approx,anatom_site_general,lesion_id,sex",
            train,
            cycle(("55.0", "30.0", "60.0")),
            site,
            lesions,
            cycle(("female", "male")),
        ),
        "ISIC_2019_Test_Metadata.csv": table(
            "image,age_approx,anatom_site_general,sex",
            tests,
            ["55.0"] * TESTS,
            site[:TESTS],
            cycle(("female", "male"), TESTS),
        ),
    }
    images = below("ISIC_2019_Training_Input", train, ".jpg") + below("ISIC_2019_Test_Input", tests, ".jpg")
    data = {
        "train": "ISIC_2019_Training_GroundTruth.csv",
        "test": "ISIC_2019_Test_Metadata.csv",
        "sample": None,
        "id": "image",
        "label": "label",
    }
    return StandIn(files, images, data, MACRO_F1, None)


def cassava() -> StandIn:
    train, tests = names("10000", ROWS, ".jpg"), names("22160", TESTS, ".jpg")
    files = {
        "train.csv": table("image_id,label", train, cycle("33104233")),
        "sample_submission.csv": sample("image_id,label", tests, "4"),
    }
    images = below("train_images", train) + below("test_images", tests)
    return StandIn(files, images, {"id": "image_id", "label": "label"}, MACRO_F1, "label")


def hotel_id() -> StandIn:
    hotels, chains = ("36363", "53586", "18807", "64314", "60181", "22408"), ("6", "87", "0")
    train, tests = (
        [f"{name}.jpg" for name in hashes(kind, count)] for kind, count in (("a", ROWS), ("t", TESTS))
    )
    train, tests, chain = list(train), list(tests), cycle(chains)
    files = {
        "train.csv": table(
            "image,chain,hotel_id,timestamp",
            train,
            chain,
            cycle(hotels),
            [f"2018-01-{n + 1:02} 10:02:00" for n in range(ROWS)],
        ),
        "sample_submission.csv": sample("image,hotel_id", tests, "36363 53586 18807 64314 60181"),
    }
    images = [f"train_images/{place}/{name}" for place, name in zip(chain, train, strict=True)]
    images += below("test_images", tests)
    data = {
        "id": "image",
        "label": "hotel_id",
        "label_separator": None,
        "images": "train_images/{chain}/{id}",
    }
    return StandIn(files, images, data, map_at(5), "top_k")


def happywhale() -> StandIn:
    whales = hashes("w", 7)
    train, tests = (
        [f"{name}.jpg" for name in hashes(kind, count)] for kind, count in (("a", ROWS), ("t", TESTS))
    )
    train, tests = list(train), list(tests)
    files = {
        "train.csv": table(
            "image,species,individual_id", train, cycle(("humpback_whale", "beluga")), cycle(whales)
        ),
        "sample_submission.csv": sample("image,predictions", tests, " ".join(whales[:5])),
    }
    images = below("train_images", train) + below("test_images", tests)
    data = {"id": "image", "label": "individual_id", "label_separator": None, "group": None}
    return StandIn(files, images, data, map_at(5), "top_k")


def ubc_ocean() -> StandIn:
    train, tests = names("4", ROWS), names("41", TESTS)
    wide = [f"{20000 + 7 * n}" for n in range(ROWS)]
    files = {
        "train.csv": table(
            "image_id,label,image_width,image_height,is_tma",
            train,
            cycle(("HGSC", "LGSC", "CC", "EC", "MC")),
            wide,
            wide[::-1],
            cycle(("False", "False", "True")),
        ),
        "test.csv": table("image_id,image_width,image_height", tests, wide[:TESTS], wide[-TESTS:]),
        "sample_submission.csv": sample("image_id,label", tests, "HGSC"),
    }
    images = below("train_images", train, ".png") + below("test_images", tests, ".png")
    return StandIn(files, images, {"id": "image_id", "label": "label", "group": None}, MACRO_F1, "label")


def paddy() -> StandIn:
    kinds = cycle(("blast", "hispa", "normal"))
    train, tests = names("100", ROWS, ".jpg"), names("200", TESTS, ".jpg")
    files = {
        "train.csv": table(
            "image_id,label,variety,age",
            train,
            kinds,
            cycle(("ADT45", "Ponni", "Zonal")),
            [str(45 + n % 7) for n in range(ROWS)],
        ),
        "sample_submission.csv": sample("image_id,label", tests, ""),
    }
    images = [f"train_images/{kind}/{name}" for kind, name in zip(kinds, train, strict=True)]
    images += below("test_images", tests)
    data = {"id": "image_id", "label": "label", "images": "train_images/{label}/{id}"}
    return StandIn(files, images, data, MACRO_F1, "label")


def iwildcam() -> StandIn:
    train, tests = hashes("a", ROWS), hashes("t", TESTS)
    files = {
        "train.csv": table(
            "category_id,date_captured,file_name,frame_num,id,location,seq_id,seq_num_frames",
            cycle(("19", "0", "3")),
            [f"2011-05-{n + 1:02}" for n in range(ROWS)],
            [f"{name}.jpg" for name in train],
            cycle("123"),
            train,
            [str(n // 4) for n in range(ROWS)],
            [f"6f0{n // 3}" for n in range(ROWS)],
            ["3"] * ROWS,
        ),
        "test.csv": table(
            "date_captured,file_name,frame_num,id,location,seq_id,seq_num_frames",
            [f"2012-05-{n + 1:02}" for n in range(TESTS)],
            [f"{name}.jpg" for name in tests],
            cycle("123", TESTS),
            tests,
            cycle(("91", "92"), TESTS),
            cycle(("7a1", "7a2"), TESTS),
            ["3"] * TESTS,
        ),
        "sample_submission.csv": sample("Id,Category", tests, "0"),
    }
    images = below("train_images", train, ".jpg") + below("test_images", tests, ".jpg")
    data = {"label": "category_id", "group": "location", "test": "test.csv"}
    return StandIn(files, images, data, MACRO_F1, "label")


def recursion() -> StandIn:
    batches = [f"HUVEC-{n // 4:02}" for n in range(ROWS)]
    train = [f"{batch}_{n}" for n, batch in enumerate(batches)]
    files = {
        "train.csv": table(
            "id_code,experiment,plate,sirna", train, batches, cycle("12"), cycle(("513", "840", "1020"))
        ),
        "test.csv": table(
            "id_code,experiment,plate",
            names("U2OS-04_", TESTS),
            cycle(("U2OS-04",), TESTS),
            cycle("1234", TESTS),
        ),
        "sample_submission.csv": sample("id_code,sirna", names("U2OS-04_", TESTS), "0"),
    }
    images = [f"train/{batch}/{name}.png" for batch, name in zip(batches, train, strict=True)]
    images += below("test", names("U2OS-04_", TESTS), ".png")
    data = {"id": "id_code", "label": "sirna", "group": "experiment", "images": "train/{experiment}/{id}"}
    return StandIn(files, images, data, MACRO_F1, "label")


def dfuc() -> StandIn:
    train, tests = names("10", ROWS, ".jpg"), names("30", TESTS, ".jpg")
    classes = "none,infection,ischaemia,both"
    files = {
        "train.csv": table(f"image,{classes}", train, *hot(ROWS, 4)),
        "sample_submission.csv": sample(f"image,{classes}", tests, "0.25,0.25,0.25,0.25"),
    }
    images = below("images/train", train) + below("images/test", tests)
    return StandIn(files, images, {"label": "label"}, LOG_LOSS, "probabilities")


def wallpaper() -> StandIn:
    tests = names("TEST_", TESTS)
    kinds = ("가구수정", "오염", "훼손")
    images = [f"train/{kind}/{n}.png" for n, kind in enumerate(cycle(kinds))] + below("test", tests, ".png")
    files = {
        "test.csv": table("id,img_path", tests, [f"./test/{name}.png" for name in tests]),
        "sample_submission.csv": sample("id,label", tests, "가구수정"),
    }
    return StandIn(files, images, {"train": "train", "sample": "sample_submission.csv"}, MACRO_F1, "label")


def naive_bees() -> StandIn:
    train, tests = names("5", ROWS), names("7", TESTS)
    files = {
        "train_labels.csv": table("id,genus", train, cycle(("0.0", "1.0"))),
        "SubmissionFormat.csv": sample("id,genus", tests, "0.5"),
    }
    images = below("images/train", train, ".jpg") + below("images/test", tests, ".jpg")
    return StandIn(files, images, {"id": "id", "label": "genus"}, AUC, "binary_probability")


def turtles() -> StandIn:
    turtles = ("t_id_a1", "t_id_b2", "t_id_c3", "t_id_d4", "t_id_e5", "t_id_f6")
    train, tests = names("ID_", ROWS), names("ID_9", TESTS)
    columns = ",".join(f"prediction{number}" for number in range(1, 6))
    files = {
        "train.csv": table(
            "image_id,image_location,turtle_id", train, cycle(("left", "top", "right")), cycle(turtles)
        ),
        "sample_submission.csv": sample(f"image_id,{columns}", tests, ",".join(turtles[:5])),
    }
    images = below("images", [*train, *tests], ".JPG")
    data = {"id": "image_id", "label": "turtle_id", "group": None}
    return StandIn(files, images, data, map_at(5), "ranked_columns")


def rice() -> StandIn:
    train, tests = (names("id_00", ROWS, ".jpg"), names("id_99", TESTS, ".jpg"))
    files = {
        "Train.csv": table("Image_id,Label", train, cycle(("blast", "brown", "healthy"))),
        "Test.csv": csv("Image_id", *tests),
        "SampleSubmission.csv": sample("Image_id,blast,brown,healthy", tests, "0.3,0.3,0.4"),
    }
    data = {"id": "Image_id", "label": "Label", "images": "images/{id}"}
    return StandIn(files, below("images", [*train, *tests]), data, LOG_LOSS, "probabilities")


def ships() -> StandIn:
    train, tests = names("28", ROWS, ".jpg"), names("14", TESTS, ".jpg")
    files = {
        "train.csv": table("image,category", train, cycle("12345")),
        "test_ApKoW4T.csv": csv("image", *tests),
        "sample_submission_ns2btKE.csv": sample("image,category", tests, "1"),
    }
    images = below("images", [*train, *tests])
    return StandIn(files, images, {"id": "image", "label": "category"}, MACRO_F1, "label")


def strip_ai() -> StandIn:
    patients = [f"p{n // 2:03}" for n in range(ROWS)]
    train = [f"{patient}_{n % 2}" for n, patient in enumerate(patients)]
    owners = [f"q{n // 2:03}" for n in range(TESTS)]
    tests = [f"{patient}_{n % 2}" for n, patient in enumerate(owners)]
    files = {
        "train.csv": table(
            "image_id,center_id,patient_id,image_num,label",
            train,
            cycle(("11", "4")),
            patients,
            cycle("01"),
            [("CE", "LAA")[n // 2 % 2] for n in range(ROWS)],
        ),
        "test.csv": table(
            "image_id,center_id,patient_id,image_num",
            tests,
            cycle(("11", "4"), TESTS),
            owners,
            cycle("01", TESTS),
        ),
        "sample_submission.csv": sample("patient_id,CE,LAA", sorted(set(owners)), "0.5,0.5"),
    }
    images = below("train", train, ".tif") + below("test", tests, ".tif")
    data = {"id": "image_id", "label": "label", "group": "patient_id", "test": "test.csv"}
    return StandIn(files, images, data, LOG_LOSS, "probabilities")


COMPETITIONS = {
    "National Data Science Bowl": plankton(),
    "Diabetic Retinopathy Detection": diabetic_retinopathy(),
    "State Farm Distracted Driver": state_farm(),
    "Leaf Classification": leaf(),
    "Planet": planet(),
    "Invasive Species": binary("invasive", "0.5", ("train", "test"), ".jpg", "train_labels.csv"),
    "Histopathologic Cancer": binary("label", "0", ("train", "test"), ".tif", "train_labels.csv"),
    "Camera Model": camera(),
    "Dog Breed": dog_breeds(),
    "Plant Seedlings": plant_seedlings(),
    "Human Protein Atlas": protein_atlas(),
    "Humpback Whale": humpback(),
    "iMet 2020": imet(),
    "Aerial Cactus": binary("has_cactus", "0.5", ("train/train", "test/test"), ".jpg"),
    "APTOS 2019": aptos(),
    "Plant Pathology 2020": plant_pathology_2020(),
    "Plant Pathology 2021": plant_pathology_2021(),
    "SIIM-ISIC 2020": isic_2020(),
    "ISIC 2024": isic_2024(),
    "ISIC 2019": isic_2019(),
    "Cassava": cassava(),
    "Hotel-ID": hotel_id(),
    "Happywhale": happywhale(),
    "UBC-OCEAN": ubc_ocean(),
    "Paddy Doctor": paddy(),
    "iWildCam": iwildcam(),
    "Recursion Cellular": recursion(),
    "DFUC 2021": dfuc(),
    "DACON wallpaper": wallpaper(),
    "Naive Bees": naive_bees(),
    "Turtle Recall": turtles(),
    "Rice Disease": rice(),
    "Game of Deep Learning: Ships": ships(),
    "Mayo Clinic STRIP AI": strip_ai(),
}
