"""Submission: predictions in exactly the shape of the sample, checked against it, numbered and written."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kit.config.workspace import Workspace
from kit.core import files
from kit.data.predictions import Predictions
from kit.errors import SHOWN, BusyError, Case, ConfigError, InvalidError, KitWarning, PluginError
from kit.kinds import Format, LabelKind, Metric, registry
from kit.kinds.decision import upgrade_record
from kit.kinds.label_kinds import check_takes, fitting
from kit.kinds.unclear_sample import Decided, decide

# of a record: what makes two submissions of one content the same
SAME = ("members", "ensembler", "format", "decision")
WAIT = 60.0  # seconds for another process that is writing a submission


@dataclass(frozen=True)
class Written:
    """A submission's number and its two files."""

    number: int
    path: Path
    record: Path
    is_new: bool = True  # False: the same submission was on the board already


def choose_format(
    workspace: Workspace, sample: pd.DataFrame, classes: Sequence[str], top_k: int | None = None,
    labels: LabelKind = "numbers", metric: Metric | None = None,
) -> Format:  # fmt: skip
    """The config's format, or else the one that the sample shows; `top_k` sets its labels a row.

    If the sample's cells show no format, `metric` decides, by default the config's. Raises ConfigError C21 if no format
    or several know the sample, or if `top_k` has no meaning; C17 for a format that is not for such labels.
    """
    spec = workspace.competition.format
    decided = _by_metric(workspace, sample, classes, labels, metric) if spec is None else None
    found = known_by(workspace.root, sample, classes, labels) if spec is None and decided is None else []
    if spec is not None:
        chosen = Format.open(spec, workspace.root, where="format")
        check_takes([chosen], labels, workspace.root)
        if not (chosen.several_rows or sample.iloc[:, 0].is_unique):
            raise ConfigError(
                f"the sample has several rows an id, format {chosen.plugin_name()!r} writes one", code="C21"
            )
    elif decided is not None:
        chosen = decided.format
    elif len(found) == 1:
        chosen = found[0]
    else:
        raise _unclear(workspace, sample, classes, found, labels)
    chosen = _as_the_table_separates(chosen, workspace, sample, classes)
    if top_k is None:
        return chosen
    if "k" not in chosen.options():
        raise ConfigError(
            f"the sample shows format {chosen.plugin_name()!r}, which has no ranked labels for --top-k",
            code="C21",
            hint="format=top_k, if the competition takes several labels in one cell",
        )
    return Format.open({**chosen.spec(), "k": top_k}, workspace.root, where="format")


def written_class(shape: Format, sample: pd.DataFrame, classes: Sequence[str]) -> str | None:
    """The class whose probability a format writes alone; None for formats that write all classes or labels."""
    named = getattr(shape, "positive_class", None)
    return None if named is None else str(named(sample, classes))


def known_by(
    root: Path | None, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind
) -> list[Format]:
    """The formats for such labels that know the sample; those for no other labels go before those for all."""
    found = []
    for name in registry.places("format", root):
        try:
            known = Format.open(name, root)
        except ConfigError:  # it has an option that must be given, so it is for those who ask for it
            continue
        except PluginError as error:
            text = f"W13 format {name!r} is left aside: {error.code} {error.summary}"
            warnings.warn(KitWarning(text), stacklevel=4)
            continue
        if knows(known, sample, classes, labels):
            found.append(known)
    own = [known for known in found if known.label_kinds == (labels,)]
    return own or found


def _as_the_table_separates(
    chosen: Format, workspace: Workspace, sample: pd.DataFrame, classes: Sequence[str]
) -> Format:
    """The format with the training table's separator of labels, where it is asked for none and the sample agrees."""
    spec, separator = chosen.spec(), workspace.competition.data.label_separator
    if separator is None or spec.get("separator", separator) is not None:
        return chosen
    made = Format.open({**spec, "separator": separator}, workspace.root, where="format")
    return made if made.matches(sample, classes) else chosen


