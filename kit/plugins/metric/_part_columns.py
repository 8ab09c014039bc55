"""Columns of a part of an answer, and the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence

from kit.kinds.several_target import PART_SEPARATOR, AnswerPart


def class_names_of(columns: Sequence[str], span: slice) -> tuple[str, ...]:
    """Returns the classes of a softmax part, or the columns of another part, as the training table has them."""
    return tuple(name.partition(PART_SEPARATOR)[2] or name for name in columns[span])


def places_of(part: AnswerPart) -> list[slice]:
    """Returns the columns of a softmax part together, or each column of another part."""
    if part.kind == "softmax":
        return [part.place]
    return [slice(at, at + 1) for at in range(part.place.start, part.place.stop)]
