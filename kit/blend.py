"""blend: members joined by id, scored out of fold, written as a submission and entered into the board."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import duplicates, submission
from kit.blending.compatibility import check_together
from kit.blending.crossfit import cross_fit
from kit.blending.members import Member, aligned, read_members
from kit.blending.recipes import for_labels, for_metric
from kit.blending.scores import BLEND, MEAN, Comparison, Predicted, Score, compared
from kit.blending.test_rows import blended_test
from kit.board import Board, Entry
from kit.errors import Case, InvalidError, KitWarning
from kit.files import sha256
from kit.kinds import Ensembler, Format, Metric
from kit.label_kinds import check_takes
from kit.predictions import Predictions, ids_fingerprint
from kit.table import Table, sample_frame, train_table
from kit.workspace import Workspace


@dataclass(frozen=True)
class Submitted:
    """A submission that was written, validated and entered into the board."""

    number: int
    path: Path
    record: Path
    format: str
    metric: str
    ensembler: Mapping[str, Any]  # the recipe as it was fitted
    comparison: Comparison
    rows: int  # out-of-fold rows that all members cover
    test_rows: int
    rank: int  # on the board, among its metric

    @property
    def scores(self) -> tuple[Score, ...]:
        """The members' scores, then the blend's."""
        return (*self.comparison.members, self.comparison.blend)

    @property
    def cv(self) -> float:
        """The blend's score on rows that it was not fitted on."""
        return self.comparison.blend.cv


@dataclass(frozen=True, eq=False)
class Blended:
    """Test predictions of a blend, its recipe, and how it compares with its members."""

    test: Predictions
    ensembler: Ensembler
    comparison: Comparison
    oof_ids: np.ndarray


def blend(
    workspace: Workspace,
    members: Sequence[str],
    ensembler: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    top_k: int | None = None,
) -> Submitted:
    """Blends members such as `runs/a@d4`, writes the submission and enters it into the board.

    `ensembler` is a name or a spec, by default the config's. Raises InvalidError (D40-D46) for members that do not
    fit together, leak, or do not fit the sample; ConfigError and PluginError for what is asked for.
    """
    data = workspace.competition.data
    board = Board.read(workspace.submissions)  # one that cannot be read stops the blend before it writes
    metric = Metric.open(workspace.competition.metric, workspace.root, where="metric")
    asked = Ensembler.open(ensembler or workspace.competition.ensembler, workspace.root, where="ensembler")
    recipe = for_metric(asked, metric)
    read = read_members(workspace, members)
    table = _labels(workspace)
    check_takes((recipe, metric), table.label_kind, workspace.root)
    recipe = for_labels(recipe, table.is_multi_label)
    check_together(read, table)
    sample = sample_frame(workspace.root, data)
    shape = submission.choose_format(workspace, sample, read[0].test.classes, top_k, table.label_kind)
    blended = _blended(read, table, recipe, metric, sample)
    _warn_of_partial(read, len(blended.oof_ids))
    rows = submission.make_table(blended.test, sample, shape)
    named = name or f"{recipe.plugin_name()}-{'-'.join(member.run for member in read)}"
    record = _record(workspace, read, blended, metric, shape)
    written = submission.write(workspace.submissions, named, rows, record, data.sep, board.last)
    board = board.enter(_entry(written, record, blended, metric))
    return Submitted(
        number=written.number, path=written.path, record=written.record, format=shape.plugin_name(),
        metric=metric.plugin_name(), ensembler=blended.ensembler.spec(), comparison=blended.comparison,
        rows=len(blended.oof_ids), test_rows=len(rows), rank=board.rank(written.number),
    )  # fmt: skip


def _labels(workspace: Workspace) -> Table:
    """The training table; a machine that blends need not have the images that it names."""
    data = workspace.competition.data.model_copy(update={"bad_train": "drop"})
    return train_table(workspace.root, data)


def _warn_of_partial(members: Sequence[Member], shared: int) -> None:
    counts = {str(member): len(set(member.oof.ids.tolist())) for member in members}
    if max(counts.values()) > shared:
        covered = ", ".join(f"{name} {count}" for name, count in counts.items())
        text = f"W10 only the {shared} rows that all members cover are scored ({covered})"
        warnings.warn(KitWarning(text), stacklevel=3)


