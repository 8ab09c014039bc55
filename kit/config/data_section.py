"""The config's data part: where rows, labels and images are, and which of them may be used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _tab(sep: Any) -> Any:
    return "\t" if sep == r"\t" else sep  # as a shell hands it over


def _licences(rule: Any) -> Any:
    return [rule] if isinstance(rule, str) and rule not in ("allowed", "forbidden") else rule


class Strict(BaseModel):
    """A part of the config: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Strict):
    """Where the rows, the labels and the images are; paths are relative to the workspace."""

    train: str = Field(
        "data/train.csv", description="the labelled rows: a CSV, or a folder with a folder a class"
    )
    val: str | None = Field(
        None,
        description="where `train` is a folder: a second one with a folder a class, whose rows join; the column `part` "
        "says train or val",
    )
    test: str | None = Field(
        None,
        description="the rows to predict: a CSV, or a folder, each image of which is one; by default the sample's ids",
    )
    sample: str | None = Field("data/sample_submission.csv", description="the sample submission")
    id: str = Field(
        "id", description="column that names a row; where a row has several images, a name for the row"
    )
    label: str | None = Field(
        "label",
        description="the label's column, or a pattern such as {file}_{gender}_{age}; null: each class has a column of "
        "0 and 1 (as data.classes lists them, else the sample's columns), and a row may be of several",
    )
    label_separator: Annotated[str | None, BeforeValidator(_tab)] = Field(
        None, min_length=1, description="what separates a row's labels in their cell; null: one label a row"
    )
    images: str = Field(
        "data/images/{id}",
        description="path of a row's image, columns in braces; without an ending the known ones are tried; "
        "ending in /* every image of the folder is a row",
    )
    test_images: str | None = Field(None, description="the same for test rows, where it differs")
    extensions: tuple[str, ...] = Field(
        (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif", ".jpe", ".avif"),
        description="endings tried, in this order, where `images` has none; files of other endings are known by their "
        "content",
    )
    group: str | None = Field(
        None,
        description="column, or pattern such as {prefix}, whose equal values must share a fold (a person, an object); "
        "auto: near copies, by groups.csv; scene: those, and photos of one place, by scenes.csv",
    )
    source: str | None = Field(
        None,
        description="column that says from which other source a row is, blank for the competition's own; "
        "rows of other sources train and are never scored",
    )
    external_train: str | None = Field(
        None, description="a CSV of more labelled rows, all of other sources: its column source names them"
    )
    external_images: str | None = Field(
        None, description="path of an image of external_train, where it differs"
    )
    external: Annotated[Literal["allowed", "forbidden"] | tuple[str, ...], BeforeValidator(_licences)] = (
        Field(
            "allowed",
            description="what the rules say of other sources, or the licences that they allow: `CC-BY-*`, `!*-NC*`",
        )
    )
    average_group: str | None = Field(
        None, description="test column: predictions of equal values are averaged, a fold's rows in memory"
    )
    classes: str | None = Field(None, description="CSV whose first column lists the classes in order")
    class_groups: str | None = Field(
        None, description="column of data.classes that names each class's group of look-alikes"
    )
    label_factors: tuple[str, ...] = Field(
        (), description="columns of data.classes, else parts of `label`, whose values make up a class"
    )
    file_labels: dict[str, str] = Field(
        {}, description="for {file} in `label`: word by pattern of the file's stem"
    )
    bins: dict[str, tuple[float, ...]] = Field(
        {}, description="for {column} in `label`: inner edges of number ranges"
    )
    rename: dict[str, str] = Field({}, description="made label -> the label that the submission wants")
    sep: Annotated[str, BeforeValidator(_tab)] = Field(
        ",", min_length=1, max_length=1, description="what separates a CSV's fields"
    )
    encoding: str = Field("utf-8", description="the CSVs' encoding")
    max_pixels: int = Field(100_000_000, gt=0, description="images that claim more pixels are refused")
    bit_depth: Literal[8, 16, 32] = Field(
        8,
        description="bits a channel of the deepest images; 16, or 32 for floats, are brought to 8 by max_value",
    )
    max_value: float | None = Field(
        None, gt=0, description="value of white in images of more than 8 bits; by default 65535, of floats 1"
    )
    page: int | None = Field(
        None, ge=0, description="which page of a multi-page TIFF is the image; null: such files are refused"
    )
    decode: Literal["reduced", "whole"] = Field(
        "whole",
        description="reduced: JPEGs at least twice the cache's size at 1/2, 1/4 or 1/8, faster, other pixels",
    )
    alpha_fill: str = Field(
        "white",
        description="colour under transparent pixels, as Pillow names colours; none: pixels have the colours that are "
        "stored, however transparent",
    )
    follow_symlinks: bool = Field(False, description="allow links that leave the image folder")
    bad_train: Literal["stop", "drop"] = Field("stop", description="what unreadable training images do")
    bad_test: Literal["stop", "prior"] = Field("stop", description="what unreadable test images do")

    @property
    def has_test_rows(self) -> bool:
        """Whether there are rows to predict: a test table, or a sample with their ids."""
        return self.test is not None or self.sample is not None

    @property
    def is_multi_label(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.label is None or self.label_separator is not None