def knows(shape: Format, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind = "numbers") -> bool:
    """Whether a sample is of a format for such labels; where ids have several rows, it must be one for that."""
    rows = shape.several_rows or sample.iloc[:, 0].is_unique
    return rows and shape.takes_labels(labels) and shape.matches(sample, classes)


def _by_metric(
    workspace: Workspace, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind,
    metric: Metric | None,
) -> Decided | None:  # fmt: skip
    """The format that the metric decides on for a sample that shows none; the choice is a warning."""
    root, spec = workspace.root, workspace.competition.metric
    chosen = metric or Metric.open(spec, root, where="metric")
    decided = decide(sample, classes, labels, chosen, root)
    if decided is not None:
        code = "W11" if sample.shape[1] == 2 else "W16"
        warnings.warn(KitWarning(f"{code} {decided.why}"), stacklevel=4)
    return decided


def _unclear(
    workspace: Workspace, sample: pd.DataFrame, classes: Sequence[str], found: Sequence[Format],
    labels: LabelKind,
) -> ConfigError:  # fmt: skip
    names = [known.plugin_name() for known in found]
    tried = fitting("format", labels, workspace.root)
    columns, row = (", ".join(map(str, cells)) for cells in (sample.columns, sample.iloc[0]))
    shown = ", ".join(classes[:SHOWN]) + (" …" if len(classes) > SHOWN else "")
    return ConfigError(
        f"the sample submission is of {'several formats: ' + ', '.join(names) if names else 'no known format'}",
        code="C21",
        cases=[
            Case(f"columns {columns}; first row {row}", workspace.competition.data.sample or ""),
            Case(f"the {len(classes)} classes: {shown}"),
            Case(f"tried {tried}"),
        ],
        hint="format=<one of them>, or data.rename where the sample's labels have other names",
    )


def make_table(predictions: Predictions, sample: pd.DataFrame, shape: Format) -> pd.DataFrame:
    """The submission as a table of text, in the sample's shape and order.

    Raises InvalidError: D41 for ids, D44 for what else does not fit the sample.
    """
    table = shape.write(predictions, sample)
    check_table(table, sample, shape, predictions.classes)
    return table


def check_table(table: pd.DataFrame, sample: pd.DataFrame, shape: Format, classes: Sequence[str]) -> None:
    """Raises InvalidError: D44 for other columns, empty cells or cells of no such format, D41 for other ids."""
    if list(table.columns) != list(sample.columns):
        raise InvalidError(
            "the submission's columns are not the sample's",
            code="D44",
            cases=[
                Case(", ".join(map(str, sample.columns)), "sample"),
                Case(", ".join(map(str, table.columns)), "submission"),
            ],
        )
    ids, known = table.iloc[:, 0].tolist(), {*classes, *shape.blanks()}
    _check_ids(ids, sample.iloc[:, 0].tolist())
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
            f"what format {shape.plugin_name()!r} wrote is not of its format, such as a label that is no class",
            code="D44",
            cases=[Case(",".join(row)) for row in table.head(2).to_numpy().tolist()],
        )


def _check_ids(found: Sequence[str], wanted: Sequence[str]) -> None:
    if found == wanted:
        return
    has, needs = set(found), set(wanted)
    missing = [Case("is missing", id=name, code="D41") for name in wanted if name not in has]
    extra = [Case("is not in the sample", id=name, code="D41") for name in found if name not in needs]
    raise InvalidError(
        f"the submission's {len(found)} ids are not the sample's {len(wanted)} in its order: "
        f"{len(missing)} missing, {len(extra)} extra",
        code="D41",
        cases=[*missing[:3], *extra[:3]],
    )


def slug(name: str) -> str:
    """A name that is a file's on every system: letters, digits, `.`, `_` and `-`, at most 60."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-._")[:60] or "submission"


@contextmanager
def locked(submissions: Path) -> Iterator[None]:
    """Alone at work in the folder of submissions, blocks within a block too. Raises BusyError after a minute's wait."""
    from filelock import FileLock, Timeout

    submissions.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(submissions / ".board.lock", timeout=WAIT, is_singleton=True):
            yield
    except Timeout:
        raise BusyError(
            f"another process has been writing to {submissions} for {WAIT:.0f} s", code="R08"
        ) from None


