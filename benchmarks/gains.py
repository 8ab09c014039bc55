"""The gain of losses, optimisers and targets over a plain head, on real photos as cached vectors.

    python -m benchmarks.gains COMPETITION --weights FILE --network NAME [--seeds 3] [--only losses,tail]

COMPETITION is a folder that `kit init` understands, with a classes.csv of labels and their groups, and a column of
scenes in its training table (`benchmarks/shelves.py`). The photos are embedded once, and each run trains a head on the
vectors. Each technique takes the best of two learning rates by a seed of its own, and so does its baseline. The other
seeds have other folds of whole scenes and other initial weights. Gains are paired. Their intervals resample scenes and
seeds. `long tail`, numbers and grades are planted; --only names the tables to make.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.gain_answers import ANSWERS, ask_answers
from benchmarks.gain_data import Photos, cut_to_tail, embed_photos, halve_scenes, in_halves, write_space
from benchmarks.gain_runs import RATES, Part, Question, Technique, ask

CLASSES = {"class_list": "classes.csv", "superclasses": "group", "parents": ["group"]}
TAIL_RATIO = 50.0  # asked for between the largest and the smallest class of the training rows
HIGH_RATES = (*RATES, 0.03)
GRADE_SHARES = (0.45, 0.2, 0.2, 0.1, 0.05)


def whole(photos: Photos, root: Path, seed: int) -> Sequence[Part]:
    """All photos, in two folds of whole scenes."""
    return [Part(write_space(root, in_halves(photos, seed), data=CLASSES))]


def long_tail(photos: Photos, root: Path, seed: int) -> Sequence[Part]:
    """A long tail of one half of the scenes is trained on, and all photos of the other half are held out; twice."""
    halves, parts = halve_scenes(photos, seed), []
    for number, (shown, held) in enumerate((halves, halves[::-1])):
        rows = np.concatenate([shown[cut_to_tail(photos.take(shown), TAIL_RATIO, seed)], held])
        split_photos = photos.take(rows).with_columns(half=np.where(np.isin(rows, held), "0", ""))
        parts.append(Part(write_space(root / f"{number}", split_photos, data=CLASSES)))
    return parts


def rare_classes(photos: Photos, root: Path, seed: int) -> Sequence[Part]:
    """Four of the classes against all others."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.unique(photos.table["label"]))[:4]
    halves = in_halves(photos, seed).with_columns(
        label=np.where(photos.table["label"].isin(chosen), "yes", "no")
    )
    return [Part(write_space(root, halves, format="label"))]


def draw_numbers(photos: Photos, seed: int) -> np.ndarray:
    """A number per photo: that of its class, with the deviation 1, and noise of the deviation 0.5."""
    rng = np.random.default_rng(seed)
    names, place = np.unique(photos.table["label"], return_inverse=True)
    return np.asarray(rng.normal(size=len(names))[place] + 0.5 * rng.normal(size=len(photos)))


def numbers(photos: Photos, root: Path, seed: int) -> Sequence[Part]:
    """A number to predict."""
    halves = in_halves(photos, seed).with_columns(label=np.round(draw_numbers(photos, seed), 4))
    return [Part(write_space(root, halves, data={"target": "numbers"}, loss="mse", metric="r2"))]


def grades(photos: Photos, root: Path, seed: int) -> Sequence[Part]:
    """Five grades: ranges of the number, of which the highest is rare."""
    value = draw_numbers(photos, seed)
    cuts = np.quantile(value, np.cumsum(GRADE_SHARES)[:-1])
    halves = in_halves(photos, seed).with_columns(label=np.searchsorted(cuts, value))
    return [Part(write_space(root, halves))]


def staged(late: str, epochs: int = 5, batch: int = 32) -> str:
    """Cross-entropy first, and another loss in the last epochs."""
    stage = f'{{"epochs": {epochs}, "loss": {late}, "batch_size": {batch}}}'
    return f"stages=[{{}}, {stage}]"


