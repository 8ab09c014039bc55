"""Facts of a report, drawn: every section is full, and names may be hostile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kit.evaluation.bootstrap import Gain
from kit.stages.reporting.album import Album
from kit.stages.reporting.calibration import measure_calibration
from kit.stages.reporting.classes import of_confusion, rank_confusions
from kit.stages.reporting.facts import (
    AugmentedImage,
    BlendSection,
    BoardSection,
    DataSection,
    EpochCurve,
    Facts,
    FindingCase,
    FindingRow,
    MemberWeight,
    NextStep,
    Problem,
    ReportedDisagreement,
    Submission,
    Summary,
    TrainedRun,
    ViewScores,
)
from kit.stages.reporting.row_facts import LabelErrorSection, MemberEvaluation, Mistake, Picture, Suspect

HOSTILE = "</script><script>window.evil=1</script><img src=x onerror='window.evil=1'>\"'`&|"
GAIN = Gain("plain", 0.01, 0.002, 0.02)


def drawn_facts(
    classes: Sequence[str] = ("ant", "bee", "cat"), name: str = "drawn", mistakes: int = 50, side: int = 132
) -> Facts:
    """A whole report of noise; `name` stands wherever a name may stand that is no class."""
    rng, album = np.random.default_rng(0), Album()

    def picture(text: str) -> Picture:
        noise = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
        return album.picture(noise, text, "drawings") or Picture("data:,", text, side, side)

    truth = rng.integers(0, len(classes), 4000)
    predicted = np.where(rng.random(4000) < 0.6, truth, rng.integers(0, len(classes), 4000))
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    curves = tuple(
        EpochCurve(
            fold,
            tuple(range(1, 41)),
            {
                key: tuple(rng.random(40).tolist())
                for key in ("macro_f1", "train_loss", "lr", "images_per_second", "memory_mib")
            },
        )
        for fold in range(5)
    )
    runs = tuple(
        TrainedRun(
            f"{name}{number}",
            "2026-01-01",
            "resnet18",
            128,
            40,
            5,
            5,
            "finished",
            {"loss": name},
            {"macro_f1": 0.9 - number / 10, "log_loss": 0.1 * number, "accuracy": 0.5},
            4000,
            100.0,
            900,
            0,
            curves,
        )
        for number in range(3)
    )
    shown = picture(f"image {name}")
    return Facts(
        name=name,
        written="2026-01-01T00:00:00+00:00",
        versions={"kit-competitions": "0.1.0"},
        summary=Summary(
            "macro_f1",
            True,
            name,
            0.9,
            0.01,
            0.88,
            (Problem("problem", name, "data"),),
            (NextStep(name, f"kit {name}"),),
        ),
        data=DataSection(
            4000,
            100,
            dict(zip(classes, counts.sum(axis=1).tolist(), strict=True)),
            False,
            {name: name},
            (
                FindingRow(
                    "K05", "problem", name, name, name, (name,), 3, (FindingCase(name, (shown, shown)),)
                ),
            ),
            name,
            (AugmentedImage(name, (classes[0],), shown, shown),),
        ),
        runs=runs,
        evaluation=MemberEvaluation(
            f"{name}@plain",
            4000,
            {"macro_f1": 0.6},
            {"0": 0.6, "1": None},
            of_confusion(counts, classes),
            tuple(map(tuple, counts.tolist())),
            rank_confusions(counts, classes),
            measure_calibration(rng.random(4000), rng.random(4000) < 0.5),
        ),
        mistakes=tuple(
            Mistake(
                f"{name}{number}",
                0,
                (classes[number % len(classes)],),
                (classes[(number + 1) % len(classes)],),
                0.9,
                0.01,
                4.6,
                picture(f"{name}{number}"),
                shown if number == 0 else None,
            )
            for number in range(mistakes)
        ),
        suspects=LabelErrorSection(
            f"{name}@plain",
            7.4,
            60,
            tuple(
                Suspect(f"{name}{n}", 0, (classes[0],), (classes[1],), 0.02, 0.95, shown) for n in range(4)
            ),
        ),
        views=(ViewScores(name, name, 0.9, 0.89, GAIN),),
        blend=BlendSection(
            1,
            name,
            "macro_f1",
            0.9,
            0.89,
            4000,
            (MemberWeight(name, 0.9, 0.7, GAIN), MemberWeight(f"{name}2", 0.8, None, None)),
            ((1.0, 0.5), (0.5, 1.0)),
            ((1.0, 0.3), (0.3, 1.0)),
        ),
        board=BoardSection(
            tuple(
                Submission(n, n, name, 0.9 - n / 100, 0.8 + n / 100, name, name, name) for n in range(1, 4)
            ),
            3,
            0.5,
            -0.01,
            0.01,
            0.02,
            "",
            (ReportedDisagreement(name, (name,)),),
        ),
        left_out=(name,),
    )
