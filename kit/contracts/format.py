"""Contract tests of formats, on the samples of usual competitions that a format matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from kit.contracts._parts import draw_labels, draw_predictions, part_targets
from kit.core.randomness import generator
from kit.data.predictions import Predictions
from kit.experiment.sample_format import matches
from kit.kinds import Format
from kit.kinds.several_target import PART_SEPARATOR, SeveralTarget
from kit.kinds.targets import PLAIN_TARGETS

IDS = ("007", "1e5", "NA", "b", "a,c", "x y")


def samples(classes: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Returns sample submissions by their format; one number per row is only for two classes."""

    def frame(**columns: object) -> pd.DataFrame:
        return pd.DataFrame({"id": list(IDS), **columns}, dtype=str)

    plain_samples = {
        "label": frame(label=classes[0]),
        "probabilities": frame(**dict.fromkeys(reversed(classes), str(1 / len(classes)))),
        "top_k": frame(labels=" ".join(classes[:2])),
        "label_confidence": frame(label=f"{classes[1]} 0.25"),
        "labels": frame(labels=[classes[0], ",".join(classes[:2]), classes[1], *classes[:2], classes[0]]),
        "multi_hot": frame(**dict.fromkeys(classes, "1")),
        "one_hot": frame(**dict.fromkeys(classes, "0") | {classes[1]: "1"}),
        "ranked_columns": frame(best=classes[1], second=classes[0]),
        "ranking": _several_rows(classes),
        "numbers": frame(**dict.fromkeys(reversed(classes), "-12.5")),
    }
    long = {"id": [f"{name}_{label}" for name in IDS for label in classes], "p": "0.5"}
    more = {"binary_probability": frame(target="0.5")} if len(classes) == 2 else {"long": pd.DataFrame(long)}
    return {**plain_samples, **more}


def _several_rows(classes: tuple[str, ...]) -> pd.DataFrame:
    """Returns two ranked labels per id, in one row each."""
    ids = [name for name in IDS for _ in range(2)]
    labels, ranks = [list(pair) * len(IDS) for pair in (classes[:2], ("1", "2"))]
    return pd.DataFrame({"id": ids, "label": labels, "rank": ranks}, dtype=str)


