"""Every metric of scikit-learn by its name, as a function or a scorer."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError, did_you_mean
from kit.kinds import LabelKind, Metric
from kit.kinds.metric_shortcuts import SupportsRowWeights
from kit.plugins.metric._class_options import check_names, class_numbers
from kit.plugins.metric._multi_label import one_against_rest
from kit.plugins.metric._values import as_values

Takes = Literal["labels", "probabilities", "indicators", "values"]
# functions whose result is a table or a curve
NOT_NUMBERS = ("confusion_matrix", "classification_report", "_support", "_curve", "_ratios", "_thresholds")
LOWER = ("_loss", "_error", "_deviance")  # endings of functions for which lower is better
CHECKED_CLASSES, CHECKED_ROWS = 50, 4  # of the drawn rows that options are tried on: classes, rows per class


WORDS = {"class_index": "one label", "multi_hot": "several labels", "numbers": "numbers", "soft": "shares"}


class Sklearn(Metric):
    """The metric of scikit-learn that `function` names, with its options.

    `function` is a function of sklearn.metrics, such as jaccard_score, or a scorer, such as neg_brier_score. Functions
    of labels receive the most probable class, or the labels by `decision` in config.json. Others receive probabilities:
    of the second of two classes, or of all. Class numbers stand for classes, and names in `pos_label` and `labels` are
    replaced. Errors of regression receive values as `rmse` does. Lower is better for functions that end in _loss,
    _error or _deviance. Scorers keep scikit-learn's sign. Raises InvalidError if the score is undefined.

    Source: Pedregosa et al. 2011, "Scikit-learn: Machine Learning in Python"; sklearn.metrics.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")
    wants = ("classes",)

    function: str = Field("accuracy_score", description="a function of sklearn.metrics, or a scorer's name")
    options: Mapping[str, Any] = Field({}, description="arguments of the function by name")
    complement: bool = Field(
        False, description="score 1 - value, so that a loss from 0 to 1 is better if higher"
    )

    @model_validator(mode="after")
    def _exists(self) -> Self:
        function = _find(self.function)
        known = [name for name in inspect.signature(function.call).parameters if name != "sample_weight"][2:]
        wrong = next((key for key in self.options if key not in known), None)
        if wrong is not None:
            raise ConfigError(
                f"sklearn's {self.function} has no option {wrong!r}{did_you_mean(wrong, known)}",
                code="C02",
                hint=f"its options: {', '.join(known) or 'none'}",
            )
        return self

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """The direction by the function's name; always true for scorers; inverted by `complement`."""
        return _find(self.function).higher_is_better is not self.complement

    def check_context(self) -> None:
        """Tries the options on drawn rows. Raises ConfigError C47 if scikit-learn refuses them."""
        names = [name for key in ("pos_label", "labels") for name in _names_in(self.options.get(key))]
        check_names(names, self.context.classes, "options")
        classes = len(self.context.classes)
        if names or classes <= CHECKED_CLASSES:
            self._try(max(classes, 2))
        else:
            self._try(CHECKED_CLASSES)

    def _try(self, classes: int) -> None:
        rng = np.random.default_rng(0)
        numbers = np.arange(CHECKED_ROWS * classes) % classes
        probabilities = rng.dirichlet(np.ones(classes), len(numbers))
        truth: Targets = numbers
        if self.context.multi_label:
            truth = (rng.random(probabilities.shape) < 0.5).astype(np.int8)
        elif not self.context.target.has_classes:
            truth = rng.random(probabilities.shape)
        try:
            self._call(truth, probabilities, {})
        except (TypeError, ValueError) as error:
            kind = WORDS[self.context.target.kind]
            raise ConfigError(
                f"sklearn's {self.function} does not score {kind} per row of {classes} classes: {_first_line(error)}",
                code="C47",
                hint="set metric.options, or take another metric",
            ) from None

    def takes_labels(self, labels: LabelKind) -> bool:
        if labels in ("numbers", "soft"):
            return _find(self.function).takes == "values"
        return super().takes_labels(labels)

    def excluded_shortcuts(self) -> tuple[type, ...]:
        takes_weights = "sample_weight" in inspect.signature(_find(self.function).call).parameters
        return () if takes_weights else (SupportsRowWeights,)

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self._score(truth, probabilities, {})

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        def score(weights: np.ndarray) -> float:
            # rows of weight 0 would still add their classes to a mean over classes
            some = weights > 0
            return self._score(truth[some], probabilities[some], {"sample_weight": weights[some]})

        return score

    def _score(self, truth: Targets, probabilities: Probabilities, more: Mapping[str, Any]) -> float:
        try:
            value = self._call(truth, probabilities, more)
        except ValueError as error:
            raise InvalidError(f"sklearn's {self.function}: {_first_line(error)}", code="D45") from None
        if not math.isfinite(value):
            raise InvalidError(f"sklearn's {self.function} is undefined on these rows", code="D45")
        return value

    def _call(self, truth: Targets, probabilities: Probabilities, more: Mapping[str, Any]) -> float:
        function, classes = _find(self.function), probabilities.shape[1]
        given = {**function.options, **self._options_by_number(), **more}
        if function.takes == "labels":
            true = truth
            predicted = probabilities.argmax(axis=1)
            if truth.ndim == 2:
                predicted = self.decision.assign_labels(probabilities).astype(np.int8)
        elif function.takes == "values":
            true, predicted = as_values(truth, probabilities), probabilities
        elif function.takes == "indicators":
            true, predicted = one_against_rest(truth, classes).astype(np.int8), probabilities
        else:
            true, predicted = truth, _probabilities(truth, probabilities)
            if truth.ndim == 1 and classes > 2 and "labels" in inspect.signature(function.call).parameters:
                given.setdefault("labels", np.arange(classes))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of undefined ratios, which count 0 as the options say
            value = function.sign * float(function.call(true, predicted, **given))
        return 1 - value if self.complement else value

    def _options_by_number(self) -> dict[str, Any]:
        """Returns the options, with numbers in place of class names."""
        options = dict(self.options)
        for key in ("pos_label", "labels"):
            names = _names_in(options.get(key))
            if names and set(names) <= set(self.context.classes):
                numbers = class_numbers(names, self.context.classes)
                options[key] = int(numbers[0]) if isinstance(options[key], str) else numbers
        return options


