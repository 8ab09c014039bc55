"""Do columns and members of other frameworks give what they know, and nothing if they know nothing?

    python benchmarks/second_level.py [--rows 1500] [--seeds 5]

Each competition is drawn: a member of known quality, as a network would be, and tables in which columns know something
of the label or nothing. The row "oracle" is the AUC of the exact probabilities. Gains are means over seeds, with the
standard error of the mean. No image is read, and it takes a minute on one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from kit.config.workspace import Workspace
from kit.stages.blending.blend import BlendResult, blend
from kit.stages.second_level.stack import stack
from kit.stages.sharing.foreign import import_predictions

FOLDS, PER_PATIENT = 5, 5
CASES = {
    "a number knows half as much as the network": {"age": 0.7},
    "a category knows as much": {"site": 1.0},
    "the network's rank within a patient knows": {"patient": 2.0},
    "columns know nothing": {},
}


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logits as probabilities."""
    return np.asarray(1 / (1 + np.exp(-values)))


def draw(
    root: Path, rows: int, seed: int, age: float = 0.0, site: float = 0.0, patient: float = 0.0
) -> dict[str, float]:
    """Writes the tables of a competition and of two members; returns AUCs of what is known exactly.

    `age` and `site` are how far the columns move with the label; `patient` is the spread of an offset that all of a
    patient's logits share. Member m is a network, member f a weaker one with errors of its own.
    """
    rng = np.random.default_rng(seed)
    whole = rows + rows // 3
    truth, number = rng.integers(0, 2, whole), np.arange(whole) // PER_PATIENT
    sign = 2 * truth - 1
    logit = sign + rng.normal(size=whole) * np.sqrt(2)
    other = 0.8 * sign + rng.normal(size=whole) * np.sqrt(1.6)
    ages = age * sign / 2 + rng.normal(size=whole)
    sites = np.where(rng.random(whole) < sigmoid(site * sign), "arm", "leg")
    offset = patient * rng.normal(size=number.max() + 1)[number]
    ids = [f"i{row:05d}" for row in range(whole)]
    table = pd.DataFrame({"id": ids, "age": ages, "site": sites, "patient": [f"p{each}" for each in number]})
    (root / "data" / "images").mkdir(parents=True)
    for name in ids:
        (root / "data" / "images" / f"{name}.png").write_bytes(name.encode())
    labelled = table[:rows].assign(label=np.where(truth[:rows] == 1, "yes", "no"))
    labelled.to_csv(root / "data" / "train.csv", index=False)
    table[rows:].to_csv(root / "data" / "test.csv", index=False)
    pd.DataFrame({"id": ids[rows:], "yes": 0.5}).to_csv(root / "data" / "sample_submission.csv", index=False)
    data = {"test": "data/test.csv", "columns": ["age", "site"], "group": "patient"}
    config = {"data": data, "metric": "auc", "format": {"name": "binary_probability"}}
    (root / "config.json").write_text(json.dumps(config))
    for name, values in (("m", logit + offset), ("f", other)):
        shares = sigmoid(values)
        wide = pd.DataFrame({"id": ids, "no": 1 - shares, "yes": shares})
        wide[:rows].assign(fold=number[:rows] % FOLDS).to_csv(root / f"{name}-oof.csv", index=False)
        wide[rows:].to_csv(root / f"{name}-test.csv", index=False)
        import_predictions(root, root / f"{name}-test.csv", name, root / f"{name}-oof.csv")
    exact = logit + age * ages + np.where(sites == "arm", site, -site)
    training_part = slice(0, rows)
    return {
        "member": float(roc_auc_score(truth[training_part], (logit + offset)[training_part])),
        "oracle": float(roc_auc_score(truth[training_part], exact[training_part])),
        "oracle of two members": float(roc_auc_score(truth[training_part], (logit + other)[training_part])),
    }


def measure(rows: int, seed: int, known: dict[str, float]) -> dict[str, float]:
    """AUCs, cross-fitted: of the member, of the trees on it and the columns, and of its blend with the other member."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scores = draw(root, rows, seed, **known)
        workspace = Workspace.open(root)
        scores["stack"] = stack(workspace, ["runs/m"], "trees").scores["auc"]
        scores["blend"] = _blend(workspace, ["runs/m", "runs/trees"])
        scores["two members"] = _blend(workspace, ["runs/m", "runs/f"])
    return scores


def _blend(workspace: Workspace, members: list[str]) -> float:
    """The cross-fitted AUC of a blend with weights of least log loss."""
    result = blend(workspace, members, "simplex")
    assert isinstance(result, BlendResult)
    return result.cv


def main() -> None:
    """Prints a table row per case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| planted | member | kit | oracle | gain |\n|---|---|---|---|---|")
    for case, known in CASES.items():
        scores = pd.DataFrame([measure(options.rows, seed, known) for seed in range(options.seeds)])
        _print(f"{case}: `kit stack`", scores, "stack", "oracle")
        _print(f"{case}: `kit blend` of both", scores, "blend", "oracle")
        if not known:
            _print(
                "a foreign member knows something: `kit blend`",
                scores,
                "two members",
                "oracle of two members",
            )


def _print(case: str, scores: pd.DataFrame, name_of_score: str, oracle: str) -> None:
    gain = scores[name_of_score] - scores["member"]
    error = gain.std() / np.sqrt(len(gain))
    values = " | ".join(f"{scores[name].mean():.4f}" for name in ("member", name_of_score, oracle))
    print(f"| {case} | {values} | {gain.mean():+.4f} ± {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
