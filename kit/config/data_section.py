"""The config's data part: where rows, labels and images are, and which of them may be used."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from kit.config.data_blocks import (
    External,
    JoinedTable,
    LabelFrom,
    LongTable,
    PartBlock,
    Strict,
    TableFormat,
    TileChoice,
    as_tuple,
    join_patterns,
    one_or_several,
    plugin_name,
    read_part,
    read_tab,
)
from kit.core.locations import JOIN
from kit.core.pixel_types import PixelType


class Data(Strict):
    """Where the rows, labels and images are.

    config.json's paths are relative to `folder`. In this object they are relative to the workspace.
    """

    folder: str = Field(
        ".",
        min_length=1,
        description="folder of the competition's files, which kit only reads; the other paths are relative "
        "to it, and those that begin with ./ to the workspace",
    )
    train: str | tuple[str, ...] = Field(
        "data/train.csv",
        description="labelled rows: a CSV, a JSON (COCO or a list of objects), a BSON file, a list of such tables, or "
        "a folder with one subfolder per class",
    )
    join: Annotated[tuple[JoinedTable, ...], BeforeValidator(as_tuple)] = Field(
        (), description="tables with more columns of the rows, such as their labels"
    )
    val: str | None = Field(
        None,
        description="second folder with one subfolder per class, if `train` is a folder; its rows join "
        "the training rows, and the column `part` is train or val",
    )
    test: str | None = Field(
        None,
        description="rows to predict: a CSV or JSON, or a folder with one row per image; by default the sample's ids",
    )
    sample: str | None = Field("data/sample_submission.csv", description="sample submission")
    id: str = Field(
        "id", description="column of the row ids; if a row has several images, a name for the row"
    )
    label: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        "label",
        description="column of the label, or a pattern such as {file}_{gender}_{age}; a list of columns, or null for "
        "the columns of data.class_list or else of the sample: each class has a column, by `target` of 0 and 1 "
        "(then a row may have several labels), of numbers or of shares, or each part has a column of its classes",
    )
    target: Literal["classes", "numbers", "shares", "several"] = Field(
        "classes",
        description="type of the labels: classes; numbers; shares of classes, such as votes, a "
        "column per class; several, one answer for each of several parts",
    )
    parts: dict[str, Annotated[PartBlock, BeforeValidator(read_part)]] = Field(
        {},
        description="parts of an answer that are not a column of classes, if `target` is several: a kind such as "
        "number, a list of columns of 0 and 1 for each class, or both",
    )
    target_range: tuple[float, float] | None = Field(
        None, description="lowest and highest number that a label can have, if `target` is numbers"
    )
    label_separator: Annotated[str | None, BeforeValidator(read_tab)] = Field(
        None, min_length=1, description="separator between the labels in a cell; null: one label per row"
    )
    images: Annotated[str, BeforeValidator(join_patterns)] = Field(
        "data/images/{id}",
        description="path of a row's image, with columns in braces, or their characters as in {id[0]}/{id}; "
        "without an extension kit tries the known ones; if it ends in /*, every image of the folder is a row; a "
        "list joins images along their "
        "channels; behind :: follows the key in a container, and {index} is the row's number from 0",
    )
    test_images: Annotated[str | None, BeforeValidator(join_patterns)] = Field(
        None, description="the same for test rows, if different"
    )
    reader: Annotated[dict[str, Any], BeforeValidator(plugin_name)] = Field(
        default_factory=lambda: {"name": "image"},
        description="how an image is read from its file or container",
    )
    extensions: tuple[str, ...] = Field(
        (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif", ".jpe", ".avif"),
        description="extensions to try, in this order, if `images` has none; other files are recognised "
        "by their content",
    )
    box: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = Field(
        (),
        description="part of the image to use: columns of x, y, width and height in pixels, or one column with "
        "these four; a CSV of id, x, y, width and height; a JSON file of COCO or MegaDetector; or a folder of "
        "YOLO files",
    )
    box_margin: float = Field(
        0.0, ge=0, le=10, description="share of a box's sides that is added on each side"
    )
    group: str | None = Field(
        None,
        description="column or pattern such as {prefix}: rows with equal values (a person, an object) "
        "share a fold; auto: near-duplicates share a fold, as listed in groups.csv; scene: "
        "near-duplicates and photos of one scene, as listed in scenes.csv",
    )
    answer: str | None = Field(
        None,
        description="column or pattern such as {folder}, whose values are the sample's ids: images with equal "
        "values share one answer, which `aggregator` makes of their predictions; by default each image is "
        "its own answer",
    )
    order: str | None = Field(
        None,
        description="column of the training and test tables with the position of an image in its answer, a number such "
        "as the slice or the frame; for `instances` that use the order",
    )
    weight: str | None = Field(
        None,
        description="column with the weight of a row, a number of 0 or more, for metric=row_weighted and "
        "loss=row_weighted",
    )
    external: External = Field(External(), description="labelled rows from elsewhere")
    columns: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = Field(
        (),
        description="additional columns of the training and test tables, such as age and site; "
        "columns=mlp and kit stack use them, and kit check looks for leaks in them",
    )
    column_kinds: dict[str, Literal["number", "category", "angle", "latitude", "longitude", "date"]] = Field(
        {},
        description="kind of a column of data.columns, if its cells show another: number, category, "
        "angle, latitude or longitude (degrees), or date",
    )
    class_list: str | None = Field(
        None,
        description="CSV whose first column lists the classes in order; FILE.json#categories for COCO's categories",
    )
    unknown_class: str | None = Field(
        None, description="class that no training row has, for rows of none of the others, such as new_whale"
    )
    superclasses: str | None = Field(
        None, description="column of data.class_list with the superclass of each class"
    )
    label_parts: tuple[str, ...] = Field(
        (),
        description="columns of data.class_list, otherwise parts of `label`, whose values together "
        "identify a class",
    )
    parents: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = Field(
        (),
        description="columns of data.class_list, otherwise of the training table, with the parents of each class, "
        "the nearest first, such as genus and family",
    )
    parent_list: str | None = Field(
        None,
        description="CSV whose first two columns are a class or a parent, and its parent, instead of data.parents",
    )
    label_from: LabelFrom = Field(LabelFrom(), description="how labels are made of columns and of file names")
    long: LongTable = Field(LongTable(), description="a table with a row for each id and class")
    sep: Annotated[str, BeforeValidator(read_tab)] = Field(
        ",", min_length=1, max_length=1, description="field separator of the CSVs"
    )
    encoding: str = Field("utf-8", description="encoding of the CSVs")
    tables: dict[str, TableFormat] = Field(
        {}, description="CSVs with another separator or encoding: file -> {sep, encoding}"
    )
    max_pixels: int = Field(
        100_000_000, gt=0, description="images whose header claims more pixels are refused"
    )
    bit_depth: Literal[8, 16, 32] = Field(
        8,
        description="bits per channel of the deepest images; 16 bits, or 32 for floats, are scaled to the cache's "
        "pixel_type by max_value",
    )
    pixel_type: PixelType = Field(
        "uint8",
        description="type of the pixels in the cache; uint16 and float32 keep more than 8 bits, and take two and "
        "four times the space",
    )
    max_value: float | None = Field(
        None,
        gt=0,
        description="value of white in images with more than 8 bits; by default 65535, for floats 1",
    )
    page: int | None = Field(
        None, ge=0, description="page of a multi-page TIFF to use; null: such files are refused"
    )
    jpeg_scaling: bool = Field(
        False,
        description="decode JPEGs of at least twice the cache's size at 1/2, 1/4 or 1/8; faster, with "
        "slightly different pixels",
    )
    alpha_fill: str = Field(
        "white",
        description="colour under transparent pixels, as a Pillow colour name; none: use the stored "
        "colours and ignore transparency",
    )
    tiles: TileChoice = Field(TileChoice(), description="use the tiles with most tissue of a large image")
    follow_symlinks: bool = Field(False, description="allow links that lead out of the image folder")
    on_unreadable_train: Literal["stop", "skip"] = Field(
        "stop", description="how to treat unreadable training images"
    )
    on_unreadable_test: Literal["stop", "class_prior"] = Field(
        "stop",
        description="how to treat unreadable test images; class_prior: their predictions are the shares of the classes",
    )

    @model_validator(mode="after")
    def _join_folder(self) -> Self:
        """Puts `folder` before the paths that are relative to it. A second validation changes nothing."""
        if posixpath.normpath(self.folder) == ".":
            return self
        given = {key: getattr(self, key) for key in type(self).model_fields}
        for key, value in change_paths(given, lambda path: below_folder(self.folder, path)).items():
            object.__setattr__(self, key, value)  # the model is frozen
        return self

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if self.target_range is not None and self.target_range[0] >= self.target_range[1]:
            raise ValueError("target_range must ascend: the lowest number, then the highest")
        return self

    @property
    def train_tables(self) -> tuple[str, ...]:
        """The files or the folder of the labelled rows."""
        return (self.train,) if isinstance(self.train, str) else self.train

    @property
    def has_test_rows(self) -> bool:
        """Whether there are rows to predict: a test table, or a sample with their ids."""
        return self.test is not None or self.sample is not None

    @property
    def is_multi_label(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.target == "classes" and (self.label_is_columns or self.label_separator is not None)

    @property
    def label_is_columns(self) -> bool:
        """Whether each class or number has its own column."""
        return self.label is None or isinstance(self.label, tuple)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns, or the pattern, that the config names for the label."""
        if isinstance(self.label, str):
            return (self.label,)
        return self.label or ()