def _names_in(option: Any) -> list[str]:
    """Returns the class names in an option: a text, or a list of texts."""
    values = option if isinstance(option, list | tuple) else [option]
    return [value for value in values if isinstance(value, str)]


def _probabilities(truth: Targets, probabilities: Probabilities) -> np.ndarray:
    """Returns the input of a function of probabilities: those of the second of two classes, or all, with rows
    of sum 1.
    """
    if truth.ndim == 2:
        return probabilities
    shares = probabilities.astype(np.float64)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return np.asarray(shares[:, 1] if shares.shape[1] == 2 else shares)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@dataclass(frozen=True)
class _Function:
    """A function of scikit-learn: its input beside the truth, and its sign and options as a scorer."""

    call: Callable[..., float]
    takes: Takes
    sign: int
    options: Mapping[str, Any]
    higher_is_better: bool


@lru_cache(maxsize=64)
def _find(name: str) -> _Function:
    """Returns the function or scorer of a name. Raises ConfigError C07 for an unknown one."""
    from sklearn import metrics

    known = _functions()
    if name in known:
        lower = name.endswith(LOWER) or name == "coverage_error"
        return _Function(known[name], _takes(name, known[name]), 1, {}, not lower)
    scorers = [
        scorer_name
        for scorer_name in metrics.get_scorer_names()
        if _scores_rows(metrics.get_scorer(scorer_name)._score_func)
    ]
    if name not in scorers:
        raise ConfigError(
            f"sklearn.metrics has no function or scorer {name!r} that scores predictions"
            f"{did_you_mean(name, [*known, *scorers])}",
            code="C07",
            hint="such as jaccard_score, hamming_loss or neg_brier_score",
        )
    scorer = metrics.get_scorer(name)
    call = scorer._score_func
    return _Function(call, _takes(call.__name__, call), scorer._sign, scorer._kwargs, True)


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[..., float]]:
    """Returns the functions of sklearn.metrics that return one number for true and predicted values."""
    from sklearn import metrics

    functions: dict[str, Callable[..., float]] = {}
    for name in metrics.__all__:
        function = getattr(metrics, name)
        if not inspect.isfunction(function) or any(part in name for part in NOT_NUMBERS):
            continue
        if _scores_rows(function):
            functions[name] = function
    return functions


# the first two arguments of functions of predictions; the last two are those of cohen_kappa_score
FIRST = [("y_true", name) for name in ("y_pred", "y_score", "y_prob", "y_proba", "pred_decision")] + [
    ("y1", "y2")
]
OF_PROBABILITIES = ("log_loss", "d2_log_loss_score", "d2_brier_score", "brier_score_loss")
OF_INDICATORS = (
    "coverage_error",
    "label_ranking_average_precision_score",
    "label_ranking_loss",
    "dcg_score",
    "ndcg_score",
)


def _scores_rows(function: Callable[..., float]) -> bool:
    """Whether a function compares true and predicted values of rows, and not clusters."""
    return tuple(inspect.signature(function).parameters)[:2] in FIRST


def _takes(name: str, function: Callable[..., float]) -> Takes:
    if name in OF_INDICATORS:
        return "indicators"
    if function.__module__.endswith("_regression"):
        return "values"
    second = [*inspect.signature(function).parameters][1]
    return "labels" if second in ("y_pred", "y2") and name not in OF_PROBABILITIES else "probabilities"