def part_samples(target: SeveralTarget, columns: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Returns sample submissions of several parts by the format they are of."""

    def cells(values: Mapping[str, str]) -> pd.DataFrame:
        return pd.DataFrame({"id": list(IDS), **values}, dtype=str)

    def rows(values: Mapping[str, str], **more: str) -> pd.DataFrame:
        pairs = [(name, part) for name in IDS for part in list(values)[::-1]]
        ids = [f"{name}_{part}" for name, part in pairs]
        value_columns: Mapping[str, object] = more or {"value": [values[part] for _, part in pairs]}
        return pd.DataFrame({"row": ids, **value_columns}, dtype=str)

    names = {part.name: columns[part.place.start].partition(PART_SEPARATOR)[2] for part in target.layout}
    answers = {part: name or "-2.5" for part, name in names.items()}
    values = {name.replace(PART_SEPARATOR, "_"): "0.5" for name in columns}
    classes = {name.partition(PART_SEPARATOR)[2]: "0.5" for name in columns}
    samples_by_format = {
        "part_columns": cells(answers),
        "part_labels": rows(answers),
        "part_values": cells(values),
        "long_part_values": rows(values),
    }
    return (
        samples_by_format
        if "" in classes
        else {**samples_by_format, "part_probabilities": rows(names, **classes)}
    )


KINDS = tuple(f"kind{PART_SEPARATOR}{name}" for name in ("ant", "bee"))
SIZES = tuple(f"size{PART_SEPARATOR}{name}" for name in ("big", "low"))
PART_COLUMNS = ((*KINDS, *SIZES), (*KINDS, "flag", "height"))


def _part_cases(plugin: Format) -> Iterator[tuple[Predictions, pd.DataFrame]]:
    """Yields predictions of several parts, in another order than the sample's, for each sample that matches."""
    for target, columns in zip(part_targets(4), PART_COLUMNS, strict=True):
        rng = generator(0, "laws of formats", target.kind)
        values = draw_predictions(target, draw_labels(target, len(IDS), rng), rng)
        ids = np.array(IDS[::-1], dtype=str)
        predictions = Predictions(ids, np.full(len(IDS), -1), columns, values, target=target)
        for sample in part_samples(target, columns).values():
            if matches(plugin, sample, columns, target.kind):
                yield predictions, sample


def _cases(plugin: Format) -> Iterator[tuple[Predictions, pd.DataFrame]]:
    """Yields predictions in another order than the sample's, for each sample that the format matches."""
    yield from _part_cases(plugin)
    for classes in (("cat", "dog"), ("0", "1"), ("ant", "bee", "cat", "dog")):
        rng = generator(0, "laws of formats", len(classes))
        probabilities = rng.dirichlet(np.ones(len(classes)), len(IDS)).astype(np.float32)
        several = rng.random((len(IDS), len(classes)), dtype=np.float32)
        folds = np.full(len(IDS), -1)
        numbers = rng.normal(0, 100, several.shape).astype(np.float32)
        for shares, kind in zip((probabilities, several, numbers, probabilities), PLAIN_TARGETS, strict=True):
            ids = np.array(IDS[::-1], dtype=str)
            predictions = Predictions(ids, folds, classes, shares, target=PLAIN_TARGETS[kind])
            for sample in samples(classes).values():
                if matches(plugin, sample, classes, kind):
                    yield predictions, sample


def law_each_row_has_an_answer(plugin: Format) -> None:
    """Each row of a sample has one id of an answer."""
    for predictions, sample in _cases(plugin):
        ids = plugin.ids(sample, predictions.classes)
        assert len(ids) == len(sample), f"{len(ids)} ids of {len(sample)} rows"
        missing = set(ids) - set(predictions.ids.tolist())
        assert not missing, f"{len(missing)} ids that no row is called, such as {min(missing)!r}"


def law_it_has_the_shape_of_the_sample(plugin: Format) -> None:
    """The submission has the sample's columns, ids and order."""
    for predictions, sample in _cases(plugin):
        table = plugin.write(predictions, sample)
        assert list(table.columns) == list(sample.columns), f"columns {list(table.columns)}"
        ids = table.iloc[:, 0].tolist()
        assert ids == sample.iloc[:, 0].tolist(), f"ids {ids}"


def law_every_cell_is_text(plugin: Format) -> None:
    """Every cell is non-empty text, unless the format declares empty cells."""
    for predictions, sample in _cases(plugin):
        table = plugin.write(predictions, sample)
        blanks = plugin.empty_cells()
        bad = [
            cell
            for cell in table.to_numpy().ravel()
            if not isinstance(cell, str) or (not cell and cell not in blanks)
        ]
        assert not bad, f"{len(bad)} cells such as {bad[0]!r}"


def law_it_knows_its_own_writing(plugin: Format) -> None:
    """The submission matches as a sample of the same format."""
    for predictions, sample in _cases(plugin):
        table = plugin.write(predictions, sample)
        assert plugin.matches(table, predictions.classes), f"not so: {table.iloc[0].tolist()}"


def law_rows_are_joined_by_id(plugin: Format) -> None:
    """The order of the predictions does not change the submission."""
    for predictions, sample in _cases(plugin):
        turned = replace(
            predictions, ids=predictions.ids[::-1], probabilities=predictions.probabilities[::-1]
        )
        written, other = plugin.write(predictions, sample.copy()), plugin.write(turned, sample.copy())
        assert written.equals(other), f"{written.iloc[0].tolist()} became {other.iloc[0].tolist()}"


def law_the_sample_is_left_alone(plugin: Format) -> None:
    """The given sample is not changed."""
    for predictions, sample in _cases(plugin):
        before = sample.copy()
        plugin.write(predictions, sample)
        assert sample.equals(before), "the sample was changed"
