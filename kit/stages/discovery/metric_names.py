"""Common names of metrics on competition pages, and the metrics with the options that they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.errors import Case, ConfigError
from kit.kinds import registry

Spec = Mapping[str, Any]
QUADRATIC = {"name": "cohen_kappa", "weights": "quadratic"}
F2 = {"name": "fbeta", "beta": 2}

# by the name in lower case without spaces and signs
NAMES: Mapping[str, Spec] = {
    "qwk": QUADRATIC,
    "quadraticweightedkappa": QUADRATIC,
    "quadratickappa": QUADRATIC,
    "kappa": {"name": "cohen_kappa"},
    "cohenskappa": {"name": "cohen_kappa"},
    "categorizationaccuracy": {"name": "accuracy"},
    "multiclassaccuracy": {"name": "accuracy"},
    "bacc": {"name": "balanced_accuracy"},
    "balancedmulticlassaccuracy": {"name": "balanced_accuracy"},
    "uar": {"name": "balanced_accuracy"},
    "macrofscore": {"name": "macro_f1"},
    "f1macro": {"name": "macro_f1"},
    "microf1": {"name": "f1", "average": "micro"},
    "microfscore": {"name": "f1", "average": "micro"},
    "f1micro": {"name": "f1", "average": "micro"},
    "weightedf1": {"name": "f1", "average": "weighted"},
    "f1weighted": {"name": "f1", "average": "weighted"},
    "f1samples": {"name": "f1", "average": "samples"},
    "meanf2": {**F2, "average": "samples"},
    "macrorecall": {"name": "recall"},
    "matthewscorrelationcoefficient": {"name": "mcc"},
    "matthewscorrcoef": {"name": "mcc"},
    "rocauc": {"name": "auc"},
    "auroc": {"name": "auc"},
    "areaundertheroccurve": {"name": "auc"},
    "meancolumnwiseauc": {"name": "auc"},
    "macrorocauc": {"name": "auc"},
    "pauc": {"name": "partial_auc"},
    "partialareaundertheroccurve": {"name": "partial_auc"},
    "pf1": {"name": "probabilistic_f1"},
    "globalaverageprecision": {"name": "gap"},
    "microap": {"name": "gap"},
    "microaverageprecision": {"name": "gap"},
    "logloss": {"name": "log_loss"},
    "multiclasslogloss": {"name": "log_loss"},
    "multiclassloss": {"name": "log_loss"},
    "crossentropy": {"name": "log_loss"},
    "kl": {"name": "kl_divergence"},
    "kullbackleiblerdivergence": {"name": "kl_divergence"},
    "rootmeansquarederror": {"name": "rmse"},
    "meanabsoluteerror": {"name": "mae"},
    "rsquared": {"name": "r2"},
    "hammingloss": {"name": "sklearn", "function": "hamming_loss"},
}

OF_F1 = {
    "mean over rows": {"name": "f1", "average": "samples"},
    "mean over classes": {"name": "macro_f1"},
    "of all decisions together": {"name": "f1", "average": "micro"},
    "of the second of two classes": {"name": "f1", "average": "binary"},
}
OF_F2 = {
    "mean over rows": {**F2, "average": "samples"},
    "mean over classes": {**F2, "average": "macro"},
    "of all decisions together": {**F2, "average": "micro"},
}
# names that mean different metrics on different pages
SEVERAL: Mapping[str, Mapping[str, Spec]] = {
    "f1score": OF_F1,
    "fscore": OF_F1,
    "meanf1": OF_F1,
    "meanf1score": OF_F1,
    "meanfscore": OF_F1,
    "f2": OF_F2,
    "f2score": OF_F2,
    "map": {
        "of ranked labels, one right": {"name": "map_at_k"},
        "of rows ranked within each class": {"name": "average_precision"},
    },
    "meanaverageprecision": {
        "of ranked labels, one right": {"name": "map_at_k"},
        "of rows ranked within each class": {"name": "average_precision"},
    },
}
AT_K = (
    (r"(?:map|mean average precision) ?@ ?(\d+)", "map_at_k"),
    (r"top[- ]?(\d+)[- ]?acc(?:uracy)?", "top_k_accuracy"),
    (r"recall ?@ ?(\d+)", "recall_at_k"),
)


def read_metric(text: str, root: Path | None = None) -> dict[str, Any]:
    """Returns the spec of a metric given by its name in kit, with options as `key=value`, as JSON, or by a common name.

    Raises ConfigError C05 for invalid JSON, C20 for a name that means different metrics. A name that kit does
    not know is returned as it is.
    """
    if text.lstrip().startswith("{"):
        return _from_json(text)
    name, *assignments = text.split()
    if name in registry.locations("metric", root) and all("=" in word for word in assignments):
        pairs = (word.partition("=") for word in assignments)
        return {"name": name, **{key: _value(value) for key, _, value in pairs}}
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    if plain in SEVERAL:
        raise ConfigError(
            f"{text!r} means different metrics",
            code="C20",
            cases=[Case(f"--metric {_as_text(spec)!r}", meaning) for meaning, spec in SEVERAL[plain].items()],
            hint="read the competition's formula, and give one of these",
        )
    for pattern, at_k in AT_K:
        if match := re.fullmatch(pattern, text.strip().lower()):
            return {"name": at_k, "k": int(match[1])}
    same = {location.replace("_", ""): location for location in registry.locations("metric", root)}
    return dict(NAMES.get(plain) or {"name": same.get(plain, text)})


def _from_json(text: str) -> dict[str, Any]:
    try:
        spec: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--metric {text!r} is not valid JSON: {error}", code="C05") from None
    return spec


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _as_text(spec: Spec) -> str:
    return " ".join([spec["name"], *(f"{key}={value}" for key, value in spec.items() if key != "name")])
