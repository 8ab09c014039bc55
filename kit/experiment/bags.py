"""bags: the images of each bag and their order, checked against the tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.files import fingerprint
from kit.data.csv_file import is_number
from kit.data.table import Table
from kit.engine.bag_batches import ImageBags
from kit.engine.feature_batches import Bags
from kit.errors import Case, ConfigError, DataError, did_you_mean
from kit.evaluation.competition import Scoring
from kit.experiment.loading import Loaded
from kit.kinds import Classes, Instances, Loss
from kit.model import network

if TYPE_CHECKING:
    from kit.experiment.techniques import OpenPlugins

MAX_IMAGES = 64  # images of a bag that pass a network in one step, unless the config says so


@dataclass(frozen=True, eq=False)
class Places:
    """The position of each image in its bag, a number: (training rows,) and (rows to predict,) float64."""

    train: np.ndarray
    test: np.ndarray


def bags_of(
    table: Table, rows: np.ndarray, instances: Instances | None, places: np.ndarray | None = None
) -> Bags:
    """Returns the bags of rows of a table: the images of an answer, in the order of their positions; or one
    bag per row.
    """
    if instances is None:
        return Bags.of_rows(rows)
    assert table.answers is not None
    return Bags.of_groups(rows, table.answers, places)


def open_instances(
    workspace: Workspace, table: Table, test: Table, scoring: Scoring
) -> tuple[Instances | None, Places | None]:
    """Returns how vectors of bags are pooled, and the positions of images in their bags, if the config names
    them.

    Raises ConfigError C84 without data.answer, without data.order if it is needed, and for an aggregator that
    changes equal predictions; C07 if a column does not exist. Raises DataError D89 for a bag with two labels,
    D90 for images that share a position.
    """
    spec, column = workspace.experiment.instances, workspace.competition.data.order
    if spec is None:
        return None, None
    instances = Instances.open(spec, workspace.root, "instances")
    name = instances.plugin_name()
    if table.answers is None:
        raise ConfigError(
            f"instances {name!r} pools the images of a bag, and the config names no bags",
            code="C84",
            hint="data.answer=COLUMN, the column whose values are the bags",
        )
    _check_labels(table)
    _check_aggregator(scoring, table)
    if column is not None:
        return instances, Places(_places(table, column, "training"), _places(test, column, "test"))
    if instances.uses_order():
        raise ConfigError(
            f"instances {name!r} uses the order of the images of a bag, and the config names none",
            code="C84",
            hint="data.order=COLUMN, such as the number of the slice or the frame",
        )
    return instances, None


def _check_labels(table: Table) -> None:
    """Raises DataError D89 for a bag whose images, including those of other sources, have different labels."""
    assert table.answers is not None
    labels = table.targets()
    _, first, number = np.unique(table.answers, return_index=True, return_inverse=True)
    others = first[number]  # the first image of each row's bag
    differs = (labels != labels[others]).reshape(len(table), -1).any(axis=1)
    if not differs.any():
        return
    names, answers = table.ids.tolist(), table.answers.tolist()
    raise DataError(
        f"{len(np.unique(number[differs]))} bags have images with different labels",
        code="D89",
        cases=[
            Case(f"another label than {names[others[row]]} of bag {answers[row]!r}", id=names[row])
            for row in np.flatnonzero(differs)
        ],
        hint="correct the table, or name another column in data.answer",
    )


def _check_aggregator(scoring: Scoring, table: Table) -> None:
    """Raises ConfigError C84 if the aggregator changes equal predictions, because all images of a bag have
    the bag's.
    """
    prediction = table.target.normalise(np.linspace(0.2, 0.6, len(table.classes))[None])
    recipe = scoring.aggregator
    if np.allclose(recipe.combine(np.repeat(prediction[:, None], 3, axis=1)), prediction, atol=1e-6):
        return
    raise ConfigError(
        f"aggregator {recipe.plugin_name()!r} changes the prediction of a bag, which each of its images has",
        code="C84",
        hint="aggregator=mean",
    )


def _places(table: Table, column: str, split: str) -> np.ndarray:
    """Returns the position of each image, (rows,) float64.

    Raises C07, and DataError D90 for cells that are not a position.
    """
    if not len(table):
        return np.zeros(0)
    known = [str(name) for name in table.frame.columns]
    if column not in known:
        raise ConfigError(
            f"data.order: the {split} table has no column {column!r}{did_you_mean(column, known)}",
            code="C07",
            hint=f"its columns: {', '.join(known)}",
        )
    assert table.answers is not None
    cells, cases = table.frame[column].tolist(), []
    places, seen = np.zeros(len(table)), dict[tuple[str, float], str]()
    for row, (name, answer, cell) in enumerate(
        zip(table.ids.tolist(), table.answers.tolist(), cells, strict=True)
    ):
        if not (is_number(cell) and np.isfinite(float(cell))):
            cases.append(Case(f"{cell!r} is not a number", id=name, split=split, code="D90"))
            continue
        places[row] = float(cell)
        if (answer, places[row]) in seen:
            text = f"place {cell} of {answer!r} is also that of {seen[answer, places[row]]}"
            cases.append(Case(text, id=name, split=split, code="D90"))
        seen[answer, places[row]] = name
    if cases:
        raise DataError(
            f"{len(cases)} {split} images have no place of their own in their bag (data.order {column!r})",
            code="D90",
            cases=cases,
            hint="write a number into each cell of the column, once per bag; or another data.order",
        )
    return places


def check_end_to_end(experiment: Experiment, techniques: OpenPlugins, ranks: int) -> None:
    """Raises ConfigError C84 for what a network on bags of images does not support."""
    wrong = {
        "compile": experiment.compile,
        "pseudo_labels": experiment.pseudo_labels is not None,
        "columns": experiment.columns is not None,
        "several ranks": ranks > 1,
    }
    unsupported = [name for name, is_set in wrong.items() if is_set]
    if unsupported:
        raise ConfigError(
            f"instances trains a network on bags of images, and does not support {', '.join(unsupported)}",
            code="C84",
            hint=f"omit {unsupported[0]}; or kit embed, then backbone=embeddings backbone.run=RUN",
        )
    check_no_mixing(techniques, "C84", "and a row is a bag of several")


def check_no_mixing(techniques: OpenPlugins, code: str, reason: str) -> None:
    """Raises ConfigError for a loss that mixes images or reads test images, also as the base of another loss."""
    for stage in techniques.stages:
        loss: Loss | None = stage.loss
        while loss is not None:
            if type(loss).mix is not Loss.mix or loss.reads_unlabelled:
                verb = "reads test" if loss.reads_unlabelled else "mixes"
                raise ConfigError(
                    f"loss {loss.plugin_name()!r} {verb} images, {reason}",
                    code=code,
                    hint=f"loss={getattr(loss, 'base', loss).plugin_name()}",
                )
            loss = loss.base_loss()


def find_bags(loaded: Loaded, max_instances: int | None, split: str = "test") -> ImageBags:
    """Returns the bags of all images of a table. Raises C07 and D90 for the order of images in their bags.

    A network sees at most `max_instances` of a bag, by default all. An image without an answer is a bag of its own.
    """
    table = loaded.table
    assert table.answers is not None
    names = np.where(
        table.answers == "", np.char.add("row ", np.arange(len(table)).astype(str)), table.answers
    )
    places = None if loaded.order is None else _places(table, loaded.order, split)
    bags = Bags.of_groups(np.flatnonzero(~loaded.bad), names, places)
    number = np.full(len(table), -1)
    for at, rows in enumerate(bags.rows):
        number[rows] = at
    first = np.where(number < 0, np.arange(len(table)), np.r_[bags.first, -1][number])
    largest = max(map(len, bags.rows), default=1)
    return ImageBags(bags.rows, number, first, min(max_instances or largest, largest))


def check_image_bags(
    workspace: Workspace, table: Table, test: Table, scoring: Scoring, instances: Instances
) -> None:
    """Checks the bags of a network that sees their images together, before an image is read.

    Raises what `open_instances` raises, and ConfigError C84 for a large bag without instances.max_instances.
    """
    open_instances(workspace, table, test, scoring)
    for image_table in (table, test):
        _check_size(image_table, instances)


def _check_size(table: Table, instances: Instances) -> None:
    if instances.max_instances is not None or not len(table):
        return
    assert table.answers is not None
    names, counts = np.unique(table.answers, return_counts=True)
    at = int(counts.argmax())
    if counts[at] > MAX_IMAGES:
        raise ConfigError(
            f"bag {str(names[at])!r} has {counts[at]} images, and all of them pass the network in one step",
            code="C84",
            hint="instances.max_instances=16; or kit embed, then backbone=embeddings backbone.run=RUN",
        )


def images_per_row(instances: Instances | None, table: Table) -> int:
    """Returns the largest number of images of a row of a batch: one, or those of a bag."""
    if instances is None or table.answers is None:
        return 1
    largest = int(np.unique(table.answers, return_counts=True)[1].max(initial=1))
    return min(instances.max_instances or largest, largest)


def bag_classes(table: Table, first: np.ndarray, trained: np.ndarray) -> Classes:
    """Returns the information about classes for a loss if rows are bags. `first` and `trained` are first rows of
    all bags and of those that train.
    """
    means, scales = table.scale(trained)
    return replace(network.classes_from_table(table.take(first)), means=means, scales=scales)


def bags_digest(table: Table, order: list[list[float]] | None) -> str:
    """Returns the digest of the images of each bag and of their positions."""
    return fingerprint([None if table.answers is None else table.answers.tolist(), order])
