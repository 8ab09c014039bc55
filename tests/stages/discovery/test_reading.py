"""Stand-ins of competitions whose images are no image files are entered, from kit init to a valid submission."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from kit.config.workspace import Workspace
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.entering import TINY
from tests.plugins.reader.documents import document, products
from tests.plugins.reader.tfrecords import write_tfrecord

RNG = np.random.default_rng(0)
ROWS, TESTS, SIDE = 24, 8, 12
TRAIN, TEST = [f"a{number:03d}" for number in range(ROWS)], [f"t{number:03d}" for number in range(TESTS)]
Found = tuple[dict[str, Any], int]  # keys of `data`, and the channels


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def jpeg(file: Path) -> bytes:
    Image.fromarray(pixels(SIDE, SIDE, 3)).save(file, "JPEG")
    return file.read_bytes()


def write_labels(
    root: Path, name: str, column: str, classes: Sequence[Any], **columns: Sequence[Any]
) -> None:
    labels = [classes[row % len(classes)] for row in range(ROWS)]
    pd.DataFrame({name: TRAIN, **columns, column: labels}).to_csv(root / "train.csv", index=False)


def write_sample(root: Path, name: str, columns: Mapping[str, Any], ids: Sequence[Any] = TEST) -> None:
    pd.DataFrame({name: list(ids), **columns}).to_csv(root / "sample_submission.csv", index=False)


def digit_recognizer(root: Path) -> Found:
    names = [f"pixel{number}" for number in range(784)]
    frame = pd.DataFrame(pixels(ROWS, 784), columns=names)
    frame.insert(0, "label", [row % 3 for row in range(ROWS)])
    frame.to_csv(root / "train.csv", index=False)
    pd.DataFrame(pixels(TESTS, 784), columns=names).to_csv(root / "test.csv", index=False)
    write_sample(root, "ImageId", {"Label": 0}, range(1, TESTS + 1))
    return {"reader": {"name": "table"}, "images": "train.csv::{id}", "test_images": "test.csv::{index}"}, 3


def kannada_mnist(root: Path) -> Found:
    digit_recognizer(root)
    test = pd.read_csv(root / "test.csv")
    test = pd.concat([pd.DataFrame({"id": range(100, 100 + TESTS)}), test], axis=1)
    test.sample(frac=1, random_state=0).to_csv(
        root / "test.csv", index=False
    )  # in another order than the sample
    write_sample(root, "id", {"label": 0}, range(100, 100 + TESTS))
    return {"reader": {"name": "table"}, "test_images": "test.csv::id/{id}"}, 3


def fer2013(root: Path) -> Found:
    def cells(count: int) -> list[str]:
        return [" ".join(map(str, image)) for image in pixels(count, 2304)]

    emotions = [row % 3 for row in range(ROWS)]
    pd.DataFrame({"emotion": emotions, "pixels": cells(ROWS)}).to_csv(root / "train.csv", index=False)
    pd.DataFrame({"pixels": cells(TESTS)}).to_csv(root / "test.csv", index=False)
    write_sample(root, "id", {"emotion": 0}, range(TESTS))
    return {"reader": {"name": "table", "columns": ["pixels"]}, "images": "train.csv::{id}"}, 3


def seti(root: Path) -> Found:
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        for name in ids:  # in folders by the first letter of the id
            (root / folder / name[0]).mkdir(parents=True, exist_ok=True)
            np.save(root / folder / name[0] / f"{name}.npy", RNG.normal(size=(6, 30, 20)).astype(np.float16))
    write_labels(root, "id", "target", [0, 1])
    write_sample(root, "id", {"target": 0.5})
    return {"images": "train/a/{id}"}, 6


def isic_2024(root: Path) -> Found:
    (root / "train-image" / "image").mkdir(parents=True)
    with h5py.File(root / "train-image.hdf5", "w") as file:
        for name in TRAIN:
            file[name] = np.void(jpeg(root / "train-image" / "image" / f"{name}.jpg"))
    with h5py.File(root / "test-image.hdf5", "w") as file:
        for name in TEST:
            file[name] = np.void(jpeg(root / "x.jpg"))
    (root / "x.jpg").unlink()
    patients = [f"IP_{row // 2}" for row in range(ROWS)]
    write_labels(root, "isic_id", "target", [0, 1], patient_id=patients)
    write_sample(root, "isic_id", {"target": 0.3})
    return {"reader": {"name": "hdf5"}, "images": "train-image.hdf5::{id}"}, 3


def melanoma(root: Path) -> Found:
    import pydicom

    like = Path(pydicom.__file__).parent / "data" / "test_files" / "MR_small.dcm"

    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in ids:
            image = pydicom.dcmread(like)
            image.Rows = image.Columns = 20
            image.WindowCenter, image.WindowWidth = 2000, 1000
            image.PixelData = RNG.integers(0, 4096, (20, 20), dtype=np.uint16).tobytes()
            image.save_as(root / folder / f"{name}.dcm")
    write_labels(root, "image_name", "target", [0, 1])
    write_sample(root, "image_name", {"target": 0})
    return {"reader": {"name": "dicom"}, "images": "train/{id}", "test_images": "test/{id}"}, 3


def melanoma_tfrecord(root: Path) -> Found:
    for split, ids in (("train", TRAIN), ("test", TEST)):
        for part in range(2):
            names = ids[part::2]
            rows = [{"image": jpeg(root / "x.jpg"), "image_name": each, "target": 1} for each in names]
            write_tfrecord(root / f"{split}{part:02d}-{len(rows)}.tfrec", rows)
    (root / "x.jpg").unlink()
    write_labels(root, "image_name", "target", [0, 1])
    write_sample(root, "image_name", {"target": 0})
    images = "train*.tfrec::image_name/{id}"
    return {
        "reader": {"name": "tfrecord"},
        "images": images,
        "test_images": images.replace("train", "test"),
    }, 3


def cdiscount(root: Path) -> Found:
    for split, count in (("train", ROWS), ("test", TESTS)):
        products_by_id = {number: [jpeg(root / "x.jpg")] * (1 + number % 2) for number in range(count)}
        (root / f"{split}.bson").write_bytes(products(products_by_id))
    (root / "x.jpg").unlink()
    labels = [1000 + row % 3 for row in range(ROWS)]
    pd.DataFrame({"_id": range(ROWS), "category_id": labels}).to_csv(root / "train.csv", index=False)
    write_sample(root, "_id", {"category_id": 1000}, range(TESTS))
    images = "train.bson::_id/{id}"
    return {"reader": {"name": "bson"}, "images": images, "test_images": images.replace("train", "test")}, 3


def cdiscount_alone(root: Path) -> Found:
    """As Kaggle has it: the categories stand in the documents, and test documents have none."""
    documents = {"train": ROWS, "test": TESTS}
    for split, count in documents.items():
        content = b""
        for number in range(count):
            category = {"category_id": 1000 + number % 3} if split == "train" else {}
            pictures = [{"picture": jpeg(root / "x.jpg")} for _ in range(1 + number % 2)]
            content += document({"_id": number, **category, "imgs": pictures})
        (root / f"{split}.bson").write_bytes(content)
    (root / "x.jpg").unlink()
    names = {"category_id": [1000, 1001, 1002], "category_level1": ["A", "A", "B"]}
    pd.DataFrame(names).to_csv(root / "category_names.csv", index=False)
    write_sample(root, "_id", {"category_id": 1000}, range(TESTS))
    images = "train.bson::_id/{id}"
    return {"reader": {"name": "bson"}, "train": "train.bson", "label": "category_id", "images": images}, 3


def single_records(root: Path) -> Found:
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in ids:
            write_tfrecord(root / folder / f"{name}.tfrec", [{"image": jpeg(root / "x.jpg"), "height": SIDE}])
    (root / "x.jpg").unlink()
    write_labels(root, "id", "label", ["a", "b"])
    write_sample(root, "id", {"label": "a"})
    return {"reader": {"name": "tfrecord"}, "images": "train/{id}", "test_images": "test/{id}"}, 3


def quick_draw(root: Path) -> Found:
    def drawings(count: int) -> list[str]:
        return [json.dumps(RNG.integers(0, 256, (3, 2, 8)).tolist()) for _ in range(count)]

    keys = [str(9000003627287624 + row) for row in range(ROWS + TESTS)]
    words = [["cat", "dog", "bus"][row % 3] for row in range(ROWS)]
    known = {"countrycode": "US", "drawing": drawings(ROWS), "key_id": keys[:ROWS], "word": words}
    pd.DataFrame(known).to_csv(root / "train.csv", index=False)
    test = {"key_id": keys[ROWS:], "countrycode": "US", "drawing": drawings(TESTS)}
    pd.DataFrame(test).to_csv(root / "test.csv", index=False)
    write_sample(root, "key_id", {"word": "cat"}, keys[ROWS:])
    return {"reader": {"name": "strokes"}, "test_images": "test.csv::key_id/{id}"}, 3


def quick_draw_by_class(root: Path) -> Found:
    """As Kaggle has it: a table for each class, whose name is that of the class."""
    (root / "train_simplified").mkdir()
    for number, word in enumerate(("alarm clock", "bus", "cat")):
        rows = [
            {
                "countrycode": "US",
                "drawing": json.dumps(RNG.integers(0, 256, (3, 2, 8)).tolist()),
                "key_id": str(5000000000000000 + 100 * number + row),
                "recognized": "True",
                "timestamp": f"2017-03-0{row % 9 + 1} 10:00:00",
                "word": word,
            }
            for row in range(ROWS // 3)
        ]
        pd.DataFrame(rows).to_csv(root / "train_simplified" / f"{word}.csv", index=False)
    keys = [str(9000003627287624 + row) for row in range(TESTS)]
    drawings = [json.dumps(RNG.integers(0, 256, (3, 2, 8)).tolist()) for _ in keys]
    test = {"key_id": keys, "countrycode": "US", "drawing": drawings}
    pd.DataFrame(test).to_csv(root / "test_simplified.csv", index=False)
    write_sample(root, "key_id", {"word": "alarm_clock bus cat"}, keys)
    return {
        "reader": {"name": "strokes"},
        "images": "train_simplified/{word}.csv::key_id/{id}",
        "test_images": "test_simplified.csv::key_id/{id}",
    }, 3


def statoil(root: Path) -> Found:
    def write(file: Path, ids: Sequence[str], **more: Sequence[Any]) -> None:
        bands = [RNG.normal(-20, 5, (len(ids), 75 * 75)).tolist() for _ in range(2)]
        columns = {"id": ids, "band_1": bands[0], "band_2": bands[1], **more}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        file.write_text(json.dumps(rows))

    angles, labels = [30 + row / 10 for row in range(ROWS)], [row % 2 for row in range(ROWS)]
    write(root / "train.json", TRAIN, inc_angle=angles, is_iceberg=labels)
    write(root / "test.json", TEST, inc_angle=angles[:TESTS])
    write_sample(root, "id", {"is_iceberg": 0.5})
    return {"images": "train.json::id/{id}", "test_images": "test.json::id/{id}"}, 2


def protein_atlas(root: Path) -> Found:
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in ids:
            for colour in ("red", "green", "blue", "yellow"):
                Image.fromarray(pixels(SIDE, SIDE)).save(root / folder / f"{name}_{colour}.png")
    write_labels(root, "Id", "Target", ["0", "16", "0 25", "16 25"])
    write_sample(root, "Id", {"Predicted": "0"})
    joined = " | ".join(f"train/{{id}}_{colour}.png" for colour in ("red", "green", "blue", "yellow"))
    return {"images": joined, "label_separator": " ", "reader": {"name": "image"}}, 4


def bengali(root: Path) -> Found:
    for split, ids in (("train", TRAIN), ("test", TEST)):
        for part in range(2):
            frame = pd.DataFrame(pixels(len(ids) // 2, 100), columns=[str(number) for number in range(100)])
            frame.insert(0, "image_id", ids[part::2])
            frame.to_parquet(root / f"{split}_image_data_{part}.parquet")
    write_labels(root, "image_id", "grapheme_root", [1, 2, 3])
    write_sample(root, "image_id", {"grapheme_root": 1})
    pattern = "train_image_data_*.parquet::image_id/{id}"
    return {"reader": {"name": "parquet"}, "images": pattern}, 3


def spectrograms(root: Path) -> Found:
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in ids:
            frame = pd.DataFrame(RNG.random((20, 16)), columns=[f"LL_{number}" for number in range(16)])
            frame.insert(0, "time", range(20))
            frame.to_parquet(root / folder / f"{name}.parquet")
    write_labels(root, "eeg_id", "expert", ["seizure", "other"])
    write_sample(root, "eeg_id", {"expert": "other"})
    return {"reader": {"name": "parquet", "range": [0.0, 1.0]}}, 3


def satellite(root: Path) -> Found:
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in ids:
            image = RNG.integers(0, 3000, (SIDE, SIDE, 13), dtype=np.uint16)
            kind = {"photometric": "minisblack", "planarconfig": "contig"}
            tifffile.imwrite(root / folder / f"{name}.tif", image, **kind)
    write_labels(root, "id", "label", ["forest", "river"])
    write_sample(root, "id", {"label": "river"})
    return {"reader": {"name": "tiff", "range": [0.0, 4095.0]}}, 13


def write_slide(file: Path) -> None:
    """A pyramid of three levels, each a quarter of the one before; white but for one corner."""
    levels = [np.full((side, side, 3), 255, np.uint8) for side in (96, 48, 24)]
    with tifffile.TiffWriter(file) as opened:
        for level in levels:
            level[: len(level) // 2, : len(level) // 2] = pixels(len(level) // 2, len(level) // 2, 3)
            opened.write(level, photometric="rgb", tile=(16, 16), compression="jpeg", metadata=None)


def panda(root: Path) -> Found:
    for folder, ids in (("train_images", TRAIN), ("test_images", TEST)):
        (root / folder).mkdir()
        for name in ids:
            write_slide(root / folder / f"{name}.tiff")
    write_labels(
        root, "image_id", "isup_grade", range(6), data_provider=["karolinska", "radboud"] * (ROWS // 2)
    )
    pd.DataFrame({"image_id": TEST, "data_provider": "radboud"}).to_csv(root / "test.csv", index=False)
    write_sample(root, "image_id", {"isup_grade": 0})
    return {"reader": {"name": "tiff"}, "images": "train_images/{id}", "test_images": "test_images/{id}"}, 3


def mayo(root: Path) -> Found:
    slides = {"train": [f"{name}_{row % 2}" for row, name in enumerate(TRAIN)], "test": TEST}
    for folder, ids in slides.items():
        (root / folder).mkdir()
        for name in ids:
            write_slide(root / folder / f"{name}.tif")
    patients = {
        "train": [f"p{row // 2}" for row in range(ROWS)],
        "test": [f"q{row // 2}" for row in range(TESTS)],
    }
    for split, ids in slides.items():
        frame = pd.DataFrame({"image_id": ids, "center_id": 1, "patient_id": patients[split], "image_num": 0})
        if split == "train":
            frame["label"] = [("CE", "LAA")[row // 2 % 2] for row in range(ROWS)]
        frame.to_csv(root / f"{split}.csv", index=False)
    write_sample(root, "patient_id", {"CE": 0.5, "LAA": 0.5}, sorted(set(patients["test"])))
    return {"reader": {"name": "tiff"}, "answer": "patient_id", "group": "patient_id"}, 3


def ubc_ocean(root: Path) -> Found:
    for folder, ids in (("train_images", TRAIN), ("test_images", TEST)):
        (root / folder).mkdir()
        for name in ids:
            Image.fromarray(pixels(40, 30, 3)).save(root / folder / f"{name}.png")
    size = {"image_width": [30] * ROWS, "image_height": [40] * ROWS}
    write_labels(root, "image_id", "label", ["CC", "EC", "HGSC"], is_tma=["False"] * ROWS, **size)
    test = {"image_id": TEST, "image_width": 30, "image_height": 40}
    pd.DataFrame(test).to_csv(root / "test.csv", index=False)
    write_sample(root, "image_id", {"label": "HGSC"})
    return {"reader": {"name": "image"}, "images": "train_images/{id}", "test_images": "test_images/{id}"}, 3


TILES = {"tiles": {"count": 4, "size": 8}}
SET: dict[str, dict[str, Any]] = {  # keys of data that a person adds to config.json
    "PANDA": TILES,
    "Mayo STRIP AI": TILES,
    "UBC-OCEAN": TILES,
    "SETI": {"pixel_type": "float32"},
    "13 bands of a satellite": {"pixel_type": "uint16"},
}
COMPETITIONS: dict[str, Callable[[Path], Found]] = {
    "Digit Recognizer": digit_recognizer,
    "Kannada MNIST": kannada_mnist,
    "FER2013": fer2013,
    "SETI": seti,
    "ISIC 2024, HDF5": isic_2024,
    "SIIM-ISIC Melanoma, DICOM": melanoma,
    "SIIM-ISIC Melanoma, TFRecord": melanoma_tfrecord,
    "Cdiscount, first photo": cdiscount,
    "Cdiscount, categories in the BSON": cdiscount_alone,
    "TFRecord, a file per image": single_records,
    "Quick, Draw!": quick_draw,
    "Quick, Draw!, a table per class": quick_draw_by_class,
    "Statoil, JSON": statoil,
    "Human Protein Atlas": protein_atlas,
    "Bengali.AI, one component": bengali,
    "HMS, one label": spectrograms,
    "13 bands of a satellite": satellite,
    "PANDA": panda,
    "Mayo STRIP AI": mayo,
    "UBC-OCEAN": ubc_ocean,
}


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[list[str]]:
    """The competitions that were entered; the table is printed at the end."""
    names: list[str] = []
    yield names
    print("\n".join([*names, f"{len(names)} of {len(COMPETITIONS)} competitions entered"]))


@pytest.mark.parametrize("name", COMPETITIONS)
def test_a_competition_with_other_images_is_entered(name: str, tmp_path: Path, entered: list[str]) -> None:
    wanted, channels = COMPETITIONS[name](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = initialise(tmp_path, "scratch")
        written = json.loads(result.path.read_text())
        space = Workspace.open(tmp_path)
        data = space.competition.data.model_dump(mode="json")
        assert {key: data[key] for key in wanted} == wanted, result.findings
        assert written.get("channels", 3) == channels, result.findings
        written["data"] |= SET.get(name, {})
        result.path.write_text(json.dumps(written))
        run = train(tmp_path, TINY, name="a")
        tta(tmp_path, [run.folder], views="plain")
        submission = blend(tmp_path, ["runs/a@plain"])
        assert isinstance(submission, Submitted)
        assert check_submission(Workspace.open(tmp_path), submission.path).faults == ()
    entered.append(f"{name}: kit init, {data['reader']['name']}, {channels} channels")


def test_a_level_that_fits_is_chosen_and_tiles_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panda(tmp_path)
    monkeypatch.setattr("kit.stages.discovery.slides.LEVEL_PIXELS", 3000)
    result = initialise(tmp_path, "scratch")
    assert Workspace.open(tmp_path).competition.data.reader == {"name": "tiff", "level": 1}
    assert (
        "reader: tiff, slides of up to 96 x 96 pixels; level 1 of 0 to 2 has up to 48 x 48; data.tiles.count=36 "
        "joins the 36 tiles with most tissue"
    ) in result.findings


def test_images_that_differ_in_their_channels_are_named(tmp_path: Path) -> None:
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(ids):
            np.save(tmp_path / folder / f"{name}.npy", pixels(SIDE, SIDE, 6 if number == 2 else 4))
    write_labels(tmp_path, "id", "target", [0, 1])
    write_sample(tmp_path, "id", {"target": 0.5})
    result = initialise(tmp_path, "scratch")
    assert json.loads(result.path.read_text())["channels"] == 4
    assert "channels: 4, by 8 images" in result.findings
    assert "images differ in their channels: 4 in 7, 6 in 1; kit train refuses others" in result.findings


def test_images_above_the_limit_of_pixels_are_named(tmp_path: Path) -> None:
    ubc_ocean(tmp_path)
    lines = initialise(tmp_path, "scratch").findings
    assert not any("data.tiles" in each for each in lines)
    result = initialise(tmp_path, "scratch", {"max_pixels": "1000"}, force=True)
    wanted = "images of up to 0 million pixels: data.max_pixels=10000 allows them"
    assert any(each.startswith(wanted) for each in result.findings), result.findings