def _blended(
    members: Sequence[Member], table: Table, recipe: Ensembler, metric: Metric, sample: pd.DataFrame
) -> Blended:
    ids, oof = aligned(members)
    at = _positions(table, ids)
    truth = np.asarray(table.labels)[at]
    folds = np.array([members[0].held_out_by[name] for name in ids.tolist()])
    # several folds keep relatives together already, and reading all images takes long
    groups = table.take(at).groups
    if recipe.fitted:
        relatives = _relatives(table.take(at)) if len(set(folds.tolist())) == 1 else groups
        honest, fitted = cross_fit(recipe, oof, truth, folds, relatives)
        blended = Predicted(BLEND, honest, fitted.blend(oof))
    else:
        fitted, honest = recipe, recipe.blend(oof)
        blended = Predicted(BLEND, honest, honest)
    plain = [*oof, for_labels(Ensembler.open(MEAN), recipe.multi_label).blend(oof)]
    predicted = [
        Predicted(name, one, one) for name, one in zip([*map(str, members), MEAN], plain, strict=True)
    ]
    single = for_labels(for_metric(Ensembler.open("single"), metric), recipe.multi_label)
    best = _best(single, oof, truth, folds, groups)
    comparison = compared(metric, truth, folds, groups, [*predicted, blended], best)
    test = blended_test(members, fitted, sample.iloc[:, 0].unique().tolist())
    return Blended(test, fitted, comparison, ids)


def _best(
    single: Ensembler, oof: np.ndarray, truth: np.ndarray, folds: np.ndarray, groups: np.ndarray | None
) -> np.ndarray:
    """Each row as the member predicts it that is best on other rows; too few rows have the best of all."""
    try:
        return cross_fit(single, oof, truth, folds, groups)[0]
    except InvalidError:
        return single.fit(oof, truth).blend(oof)


def _relatives(table: Table) -> np.ndarray:
    """A number a row, (N,), equal for rows of one group and for images that are byte for byte the same."""
    same = duplicates.contents(table.paths)
    return same if table.groups is None else duplicates.joined(same, table.groups)


def _positions(table: Table, ids: np.ndarray) -> np.ndarray:
    """Where the ids stand in the table. Raises InvalidError (D41) for those that it lacks."""
    at = {name: row for row, name in enumerate(table.ids.tolist())}
    lost = [Case("is in no row of the training table", id=name, code="D41") for name in ids if name not in at]
    if lost:
        hint = "the training table as it was when the runs were trained; folders of images too, where they make rows"
        raise InvalidError(f"{len(lost)} predicted rows have no label", code="D41", cases=lost, hint=hint)
    return np.array([at[name] for name in ids.tolist()])


def _record(
    workspace: Workspace, members: Sequence[Member], blended: Blended, metric: Metric, shape: Format
) -> dict[str, Any]:
    """What the submission was made from, as JSON."""
    sample = workspace.path(str(workspace.competition.data.sample))
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "members": [
            {"member": str(one), "oof": dict(one.oof.about), "test": dict(one.test.about)} for one in members
        ],
        "ensembler": blended.ensembler.spec(),
        "format": shape.spec(),
        "metric": metric.spec(),
        "scores": [asdict(score) for score in (*blended.comparison.members, blended.comparison.blend)],
        "mean": asdict(blended.comparison.mean),
        "recommended": blended.comparison.recommended,
        "rows": len(blended.oof_ids),
        "test_rows": len(blended.test),
        "fingerprints": {
            "rows": ids_fingerprint(blended.oof_ids),
            "test_rows": ids_fingerprint(blended.test.ids),
            "sample": sha256(sample),
        },
    }


def _entry(written: submission.Written, record: Mapping[str, Any], blended: Blended, metric: Metric) -> Entry:
    return Entry(
        number=written.number,
        name=written.path.stem.partition("-")[2],
        file=written.path.name,
        cv=blended.comparison.blend.cv,
        metric=metric.plugin_name(),
        better="higher" if metric.higher_is_better else "lower",
        leaderboard=None,
        members=" ".join(member["member"] for member in record["members"]),
        ensembler=blended.ensembler.plugin_name(),
        rows=len(blended.oof_ids),
        created=str(record["created"]),
    )
