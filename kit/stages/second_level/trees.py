"""Trees: gradient boosting by scikit-learn, LightGBM, XGBoost or CatBoost, with one interface.

The defaults are small trees of many rows. With 15 leaves the synthetic competitions of
benchmarks/second_level.py lost 0.03 of AUC if columns had no information, and gained nothing from an
informative number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from kit.core.installed import require_package
from kit.errors import ConfigError, did_you_mean

DEFAULT = "scikit-learn"
MISSING = "(missing)"  # CatBoost takes no missing category


class Classifier(Protocol):
    """The interface of scikit-learn's classifiers."""

    def fit(self, features: Any, truth: np.ndarray) -> Any: ...

    def predict_proba(self, features: Any) -> np.ndarray: ...

    def get_params(self) -> dict[str, Any]: ...

    def set_params(self, **options: Any) -> Any: ...


def _scikit_learn(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.05,
        max_leaf_nodes=4,
        min_samples_leaf=40,
        l2_regularization=10.0,
        early_stopping=False,
        categorical_features="from_dtype",
        random_state=seed,
    )


def _lightgbm(seed: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=100,
        learning_rate=0.05,
        num_leaves=4,
        min_child_samples=40,
        reg_lambda=10.0,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
        random_state=seed,
    )


def _xgboost(seed: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(
        n_estimators=100,
        learning_rate=0.05,
        max_leaves=4,
        grow_policy="lossguide",
        min_child_weight=10,
        reg_lambda=10.0,
        tree_method="hist",
        enable_categorical=True,
        n_jobs=1,
        random_state=seed,
    )


def _catboost(seed: int) -> Any:
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        iterations=100,
        learning_rate=0.05,
        depth=3,
        l2_leaf_reg=10.0,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
        random_seed=seed,
    )


MODELS: Mapping[str, Callable[[int], Any]] = {
    DEFAULT: _scikit_learn,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
}


def open_classifier(model: str, options: Mapping[str, Any], seed: int) -> Classifier:
    """Returns a classifier with kit's defaults and the library's own options.

    Raises ConfigError C02 for an unknown model or option, C24 for a package that is not installed.
    """
    if model not in MODELS:
        raise ConfigError(
            f"no model {model!r}{did_you_mean(model, MODELS)}", code="C02", hint=f"one of {', '.join(MODELS)}"
        )
    if model != DEFAULT:
        require_package(model, f"model {model!r}", f"--model {DEFAULT}")
    classifier: Classifier = MODELS[model](seed)
    known = _list_options(classifier)
    for name in options:
        if known and name not in known:
            raise ConfigError(
                f"{model} has no option {name!r}{did_you_mean(name, known)}",
                code="C02",
                hint=f"options such as {', '.join(sorted(known)[:5])}",
            )
    try:
        classifier.set_params(**options)
    except Exception as error:
        raise ConfigError(
            f"{model}: {error}", code="C02", hint="--options takes the library's names"
        ) from error
    return classifier


def _list_options(classifier: Classifier) -> set[str]:
    """Returns names of options; empty if the library takes others than it lists, as CatBoost does."""
    if type(classifier).__module__.startswith("catboost"):
        from inspect import signature

        return set(signature(type(classifier).__init__).parameters) - {"self"}
    return set(classifier.get_params())


def read_options(text: str | None) -> dict[str, Any]:
    """Returns options from the command's JSON object. Raises ConfigError C05."""
    if text is None:
        return {}
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise ConfigError(
            f"--options {text!r} is not a JSON object", code="C05", hint="--options '{\"max_iter\": 400}'"
        )
    return options


def fit_predict(
    model: str,
    options: Mapping[str, Any],
    seeds: int,
    train: tuple[pd.DataFrame, np.ndarray],
    feature_tables: list[pd.DataFrame],
) -> list[np.ndarray]:
    """Returns probabilities of tables of rows, (rows, classes in the training rows), the mean over `seeds` models.

    `train` are features and numbers (N,) of classes that count from 0 without a gap. Raises ConfigError C02 for options
    that the library refuses.
    """
    features, truth = train
    total: list[Any] = [0.0] * len(feature_tables)
    for seed in range(seeds):
        classifier = open_classifier(model, options, seed)
        try:
            if model == "catboost":
                names = [
                    str(name) for name in features if isinstance(features[name].dtype, pd.CategoricalDtype)
                ]
                classifier.set_params(cat_features=names)
                classifier.fit(_without_missing(features, names), truth)
                probabilities = [
                    classifier.predict_proba(_without_missing(table, names)) for table in feature_tables
                ]
            else:
                classifier.fit(features, truth)
                probabilities = [classifier.predict_proba(table) for table in feature_tables]
        except (ValueError, TypeError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise ConfigError(
                f"{model}: {first}", code="C02", hint="other --options, or --model scikit-learn"
            ) from error
        total = [sums + other for sums, other in zip(total, probabilities, strict=True)]
    return [np.asarray(sums / seeds, np.float64) for sums in total]


def _without_missing(features: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Returns categories as text, a missing one as a word."""
    filled = features.copy()
    for name in names:
        filled[name] = filled[name].astype(object).where(filled[name].notna(), MISSING).astype(str)
    return filled
