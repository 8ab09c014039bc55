"""Stand-ins of competitions whose images, answers and metric need more than one thing at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from tests.drawn_competitions import COMPETITIONS
from tests.drawn_tables import make

ROWS, TESTS, SIDE = 24, 8, 12
RNG = np.random.default_rng(0)
TRAIN, TEST = [f"a{number:03d}" for number in range(ROWS)], [f"t{number:03d}" for number in range(TESTS)]
GRAPHEME = {"grapheme_root": 4, "vowel_diacritic": 3, "consonant_diacritic": 2}
SEVERITY = ("Normal/Mild", "Moderate", "Severe")
LEVELS = ("left_foraminal_l1_l2", "right_foraminal_l1_l2", "spinal_canal_l1_l2")
SHOWN = ("normal_mild", "moderate", "severe")
TRAITS = ("X4", "X11", "X18")
BIOMASS = ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g", "Dry_Total_g", "GDM_g")


@dataclass(frozen=True)
class Known:
    """How a stand-in is drawn, what a team gives to kit init and adds to config.json, and the format it gets.

    A config with the key data is written by hand, without kit init.
    """

    draw: Callable[[Path], None]
    format: str
    metric: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)  # over the keys that kit init wrote
    data: Mapping[str, Any] = field(default_factory=dict)
    apart: bool = False  # the files are not in the workspace


def cycle(values: Sequence[Any], count: int = ROWS) -> list[Any]:
    return [values[number % len(values)] for number in range(count)]


def write(root: Path, name: str, columns: Mapping[str, Any]) -> None:
    pd.DataFrame(columns).to_csv(root / name, index=False)


def photos(root: Path, folder: str, names: Sequence[str], grey: bool = False) -> None:
    """A picture of noise for each name below a folder, with the format of its ending."""
    for name in names:
        file = root / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (SIDE, SIDE) if grey else (SIDE, SIDE, 3)
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(file)


def slices(root: Path, files: Sequence[str]) -> None:
    """A DICOM of noise for each file."""
    import pydicom

    like = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "MR_small.dcm")
    like.Rows = like.Columns = SIDE
    like.WindowCenter, like.WindowWidth = 2000, 1000
    for name in files:
        file = root / f"{name}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        like.PixelData = RNG.integers(0, 4096, (SIDE, SIDE), dtype=np.uint16).tobytes()
        like.save_as(file)


def pawpularity(root: Path) -> None:
    """A whole number from 1 to 100 per photo, beside flags; the sample shows fractions."""
    photos(root, "train", [f"{name}.jpg" for name in TRAIN])
    photos(root, "test", [f"{name}.jpg" for name in TEST])
    scores = RNG.integers(1, 101, ROWS)
    write(root, "train.csv", {"Id": TRAIN, "Eyes": cycle([0, 1]), "Pawpularity": scores})
    write(root, "test.csv", {"Id": TEST, "Eyes": cycle([0, 1], TESTS)})
    write(root, "sample_submission.csv", {"Id": TEST, "Pawpularity": [65.07, 39.2] * (TESTS // 2)})


def wind(root: Path) -> None:
    """Grey pictures of storms, the features and labels of which are in two tables."""
    photos(root, "train", [f"{name}.jpg" for name in TRAIN], grey=True)
    photos(root, "test", [f"{name}.jpg" for name in TEST], grey=True)
    storms = [f"s{number // 4}" for number in range(ROWS)]
    write(
        root,
        "training_set_features.csv",
        {"image_id": TRAIN, "storm_id": storms, "relative_time": range(ROWS), "ocean": cycle([1, 2])},
    )
    write(root, "training_set_labels.csv", {"image_id": TRAIN, "wind_speed": RNG.integers(15, 185, ROWS)})
    test_storms = [f"z{number // 4}" for number in range(TESTS)]
    write(
        root,
        "test_set_features.csv",
        {"image_id": TEST, "storm_id": test_storms, "relative_time": range(TESTS), "ocean": 1},
    )
    write(root, "submission_format.csv", {"image_id": TEST, "wind_speed": 1})


def plant_traits(root: Path) -> None:
    """A number for each trait, whose training columns have another name than the sample's."""
    train, test = [str(1000 + row) for row in range(ROWS)], [str(9000 + row) for row in range(TESTS)]
    photos(root, "train_images", [f"{name}.jpeg" for name in train])
    photos(root, "test_images", [f"{name}.jpeg" for name in test])
    climate = {f"WORLDCLIM_BIO{n}": np.round(RNG.normal(20, 5, ROWS), 3) for n in (1, 12)}
    values = {f"{name}_mean": np.round(RNG.lognormal(0, 1, ROWS), 4) for name in TRAITS}
    spread = {f"{name}_sd": np.round(RNG.lognormal(0, 1, ROWS), 4) for name in TRAITS}
    write(root, "train.csv", {"id": train, **climate, **values, **spread})
    write(root, "test.csv", {"id": test, **{name: cells[:TESTS] for name, cells in climate.items()}})
    write(root, "sample_submission.csv", {"id": test, **dict.fromkeys(TRAITS, 0.5)})


