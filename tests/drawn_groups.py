"""Stand-ins of competitions with one answer for several images: frames, photos of a product, slices, two eyes."""

from __future__ import annotations

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
    names,
    sample,
    table,
)


def owners(prefix: str, count: int) -> list[str]:
    """An owner for each image; one has three images, the next one, and so on."""
    return [f"{prefix}{number // 4}{'b' if number % 4 == 3 else 'a'}" for number in range(count)]


def odir() -> StandIn:
    """Two columns of images a row: the two eyes of a patient, with eight labels."""
    classes, patients, tests = list("NDGCAHMO"), names("1", ROWS), names("9", TESTS)
    hot = [
        ["1" if number % 8 in (place, (3 * place + 5) % 8) else "0" for number in range(ROWS)]
        for place in range(8)
    ]
    eyes = [[f"{name}_{side}.jpg" for name in patients] for side in ("left", "right")]
    test_eyes = [[f"{name}_{side}.jpg" for name in tests] for side in ("left", "right")]
    age = [str(40 + 7 * number % 40) for number in range(ROWS)]
    files = {
        "train.csv": table(
            f"ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,{','.join(classes)}",
            patients, age, cycle(("Male", "Female")), *eyes, *hot,
        ),
        "test.csv": table(
            "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus",
            tests, age[:TESTS], cycle(("Male", "Female"), TESTS), *test_eyes,
        ),
        "sample_submission.csv": sample(f"ID,{','.join(classes)}", tests, ",".join(["0.5"] * 8)),
    }  # fmt: skip
    images = below("train_images", [*eyes[0], *eyes[1]]) + below(
        "test_images", [*test_eyes[0], *test_eyes[1]]
    )
    data = {
        "id": "ID",
        "label": None,
        "answer": "ID",
        "images": "train_images/{Left-Fundus|Right-Fundus}",
        "test_images": "test_images/{Left-Fundus|Right-Fundus}",
        "test": "test.csv",
    }
    return StandIn(files, images, data, LOG_LOSS, "probabilities")


def deepfake() -> StandIn:
    """Frames of clips: a row a frame, an answer a clip."""
    clips, tests = owners("v", ROWS), owners("w", TESTS)
    kinds = {clip: ("REAL", "FAKE")[number % 2] for number, clip in enumerate(dict.fromkeys(clips))}
    frames = [f"{clip}_f{number}.jpg" for number, clip in enumerate(clips)]
    test_frames = [f"{clip}_f{number}.jpg" for number, clip in enumerate(tests)]
    files = {
        "train.csv": table("frame,filename,label", frames, clips, [kinds[clip] for clip in clips]),
        "test.csv": table("frame,filename", test_frames, tests),
        "sample_submission.csv": sample("filename,label", list(dict.fromkeys(tests)), "0.5"),
    }
    images = below("train_frames", frames) + below("test_frames", test_frames)
    data = {"id": "frame", "label": "label", "answer": "filename", "test": "test.csv"}
    return StandIn(files, images, data, AUC, "binary_probability")


def cdiscount() -> StandIn:
    """Photos of products, one to three each."""
    products, tests = owners("p", ROWS), owners("q", TESTS)
    category = {
        name: ("1000010653", "1000004085", "1000018306")[n % 3]
        for n, name in enumerate(dict.fromkeys(products))
    }
    photos = [f"{name}-{number % 4}.jpg" for number, name in enumerate(products)]
    test_photos = [f"{name}-{number % 4}.jpg" for number, name in enumerate(tests)]
    files = {
        "train.csv": table("photo,_id,category_id", photos, products, [category[name] for name in products]),
        "test.csv": table("photo,_id", test_photos, tests),
        "sample_submission.csv": sample("_id,category_id", list(dict.fromkeys(tests)), "1000010653"),
    }
    images = below("train", photos) + below("test", test_photos)
    return StandIn(files, images, {"id": "photo", "label": "category_id", "answer": "_id"}, MACRO_F1, "label")


def slices() -> StandIn:
    """Slices of studies in a folder each; the sample lists the folders."""
    studies, tests = owners("s", ROWS), [f"t{number}" for number in range(TESTS // 2)]
    label = {study: str(number % 2) for number, study in enumerate(dict.fromkeys(studies))}
    paths = [f"train/{study}/{number}.png" for number, study in enumerate(studies)]
    files = {
        "train.csv": table("path,target", paths, [label[study] for study in studies]),
        "sample_submission.csv": sample("study,target", tests, "0.5"),
    }
    images = [*paths, *(f"test/{study}/{number}.png" for study in tests for number in range(2))]
    data = {"answer": "{folder}", "test": None, "test_images": "test/{id}/*"}
    return StandIn(files, images, data, AUC, "binary_probability")


def yelp() -> StandIn:
    """Photos of restaurants in one table, several labels a restaurant in another; some photos have two restaurants."""
    places, tests = owners("r", ROWS), owners("u", TESTS)
    cells = ("1 2 5", "0", "3 8", "1 2", "0 8", "5 6", "4 7")
    labels = {name: cells[number % len(cells)] for number, name in enumerate(dict.fromkeys(places))}
    photos, test_photos = names("10", ROWS), names("77", TESTS)
    photos[-1], test_photos[-1] = photos[0], test_photos[0]
    files = {
        "train_photo_to_biz_ids.csv": table("photo_id,business_id", photos, places),
        "train.csv": table("business_id,labels", list(labels), list(labels.values())),
        "test_photo_to_biz.csv": table("photo_id,business_id", test_photos, tests),
        "sample_submission.csv": sample("business_id,labels", list(dict.fromkeys(tests)), "1 2 3"),
    }
    images = below("train_photos", photos, ".jpg") + below("test_photos", test_photos, ".jpg")
    data = {
        "id": "{photo_id}_{business_id}",
        "label": "labels",
        "label_separator": " ",
        "images": "train_photos/{photo_id}",
        "answer": "business_id",
    }
    return StandIn(files, images, data, SAMPLES_F1, "labels")


def patients() -> StandIn:
    """Photos of patients' lesions with a diagnosis per patient, beside columns of the photo."""
    people, tests = owners("IP_0", ROWS), owners("IP_9", TESTS)
    target = {name: str(int(number % 3 == 0)) for number, name in enumerate(dict.fromkeys(people))}
    photos, test_photos = names("ISIC_00", ROWS), names("ISIC_99", TESTS)
    site = cycle(("torso", "palms/soles"))
    files = {
        "train.csv": table(
            "image_name,patient_id,site,target", photos, people, site, [target[p] for p in people]
        ),
        "test.csv": table("image_name,patient_id,site", test_photos, tests, site[:TESTS]),
        "sample_submission.csv": sample("patient_id,target", list(dict.fromkeys(tests)), "0"),
    }
    images = below("jpeg/train", photos, ".jpg") + below("jpeg/test", test_photos, ".jpg")
    return StandIn(files, images, {"id": "image_name", "answer": "patient_id"}, AUC, "binary_probability")


GROUPED = {
    "ODIR-2019": odir(),
    "Deepfake Detection": deepfake(),
    "Cdiscount": cdiscount(),
    "slices of a study": slices(),
    "Yelp Restaurant Photos": yelp(),
    "patients of ISIC": patients(),
}