def write(
    submissions: Path,
    name: str,
    table: pd.DataFrame,
    record: Mapping[str, Any],
    sep: str = ",",
    last: int = 0,
    entered: Collection[str] = (),
) -> Written:
    """Writes NNNN-<name>.csv under the next free number, and NNNN-<name>.json with the record beside it.

    `last` is the highest number that is taken, should its file be gone; `entered` are the files that the board has. The
    same submission that is there already is not written twice; one that a killed process left outside of the board is
    written again in its place. A file that was changed on disk is written again, and kept under another name (W57).
    """
    text = text_of(table, sep)
    digits = hashlib.sha256(text.encode()).hexdigest()
    with locked(submissions):
        known = {"name": slug(name), "sha256": digits, **{key: record.get(key) for key in SAME}}
        there = _same(submissions, known)
        if there is not None and there.name in entered:
            if not there.is_file():
                files.write_text(there, text)
            elif is_changed(there):
                kept = _kept_apart(there)
                files.write_text(there, text)
                warnings.warn(
                    KitWarning(
                        f"W57 {there} was changed on disk and is restored; the changed file is {kept.name}"
                    ),
                    stacklevel=2,
                )
            return Written(_number(there), there, there.with_suffix(".json"), is_new=False)
        number = max(next_number(submissions), last + 1) if there is None else _number(there)
        path = submissions / f"{number:04d}-{slug(name)}.csv"
        made = {"number": number, "name": slug(name), "file": path.name, "sha256": digits, **record}
        files.write_json(
            path.with_suffix(".json"), made
        )  # first: it says of a file without a line whose it is
        files.write_text(path, text)
    return Written(number, path, path.with_suffix(".json"))


def is_changed(file: Path) -> bool:
    """Whether a submission is not what its record says was written; line ends alone are no change.

    Without a record nothing is known, and the answer is no.
    """
    try:
        digits = dict(files.read_json(file.with_suffix(".json")))["sha256"]
        content = file.read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return False
    # git may check out text with CRLF
    return digits not in {
        hashlib.sha256(text).hexdigest() for text in (content, content.replace(b"\r\n", b"\n"))
    }


def _kept_apart(file: Path) -> Path:
    """Moves a changed submission aside, to a name that is not taken."""
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    kept = next(name for end in ends if not (name := file.with_suffix(f".changed{end}.csv")).exists())
    return file.replace(kept)


def text_of(table: pd.DataFrame, sep: str = ",") -> str:
    """A submission as its file has it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.to_numpy().tolist())
    return text.getvalue()


def read_record(file: Path) -> dict[str, Any]:
    """What stands beside a submission: members, ensembler, format. Raises ConfigError C22 for another file."""
    try:
        found = upgrade_record(files.read_json(file))
        named = all("member" in one for one in found["members"])
    except (OSError, ValueError, KeyError, TypeError):
        found, named = {}, False
    if not named or not isinstance(found.get("ensembler"), dict) or "format" not in found:
        raise ConfigError(
            f"{file} is no record of a submission", code="C22", hint="submissions/0007-name.json, which kit blend wrote"
        )  # fmt: skip
    return found


def _same(submissions: Path, known: Mapping[str, Any]) -> Path | None:
    """The file of the same submission, made from the same members, whether it came to the board or not."""
    wanted = files.fingerprint(known)
    for file in sorted(submissions.glob(f"[0-9]*-{known['name']}.json")):
        with suppress(OSError, ValueError, TypeError):
            made = dict(files.read_json(file))
            if files.fingerprint({key: made.get(key) for key in known}) == wanted:
                return file.with_suffix(".csv")
    return None


def _number(file: Path) -> int:
    return int(file.name.partition("-")[0])


def next_number(submissions: Path) -> int:
    """One more than the highest number that a file of the folder begins with."""
    numbers = [re.match(r"(\d{4,})-", file.name) for file in submissions.iterdir()]
    return max((int(found[1]) for found in numbers if found), default=0) + 1