def biomass(root: Path) -> None:
    """A row for each image and target in both tables."""
    photos(root, "train", [f"{name}.jpg" for name in TRAIN])
    photos(root, "test", [f"{name}.jpg" for name in TEST])

    def rows(names: list[str], folder: str) -> dict[str, Any]:
        pairs = [(name, target) for name in names for target in BIOMASS]
        return {
            "sample_id": [f"{name}__{target}" for name, target in pairs],
            "image_path": [f"{folder}/{name}.jpg" for name, _ in pairs],
            "target_name": [target for _, target in pairs],
        }

    dates = [f"2015/9/{int(name[1:]) // 4 + 1}" for name in TRAIN for _ in BIOMASS]
    known = {"Sampling_Date": dates, "Height_Ave_cm": 4.7, "target": np.round(RNG.gamma(2, 9, 5 * ROWS), 4)}
    write(root, "train.csv", {**rows(TRAIN, "train"), **known})
    write(root, "test.csv", rows(TEST, "test"))
    write(root, "sample_submission.csv", {"sample_id": rows(TEST, "test")["sample_id"], "target": 0.0})


def hemorrhage(root: Path) -> None:
    """DICOM slices, and a row for each slice and label."""
    labels = ("epidural", "intraparenchymal", "any")
    train, test = [f"ID_{name}" for name in TRAIN], [f"ID_{name}" for name in TEST]
    slices(root, [f"stage_2_train/{name}" for name in train] + [f"stage_2_test/{name}" for name in test])
    rows = [(name, label) for name in train for label in labels]
    cells = [number // (place + 1) % 2 for number in range(ROWS) for place in range(3)]
    write(root, "stage_2_train.csv", {"ID": [f"{name}_{label}" for name, label in rows], "Label": cells})
    sample_ids = [f"{name}_{label}" for name in test for label in labels]
    write(root, "stage_2_sample_submission.csv", {"ID": sample_ids, "Label": 0.5})


def graphemes(root: Path) -> None:
    """Three parts of a character whose pixels are rows of parquet files."""
    train, test = [f"Train_{row}" for row in range(ROWS)], [f"Test_{row}" for row in range(TESTS)]
    for split, ids in (("train", train), ("test", test)):
        for part in range(2):
            pixels = RNG.integers(0, 256, (len(ids) // 2, 100), dtype=np.uint8)
            frame = pd.DataFrame(pixels, columns=[str(number) for number in range(100)])
            frame.insert(0, "image_id", ids[part::2])
            frame.to_parquet(root / f"{split}_image_data_{part}.parquet")
    parts = {part: RNG.permutation(np.arange(ROWS) % size) for part, size in GRAPHEME.items()}
    write(root, "train.csv", {"image_id": train, **parts, "grapheme": cycle(["k", "l", "m", "n"])})
    sample_pairs = [(name, part) for name in test for part in sorted(GRAPHEME)]
    rows = [f"{name}_{part}" for name, part in sample_pairs]
    named = {"image_id": [name for name, _ in sample_pairs], "component": [part for _, part in sample_pairs]}
    write(root, "test.csv", {"row_id": rows, **named})
    write(root, "sample_submission.csv", {"row_id": rows, "target": 0})


def lumbar(root: Path) -> None:
    """Studies of DICOM slices with three of the 25 parts."""
    train, test = (
        [str(1000 + row) for row in range(ROWS // 2)],
        [str(2000 + row) for row in range(TESTS // 2)],
    )
    for split, studies in (("train", train), ("test", test)):
        slices(root, [f"{split}_images/{study}/7{study}/{number}" for study in studies for number in (1, 2)])
        series = {"study_id": studies, "series_id": [f"7{study}" for study in studies]}
        write(root, f"{split}_series_descriptions.csv", {**series, "series_description": "Axial T2"})
    parts = {level: RNG.permutation(cycle(SEVERITY, len(train))) for level in LEVELS}
    write(root, "train.csv", {"study_id": train, **parts})
    rows = [f"{study}_{level}" for study in test for level in LEVELS]
    write(root, "sample_submission.csv", {"row_id": rows, **dict.fromkeys(SHOWN, 1 / 3)})


def fisheries(root: Path) -> None:
    """A folder for each kind of fish."""
    fish = ("ALB", "BET", "NoF")
    photos(root, "train", [f"{kind}/img_{n:05}.jpg" for n, kind in enumerate(cycle(fish))])
    tests = [f"img_9{n:04}.jpg" for n in range(TESTS)]
    photos(root, "test_stg1", tests)
    write(root, "sample_submission_stg1.csv", {"image": tests, **dict.fromkeys(fish, 1 / 3)})


def steganalysis(root: Path) -> None:
    """Four folders with the same names: the cover and three kinds of hidden messages; the answer is one score."""
    for kind in ("Cover", "JMiPOD", "JUNIWARD", "UERD"):
        photos(root, kind, [f"{n:05}.jpg" for n in range(ROWS // 4)])
    tests = [f"{n:04}.jpg" for n in range(1, TESTS + 1)]
    photos(root, "Test", tests)
    write(root, "sample_submission.csv", {"Id": tests, "Label": 0.5})


def waves(root: Path) -> None:
    """HDF5 files of complex spectrograms of two detectors."""
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in ids:
            with h5py.File(root / folder / f"{name}.hdf5", "w") as file:
                for detector in ("H1", "L1"):
                    values = RNG.normal(size=(20, 30)) + 1j * RNG.normal(size=(20, 30))
                    file[f"{name}/{detector}/SFTs"] = values.astype(np.complex64)
                    file[f"{name}/{detector}/timestamps_GPS"] = np.arange(30)
                file[f"{name}/frequency_Hz"] = np.arange(20.0)
    write(root, "train_labels.csv", {"id": TRAIN, "target": cycle([0, 1])})
    write(root, "sample_submission.csv", {"id": TEST, "target": 0.5})


def snakes(root: Path) -> None:
    """Observations with several photos."""
    photos(root, "train", [f"{name}.jpg" for name in TRAIN])
    photos(root, "test", [f"{name}.jpg" for name in TEST])
    seen = [10 + row // 2 for row in range(ROWS)]
    write(
        root,
        "train.csv",
        {
            "observation_id": seen,
            "code": "BR",
            "class_id": [one % 3 for one in seen],
            "image_path": [f"{name}.jpg" for name in TRAIN],
        },
    )
    observations = [90 + row // 2 for row in range(TESTS)]
    write(
        root,
        "test.csv",
        {"observation_id": observations, "code": "BR", "image_path": [f"{name}.jpg" for name in TEST]},
    )
    write(root, "sample_submission.csv", {"observation_id": sorted(set(observations)), "class_id": 0})


def fungi(root: Path) -> None:
    """Ten classes for each observation with several photos."""
    photos(root, "images/train", [f"{name}.jpg" for name in TRAIN])
    photos(root, "images/test", [f"{name}.jpg" for name in TEST])
    seen = [10 + row // 2 for row in range(ROWS)]
    write(
        root,
        "train.csv",
        {
            "category_id": [one % 6 for one in seen],
            "filename": [f"{name}.jpg" for name in TRAIN],
            "observationID": seen,
            "habitat": "roadside",
        },
    )
    observations = [90 + row // 2 for row in range(TESTS)]
    tests = [f"{name}.jpg" for name in TEST]
    write(root, "test.csv", {"filename": tests, "observationID": observations, "habitat": "roadside"})
    ranked = " ".join(map(str, range(5)))
    write(root, "sample_submission.csv", {"observationId": sorted(set(observations)), "predictions": ranked})


def plots(root: Path) -> None:
    """Photos of one plant each in a folder for each species, and photos of plots with several plants."""
    species = ("1355868", "1355869", "1355870")
    photos(root, "train", [f"{kind}/{n}.jpg" for n, kind in enumerate(cycle(species))])
    tests = [f"CBN-Pla-{n}" for n in range(TESTS)]
    photos(root, "test", [f"{name}.jpg" for name in tests])
    write(root, "sample_submission.csv", {"quadrat_id": tests, "species_ids": "[1355868, 1355869]"})


def masks(root: Path) -> None:
    """A folder for each person with seven photos; the class joins mask, gender and age."""
    people = [(f"{n:06}", ("male", "female")[n % 2], (25, 45, 61)[n % 3]) for n in range(ROWS // 3)]
    folders = [f"{one}_{gender}_Asian_{age}" for one, gender, age in people]
    stems = ("mask1", "incorrect_mask", "normal")
    photos(root, "train/images", [f"{folder}/{stem}.jpg" for folder in folders for stem in stems])
    ids, genders, ages = zip(*people, strict=True)
    write(
        root, "train/train.csv", {"id": ids, "gender": genders, "race": "Asian", "age": ages, "path": folders}
    )
    tests = [f"{name}.jpg" for name in TEST]
    photos(root, "eval/images", tests)
    write(root, "eval/info.csv", {"ImageID": tests, "ans": 0})


MASK_LABELS = {
    "files": {"mask*": "mask", "incorrect_mask": "wrong", "normal": "none"},
    "bins": {"age": [30, 60]},
    "rename": {
        f"{mask}_{gender}_{age}": str(6 * first + 3 * second + third)
        for first, mask in enumerate(("mask", "wrong", "none"))
        for second, gender in enumerate(("male", "female"))
        for third, age in enumerate(("<30", "30-60", ">=60"))
    },
}
LUMBAR = {
    "data": {
        "train": "train_series_descriptions.csv",
        "join": {"table": "train.csv", "on": "study_id"},
        "test": "test_series_descriptions.csv",
        "sample": "sample_submission.csv",
        "id": "series_id",
        "answer": "study_id",
        "images": "train_images/{study_id}/{series_id}/*",
        "test_images": "test_images/{study_id}/{series_id}/*",
        "reader": "dicom",
        "target": "several",
        "label": list(LEVELS),
    },
    "loss": "several",
    "metric": {
        "name": "parts",
        "of": {"name": "log_loss", "class_weights": dict(zip(SEVERITY, (1, 2, 4), strict=True))},
    },
}
STEGANALYSIS = {"rename": {"Cover": "0", "JMiPOD": "1", "JUNIWARD": "1", "UERD": "1"}}
BIOMASS_WEIGHTS = dict(zip(BIOMASS, (0.1, 0.1, 0.1, 0.5, 0.2), strict=True))


def lesions(root: Path) -> None:
    """ISIC 2019 gives no sample: a team writes its header and ids."""
    competition = COMPETITIONS["ISIC 2019"]
    make(root, competition.files)
    photos(root, "", competition.images)
    truth = pd.read_csv(root / "ISIC_2019_Training_GroundTruth.csv")
    tests = pd.read_csv(root / "ISIC_2019_Test_Metadata.csv")["image"]
    write(root, "sample_submission.csv", {"image": tests, **dict.fromkeys(truth.columns[1:], 0.25)})


def both_detectors(split: str) -> str:
    return " | ".join(f"{split}/{{id}}.hdf5::{{id}}/{detector}/SFTs" for detector in ("H1", "L1"))


KNOWN = {
    "Nature Conservancy Fisheries": Known(fisheries, "probabilities"),
    "RSNA Intracranial Hemorrhage 2019": Known(hemorrhage, "long", 'log_loss class_weights={"any":2}'),
    "Bengali.AI Graphemes": Known(graphemes, "part_labels"),
    "ALASKA2": Known(
        steganalysis, "binary_probability", "weighted_auc", data={"label_from": STEGANALYSIS}, apart=True
    ),
    "PetFinder Pawpularity": Known(pawpularity, "numbers", "rmse"),
    "Wind-dependent Variables": Known(wind, "numbers", "rmse"),
    "PlantTraits 2024": Known(plant_traits, "numbers", "r2"),
    "CSIRO Image2Biomass": Known(
        biomass,
        "long_numbers",
        "r2 average=pooled",
        config={"metric": {"name": "r2", "average": "pooled", "column_weights": BIOMASS_WEIGHTS}},
    ),
    "RSNA 2024 Lumbar Spine": Known(lumbar, "part_probabilities", config=LUMBAR),
    "G2Net Continuous Waves": Known(
        waves,
        "binary_probability",
        "auc",
        {"images": both_detectors("train"), "test_images": both_detectors("test")},
    ),
    "ISIC 2019": Known(lesions, "probabilities", "balanced accuracy"),
    "SnakeCLEF 2023": Known(snakes, "label", "macro F1"),
    "FungiCLEF 2025": Known(fungi, "top_k", "recall_at_k k=5"),
    "PlantCLEF 2025": Known(plots, "labels", "samples_f1", {"label_separator": ","}),
    "AI Stages mask": Known(
        masks, "label", "macro F1", {"label": "{file}_{gender}_{age}"}, data={"label_from": MASK_LABELS}
    ),
}
