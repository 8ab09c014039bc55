"""Sample format: the format of a sample submission, and a table in its shape, checked against it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.row_sources import formats_with_ids
from kit.errors import MAX_CASES, Case, ConfigError, InvalidError, KitWarning, PluginError
from kit.kinds import Format, LabelKind, Metric, registry
from kit.kinds.label_kinds import check_takes, plugins_taking
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import PLAIN_TARGETS
from kit.kinds.unclear_sample import Decided, decide


def choose_format(
    workspace: Workspace,
    sample: pd.DataFrame,
    classes: Sequence[str],
    top_k: int | None = None,
    labels: LabelKind = "class_index",
    metric: Metric | None = None,
) -> Format:
    """Returns the config's format, or else the one that the sample shows. `top_k` sets its labels per row.

    If the sample's cells show no format, `metric` decides, by default the config's. Raises ConfigError C21 if
    no format or several match the sample, or if `top_k` has no meaning; C17 for a format that does not take
    such labels.
    """
    spec = workspace.competition.format
    fitting = _with_ids_of_its_own(workspace.root, sample, classes, labels) if spec is None else []
    decided = _by_metric(workspace, sample, classes, labels, metric) if spec is None and not fitting else None
    if spec is None and decided is None and not fitting:
        fitting = find_formats(workspace.root, sample, classes, labels)
    if spec is not None:
        chosen = Format.open(spec, workspace.root, where="format")
        check_takes([chosen], labels, workspace.root)
        if not (chosen.several_rows or sample.iloc[:, 0].is_unique):
            raise ConfigError(
                f"the sample has several rows per id, but format {chosen.plugin_name()!r} writes one",
                code="C21",
            )
    elif decided is not None:
        chosen = decided.format
    elif len(fitting) == 1:
        chosen = fitting[0]
    else:
        raise _unclear(workspace, sample, classes, fitting, labels)
    chosen = _as_the_table_separates(chosen, workspace, sample, classes)
    if top_k is None:
        return chosen
    if "k" not in chosen.option_fields():
        raise ConfigError(
            f"the sample has format {chosen.plugin_name()!r}, which has no ranked labels for --top-k",
            code="C21",
            hint="format=top_k, if the competition takes several labels in one cell",
        )
    return Format.open({**chosen.spec(), "k": top_k}, workspace.root, where="format")


def _with_ids_of_its_own(
    root: Path, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind
) -> list[Format]:
    """Returns the formats that match the sample and read the ids of answers from it.

    They also decide the rows to predict.
    """
    return [known for known in formats_with_ids(root) if matches(known, sample, classes, labels)]


def find_written_class(shape: Format, sample: pd.DataFrame, classes: Sequence[str]) -> str | None:
    """Returns the only class whose probability a format writes; None for formats that write all classes or labels."""
    name_of = getattr(shape, "positive_class", None)
    return None if name_of is None else str(name_of(sample, classes))


def find_formats(
    root: Path | None, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind
) -> list[Format]:
    """Returns the formats for such labels that match the sample; formats for only these labels go before
    those for all.
    """
    fitting = []
    for name in registry.locations("format", root):
        try:
            known = Format.open(name, root)
        except ConfigError:  # it has a required option, so it must be set explicitly
            continue
        except PluginError as error:
            text = f"W13 format {name!r} is skipped: {error.code} {error.summary}"
            warnings.warn(KitWarning(text), stacklevel=4)
            continue
        if matches(known, sample, classes, labels):
            fitting.append(known)
    own = [known for known in fitting if known.label_kinds == (labels,)]
    return own or fitting


def _as_the_table_separates(
    chosen: Format, workspace: Workspace, sample: pd.DataFrame, classes: Sequence[str]
) -> Format:
    """Returns the format with the training table's separator of labels, if no separator is set and the sample
    agrees.
    """
    spec, separator = chosen.spec(), workspace.competition.data.label_separator
    if separator is None or spec.get("separator", separator) is not None:
        return chosen
    format_with_separator = Format.open({**spec, "separator": separator}, workspace.root, where="format")
    return format_with_separator if format_with_separator.matches(sample, classes) else chosen


def matches(
    shape: Format, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind = "class_index"
) -> bool:
    """Whether a sample has a format for such labels. If ids have several rows, the format must allow that."""
    rows = shape.several_rows or sample.iloc[:, 0].is_unique
    return rows and shape.takes_labels(labels) and shape.matches(sample, classes)


def _by_metric(
    workspace: Workspace,
    sample: pd.DataFrame,
    classes: Sequence[str],
    labels: LabelKind,
    metric: Metric | None,
) -> Decided | None:
    """Returns the format that the metric decides on for a sample that shows none, with a warning."""
    if labels not in PLAIN_TARGETS:
        return None
    root, spec = workspace.root, workspace.competition.metric
    chosen = metric or Metric.open(spec, root, where="metric")
    if chosen.all_wants():
        known = ScoreContext(tuple(classes), target=PLAIN_TARGETS[labels])
        chosen = chosen.with_known(context=known, home=root)
    decided = decide(sample, classes, labels, chosen, root)
    if decided is not None:
        code = "W11" if sample.shape[1] == 2 else "W16"
        warnings.warn(KitWarning(f"{code} {decided.why}"), stacklevel=4)
    return decided


def _unclear(
    workspace: Workspace,
    sample: pd.DataFrame,
    classes: Sequence[str],
    fitting: Sequence[Format],
    labels: LabelKind,
) -> ConfigError:
    names = [known.plugin_name() for known in fitting]
    formats_tried = plugins_taking("format", labels, workspace.root)
    columns, row = (", ".join(map(str, cells)) for cells in (sample.columns, sample.iloc[0]))
    examples = ", ".join(classes[:MAX_CASES]) + (" …" if len(classes) > MAX_CASES else "")
    return ConfigError(
        "the sample submission matches "
        f"{'several formats: ' + ', '.join(names) if names else 'no known format'}",
        code="C21",
        cases=[
            Case(f"columns {columns}; first row {row}", workspace.competition.data.sample or ""),
            Case(f"the {len(classes)} classes: {examples}"),
            Case(f"tried {formats_tried}"),
        ],
        hint="format=<one of them>, or data.label_from.rename if the sample's labels have other names",
    )


def make_table(predictions: Predictions, sample: pd.DataFrame, shape: Format) -> pd.DataFrame:
    """Returns the submission as a table of text, in the sample's shape and order.

    Raises InvalidError: D41 for ids, D44 for all else that does not fit the sample.
    """
    table = shape.write(predictions, sample)
    check_table(table, sample, shape, predictions.classes)
    return table


def check_table(table: pd.DataFrame, sample: pd.DataFrame, shape: Format, classes: Sequence[str]) -> None:
    """Raises InvalidError: D44 for other columns, empty cells or cells of another format, D41 for other ids."""
    if list(table.columns) != list(sample.columns):
        raise InvalidError(
            "the columns of the submission differ from those of the sample",
            code="D44",
            cases=[
                Case(", ".join(map(str, sample.columns)), "sample"),
                Case(", ".join(map(str, table.columns)), "submission"),
            ],
        )
    ids, known = table.iloc[:, 0].tolist(), {*classes, *shape.empty_cells()}
    wanted = sample.iloc[:, 0].tolist()
    if shape.any_count:
        _check_ids(list(dict.fromkeys(ids)), list(dict.fromkeys(wanted)))
    else:
        _check_ids(ids, wanted)
    bad = [
        Case(f"column {column!r} holds {cell!r}", id=str(name), code="D44")
        for column in table.columns[1:]
        for name, cell in zip(ids, table[column].tolist(), strict=True)
        if not isinstance(cell, str) or (cell not in known and cell.strip().lower() in ("", "nan"))
    ]
    if bad:
        raise InvalidError(f"{len(bad)} cells of the submission are empty or NaN", code="D44", cases=bad)
    if not shape.matches(table, classes):
        raise InvalidError(
            f"the output of format {shape.plugin_name()!r} does not match its own format, for example "
            "because a label is not a class",
            code="D44",
            cases=[Case(",".join(row)) for row in table.head(2).to_numpy().tolist()],
        )


def _check_ids(ids: Sequence[str], wanted: Sequence[str]) -> None:
    if ids == wanted:
        return
    has, needs = set(ids), set(wanted)
    missing = [Case("is missing", id=name, code="D41") for name in wanted if name not in has]
    extra = [Case("is not in the sample", id=name, code="D41") for name in ids if name not in needs]
    raise InvalidError(
        f"the {len(ids)} ids of the submission are not the {len(wanted)} ids of the sample in its "
        f"order: {len(missing)} missing, {len(extra)} extra",
        code="D41",
        cases=[*missing[:3], *extra[:3]],
    )
