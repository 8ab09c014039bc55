"""Decision: assigns labels to rows that may have several. Scores and submissions use the same rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Probabilities


@dataclass(frozen=True)
class Decision:
    """Assigns labels with a probability of at least `threshold`: the most probable ones, `min_labels` to
    `max_labels` per row.
    """

    threshold: float = 0.5
    min_labels: int = 0
    max_labels: int | None = None

    def assign_labels(self, probabilities: Probabilities) -> np.ndarray:
        """Assigns labels, bool (N, K), by probabilities (N, K).

        Probabilities are compared as float32, because predictions are stored so. Of equal probabilities the
        first class is taken.
        """
        import numpy as np

        shares = probabilities.astype(np.float32)
        given: np.ndarray = shares >= np.float32(self.threshold)
        count = min(self.min_labels, shares.shape[1])
        if count:
            few = np.flatnonzero(given.sum(axis=1) < count)
            order = np.argsort(-shares[few], axis=1, kind="stable")
            given[few[:, None], order[:, :count]] = True
        if self.max_labels is not None:
            many = np.flatnonzero(given.sum(axis=1) > self.max_labels)
            order = np.argsort(-shares[many], axis=1, kind="stable")
            given[many[:, None], order[:, self.max_labels :]] = False
        return given

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Decision:
        """Returns the rule that `spec` wrote. Raises KeyError, TypeError and ValueError for anything else."""
        most = spec.get("max_labels")
        return cls(float(spec["threshold"]), int(spec["min_labels"]), None if most is None else int(most))

    def spec(self) -> dict[str, Any]:
        """Returns the rule as JSON values."""
        # without a limit it equals the rules of older records, so the same blend gives the same submission
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        least = "a row may have no label" if self.min_labels == 0 else f"at least {self.min_labels} per row"
        most = "" if self.max_labels is None else f", at most {self.max_labels}"
        return f"labels with probability {self.threshold:g} or more, {least}{most}"


def upgrade_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a submission's record in the present form. In older records metrics and formats had a threshold each.

    The file's rule becomes `decision`. A metric within the ensembler loses the threshold that it was fitted
    with.
    """
    upgraded = dict(record)
    if isinstance(upgraded.get("format"), Mapping):
        shape = dict(upgraded["format"])
        threshold, least = shape.pop("threshold", None), shape.pop("at_least_one", None)
        upgraded["format"] = shape
        if upgraded.get("decision") is None and least is not None:
            upgraded["decision"] = Decision(
                0.5 if threshold is None else float(threshold), int(bool(least))
            ).spec()
    if isinstance(upgraded.get("ensembler"), Mapping):
        upgraded["ensembler"] = _without_thresholds(upgraded["ensembler"])
    return upgraded


def _without_thresholds(spec: Mapping[str, Any]) -> dict[str, Any]:
    upgraded: dict[str, Any] = {}
    for key, value in spec.items():
        if isinstance(value, Mapping):
            inner = {
                name: item for name, item in value.items() if not (key == "metric" and name == "threshold")
            }
            upgraded[key] = _without_thresholds(inner)
        elif isinstance(value, list):
            upgraded[key] = [
                _without_thresholds(item) if isinstance(item, Mapping) else item for item in value
            ]
        else:
            upgraded[key] = value
    return upgraded
