"""The blocks of the config's data part, such as external rows and joined tables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kit.core.locations import JOIN


def read_tab(sep: Any) -> Any:
    """Returns a separator; text such as `\\t` from a shell becomes a tab."""
    return "\t" if sep == r"\t" else sep


def plugin_name(spec: Any) -> Any:
    """Returns a plugin's spec; it may be given as a name."""
    return {"name": spec} if isinstance(spec, str) else spec


def one_or_several(value: Any) -> Any:
    """Returns a tuple; a text without a list becomes a tuple of one."""
    return (value,) if isinstance(value, str) else value


def join_patterns(patterns: Any) -> Any:
    """Joins a list of patterns into one text, as locations join their parts."""
    texts = isinstance(patterns, list | tuple) and all(isinstance(pattern, str) for pattern in patterns)
    return JOIN.join(patterns) if texts and patterns else patterns


def as_tuple(value: Any) -> Any:
    """Returns a list; an entry without a list becomes a list of one."""
    return (value,) if isinstance(value, str | Mapping) else value


def _expression(text: str | None) -> str | None:
    """Checks a regular expression with a group. Raises ValueError for any other text."""
    if text is None:
        return None
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if not groups:
        raise ValueError("a regular expression needs a group, such as (cat|dog)")
    return text


def _licences(rule: Any) -> Any:
    return [rule] if isinstance(rule, str) and rule not in ("allowed", "forbidden") else rule


def read_part(value: Any) -> Any:
    """Returns a part of an answer. It may be given as its kind, or as a list of its columns."""
    if isinstance(value, str):
        return {"kind": value}
    return {"columns": value} if isinstance(value, list | tuple) else value


class Strict(BaseModel):
    """A part of the config: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class External(Strict):
    """Labelled rows from elsewhere, and which of them the competition allows."""

    policy: Annotated[Literal["allowed", "forbidden"] | tuple[str, ...], BeforeValidator(_licences)] = Field(
        "allowed",
        description="the competition's rule for external data, or the allowed licences: `CC-BY-*`, `!*-NC*`",
    )
    train: str | None = Field(
        None, description="CSV of more labelled rows, all external: its column source names the source"
    )
    images: Annotated[str | None, BeforeValidator(join_patterns)] = Field(
        None, description="path of an image of external.train, if different"
    )
    source_column: str | None = Field(
        None,
        description="column of data.train with the external source of a row, blank for the competition's own "
        "rows; external rows are trained on and never scored",
    )


class LabelFrom(Strict):
    """Rules that make labels from columns and file names."""

    files: dict[str, str] = Field(
        {}, description="for {file} in data.label: a word for each pattern of the file's stem"
    )
    bins: dict[str, tuple[float, ...]] = Field(
        {}, description="for {column} in data.label: inner edges of the number ranges"
    )
    rename: dict[str, str] = Field({}, description="label as composed -> label in the submission")
    regex: Annotated[str | None, AfterValidator(_expression)] = Field(
        None,
        description="regular expression for the path of a labelled row's image below its folder: its group is "
        "the column label, and named groups such as (?P<label>cat|dog) are columns of these names",
    )
    one_hot: tuple[str, ...] = Field(
        (),
        description="columns of 0 and 1 with exactly one 1 per row: the column label names the column of the 1",
    )


class JoinedTable(Strict):
    """A table whose columns are joined to those of the rows, by a key that is unique in it."""

    table: str = Field(description="the CSV or JSON with more columns")
    on: str = Field(
        description="column of the rows with the key, or a pattern such as {study}_study; several rows may have "
        "the same key"
    )
    key: str | None = Field(
        None, description="column of `table` with the key, if it has another name than `on`"
    )
    rows: Literal["train", "test", "all"] = Field("train", description="the rows that the table is for")
    on_missing: Literal["stop", "blank", "skip"] = Field(
        "stop", description="rows whose key the table lacks: an error, blank cells, or not used"
    )


class TableFormat(Strict):
    """How a table is written, if not by `data.sep` and `data.encoding`."""

    sep: Annotated[str | None, BeforeValidator(read_tab)] = Field(
        None, min_length=1, max_length=1, description="field separator; null: data.sep"
    )
    encoding: str | None = Field(None, description="encoding; null: data.encoding")


class LongTable(Strict):
    """A training table with one row per id and class, which kit reads as one row per id."""

    classes: tuple[str, ...] = Field(
        (),
        description="classes of each id; if set, data.train has a row for each id and class, and each class "
        "becomes a column",
    )
    value_column: str | None = Field(None, description="column of the value, such as 0 or 1")
    class_column: str | None = Field(
        None, description="column of the class; null: the cells of data.id end in it, such as ID_7_any"
    )
    separator: str = Field(
        "_",
        min_length=1,
        description="between the id and the class in the cells of data.id, if class_column is null",
    )


class TileChoice(Strict):
    """A large image cut on a grid. The tiles with most tissue make one square image."""

    count: int = Field(
        0, ge=0, le=1024, description="tiles of a picture, a square number such as 36; 0: use the whole image"
    )
    size: int = Field(192, ge=1, le=4096, description="height and width of a tile in pixels")
    rank: Literal["dark", "colourful"] = Field(
        "dark",
        description="tiles to use: the darkest, or those whose channels differ most, if the ground is black",
    )

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        side = math.isqrt(self.count)
        if side**2 != self.count:
            raise ValueError(f"count must be a square number, such as {max(1, side) ** 2}, not {self.count}")
        return self


class PartBlock(Strict):
    """The kind of a part of an answer, and its columns, if they do not have the part's name."""

    kind: Literal["softmax", "sigmoid", "number"] = Field(
        "softmax",
        description="softmax, one class of several; sigmoid, yes or no in each column; number, a number in each column",
    )
    columns: tuple[str, ...] = Field(
        (),
        description="columns of the part, of 0 and 1 for each class of a softmax; by default the column of its name",
    )
