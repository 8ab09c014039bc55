"""Classes: what a technique may know of a competition's classes, and which kinds of labels there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# class_index: class numbers (N,). multi_hot: 0 and 1 of shape (N, K). Losses alone, of rows that teachers labelled:
# soft: rows (N, K) that sum to 1; taught: a class number and the teachers' probabilities beside it, (N, 1 + K), those
# 0 where no teacher saw the row
LabelKind = Literal["class_index", "multi_hot", "soft", "taught"]
SEE_LABELS = frozenset(
    {"splitter", "sampler", "loss", "metric", "ensembler", "format", "scorer"}
)  # of the kinds of plugin
LABEL_KINDS: tuple[LabelKind, ...] = ("class_index", "multi_hot")  # of tables


@dataclass(frozen=True)
class Classes:
    """What a technique may know of a competition's classes, in class order."""

    names: tuple[str, ...]
    counts: tuple[int, ...] = ()  # training rows of each class
    groups: tuple[str, ...] = ()  # the shape group of each class
    factors: tuple[tuple[str, ...], ...] = ()  # the values that make up each class
    total: int = 0  # training rows in all
    multi_label: bool = False  # whether a row may have several labels, or none

    @property
    def label_kind(self) -> LabelKind:
        """The kind of labels that its rows have."""
        return label_kind(self.multi_label)


def label_kind(multi_label: bool) -> LabelKind:
    """The kind of labels of rows that may have several, or not."""
    return "multi_hot" if multi_label else "class_index"
