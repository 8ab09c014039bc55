"""Describes a new config.json's tables: counts of rows and classes, and the submission's format."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.data.table import read_labelled_rows, sample_frame, test_table, train_table
from kit.errors import KitError
from kit.evaluation.competition import explain_decision
from kit.experiment.sample_format import choose_format, find_written_class
from kit.kinds import Format


@dataclass(frozen=True)
class DescribedTables:
    """Counts, the plugin of the submission's format if there is a sample, and the lines for a person."""

    counts: Mapping[str, int]
    format: str | None
    lines: tuple[str, ...]


IN_WORDS = {"test_rows": "test rows", "numbers": "numbers per row"}  # names of counts


def describe_tables(folder: StrPath) -> DescribedTables:
    """Reads the tables of a workspace. A fault of the data becomes one of the lines, not an error."""
    workspace = Workspace.open(folder)
    data, counts, shape, lines = workspace.competition.data, dict[str, int](), None, list[str]()
    try:
        train = train_table(workspace.root, data)
        columns = "classes" if train.target.has_classes else "numbers"
        counts = {"rows": len(train), columns: len(train.classes)}
        if train.groups is not None:
            counts["groups"] = len(set(train.groups))
        if data.has_test_rows:
            counts["test_rows"] = len(test_table(workspace, data, train.classes))
        if data.sample:
            sample = sample_frame(workspace.root, data)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                chosen = choose_format(workspace, sample, train.classes, labels=train.label_kind)
            shape = chosen.plugin_name()
            positive = find_written_class(chosen, sample, train.classes)
            lines += _describe_format(chosen, positive, [str(warning.message) for warning in warned])
        if data.is_multi_label:
            rows = read_labelled_rows(workspace.root, data)
            lines.append(f"decision: {explain_decision(workspace, rows)}")
    except KitError as error:
        lines.append(f"the data is not usable yet: {error}")
    if counts:
        lines.append(", ".join(f"{count:,} {IN_WORDS.get(name, name)}" for name, count in counts.items()))
    return DescribedTables(counts, shape, tuple(lines))


def _describe_format(shape: Format, positive: str | None, warned: Sequence[str]) -> Iterator[str]:
    """Yields the format with its reason, which is a warning if the sample shows none, and all other warnings."""
    reasons = [text for text in warned if text.startswith(("W11", "W16"))]
    yield from (text for text in warned if text not in reasons)
    of = "" if positive is None else f" of {positive!r}, else format=binary_probability format.positive=CLASS"
    yield f"format: {shape.plugin_name()}{of} ({reasons[0] if reasons else 'the sample shows it'})"