# keys of data with paths below data.folder, in addition to those of joined tables and the names in `tables`
PATHS = ("train", "val", "test", "sample", "images", "test_images", "class_list", "parent_list")


def change_paths(data: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Returns the keys of a data section that hold paths, with each path changed. Blocks are models or objects."""

    def of(value: Any, key: str = "") -> Any:
        if isinstance(value, BaseModel):
            path = getattr(value, key)
            return value if path is None else value.model_copy(update={key: change(path)})
        if isinstance(value, Mapping):
            return value if value.get(key) is None else {**value, key: change(value[key])}
        if isinstance(value, str):
            return change(value)
        return None if value is None else type(value)(of(location, key) for location in value)

    changed = {key: of(data[key]) for key in PATHS if key in data}
    if "join" in data:
        changed["join"] = of(data["join"], "table")
    if "external" in data:
        changed["external"] = of(of(data["external"], "train"), "images")
    if "tables" in data:
        changed["tables"] = {change(name): value for name, value in data["tables"].items()}
    return changed


def below_folder(folder: str, path: str) -> str:
    """Returns a path of config.json relative to the workspace, or absolute."""
    if JOIN in path:
        return JOIN.join(below_folder(folder, part) for part in path.split(JOIN))
    if Path(path).is_absolute() or path.startswith("./"):
        return path
    path_in_folder = folder if path == "." else posixpath.join(folder, path)
    return path_in_folder if Path(folder).is_absolute() else f"./{path_in_folder}"