LDAM = '{"name": "class_weighted", "base": "ldam"}'
LOSSES = {
    "`cross_entropy`": Technique(),
    "`label_smoothing`": Technique(("loss=label_smoothing",)),
    "`group_smoothing`": Technique(("loss=group_smoothing",)),
    "`focal`": Technique(("loss=focal",)),
    "`poly1`": Technique(("loss=poly1",)),
    "`seesaw`": Technique(("loss=seesaw",)),
    "`logit_adjustment` (balanced softmax)": Technique(("loss=logit_adjustment",)),
    "`soft_f1`, batches of 256": Technique(("loss=soft_f1", "batch_size=256")),
    "`soft_f1` in the last 5 epochs": Technique((staged('"soft_f1"', batch=256),)),
    "cosines (`cosface` without a margin)": Technique(("loss=cosface", "loss.margin=0")),
    "`ldam`": Technique(("loss=ldam",)),
    "`ldam`, re-weighted in the last 5 epochs": Technique(("loss=ldam", staged(LDAM))),
    "`levels`": Technique(("loss=levels",)),
    "`level_heads`": Technique(("loss=level_heads",)),
    "`class_factors`": Technique(ensembler="class_factors"),
}
TAIL_LOSSES = LOSSES | {
    "`class_weighted`": Technique(("loss=class_weighted",)),
    "`sampler=balanced`": Technique(("sampler=balanced",)),
}
BOTH_LEVELS = {
    "macro F1": "macro_f1",
    "macro F1 of groups": {"name": "level", "level": "group", "of": "macro_f1"},
}
BASE_RATE = "optimizer.base.lr={}"
FREE = ("optimizer=schedule_free_adamw", "scheduler=constant", "scheduler.warmup=0.05")
RANGER = ("optimizer=lookahead", "optimizer.base=timm", "optimizer.base.opt=radamw")
OPTIMISERS = {
    "`adamw`": Technique(),
    "`adamw`, twice the epochs": Technique(("epochs=40", "validate_every=40")),
    "`sam`": Technique(("optimizer=sam",), BASE_RATE),
    "`sam` with `adaptive` and `radius` 1": Technique(
        ("optimizer=sam", "optimizer.adaptive=true", "optimizer.radius=1"), BASE_RATE
    ),
    "`schedule_free_adamw`": Technique(FREE),
    "`lookahead` around radamw (Ranger)": Technique(RANGER, BASE_RATE, HIGH_RATES),
    "`ema_decay` 0.99": Technique(("ema_decay=0.99",)),
    "`swa_start` 0.75": Technique(("swa_start=0.75",)),
}
PARENTS = {
    "`cross_entropy`": Technique(),
    "`levels`": Technique(("loss=levels",)),
    "`level_heads`": Technique(("loss=level_heads",)),
}
AUC_LOSSES = {
    "`cross_entropy`": Technique(),
    "`cross_entropy`, `sampler=balanced`": Technique(("sampler=balanced",)),
    "`pairwise_auc`, batches of 256": Technique(("loss=pairwise_auc", "batch_size=256")),
    "`pairwise_auc`, `sampler=balanced`": Technique(("loss=pairwise_auc", "sampler=balanced")),
    "`pairwise_auc` in the last 5 epochs": Technique((staged('"pairwise_auc"', batch=256),)),
}
NUMBER_LOSSES = {
    "`mse`": Technique(),
    "`r2`": Technique(("loss=r2",)),
    "`smooth_l1`": Technique(("loss=smooth_l1",)),
}
CUT = "cut_points"
GRADE_LOSSES = {
    "`cross_entropy`": Technique(rates=HIGH_RATES),
    "`coral`": Technique(("loss=coral",), rates=HIGH_RATES),
    "`coral`, `head=linear`": Technique(("loss=coral", "head=linear"), rates=HIGH_RATES),
    "`corn`": Technique(("loss=corn",), rates=HIGH_RATES),
    "`grade_regression`": Technique(("loss=grade_regression",), rates=HIGH_RATES),
}
GRADE_LOSSES |= {
    f"{name}, `cut_points`": Technique(each.changes, rates=HIGH_RATES, ensembler=CUT)
    for name, each in GRADE_LOSSES.items()
}
TABLES = {
    "losses": Question("Losses, all photos", whole, "`cross_entropy`", LOSSES, BOTH_LEVELS),
    "tail": Question("Losses, a long tail", long_tail, "`cross_entropy`", TAIL_LOSSES, BOTH_LEVELS),
    "optimisers": Question("Optimisers, `head=mlp`", whole, "`adamw`", OPTIMISERS, common=("head=mlp",)),
    "parents": Question(
        "Parents of the classes, `head=mlp`",
        whole,
        "`cross_entropy`",
        PARENTS,
        BOTH_LEVELS,
        common=("head=mlp",),
    ),
    "auc": Question("Four classes of 81", rare_classes, "`cross_entropy`", AUC_LOSSES, {"AUC": "auc"}),
    "numbers": Question("Planted numbers", numbers, "`mse`", NUMBER_LOSSES, {"R2": "r2"}),
    "grades": Question(
        "Planted grades",
        grades,
        "`cross_entropy`",
        GRADE_LOSSES,
        {"quadratic kappa": {"name": "cohen_kappa", "weights": "quadratic"}},
    ),
}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--scene", default="shelf", help="the column of scenes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument(
        "--keep", type=Path, help="a folder for vectors and runs, from which a later call continues"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        photos = embed_photos(
            options.competition, options.weights, options.network, options.scene, folder / "embedded"
        )
        for name in options.only.split(",") if options.only else (*TABLES, *ANSWERS):
            if name in TABLES:
                ask(TABLES[name], photos, folder / name, options.seeds)
            else:
                ask_answers(ANSWERS[name], photos, folder / name, options.seeds)


if __name__ == "__main__":
    main()
