"""stack: fits boosted trees to members' probabilities and side columns, cross-fitted, as a run to blend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, fingerprint
from kit.core.progress import Progress, Work, stage
from kit.data.predictions import Predictions, Provenance, ids_fingerprint
from kit.errors import ConfigError, InvalidError
from kit.evaluation.competition import Scoring, scores, with_scores
from kit.kinds.label_kinds import MEANING, check_takes
from kit.kinds.targets import Target
from kit.runs.records import PLAIN
from kit.runs.run import STACKED, find_run
from kit.stages.blending.members import Member
from kit.stages.second_level.features import FeatureTable, make_features
from kit.stages.second_level.trees import fit_predict, open_classifier
from kit.stages.sharing.foreign import check_name, make_manifest, write_member

if TYPE_CHECKING:
    import pandas as pd

TASK = "stack"


@dataclass(frozen=True, repr=False)
class StackResult(Displayed):
    """A stacked run: its scores out of fold, those of its members on the same rows, and its features."""

    run: str
    model: str
    scores: Mapping[str, float]
    member_scores: Mapping[str, Mapping[str, float]]
    rows: int
    features: int
    columns: tuple[str, ...]
    group: str | None
    is_new: bool

    @property
    def member(self) -> str:
        """The member name for `kit blend`."""
        return f"runs/{self.run}"

    def describe(self) -> list[str]:
        """Returns what was fitted and its scores, in lines."""
        columns = ", ".join(self.columns) or "no columns (data.columns names them)"
        within = f"; ranks and z-scores within {self.group}" if self.group else ""
        before = "" if self.is_new else ", already here, unchanged"
        return [
            f"{self.member}: {self.model} on {self.features} features of {self.rows} out-of-fold rows{before}",
            f"  members {', '.join(self.member_scores)}; {columns}{within}",
            *(f"  {name}: {_words(values)}" for name, values in self.member_scores.items()),
            f"  {self.run}: {_words(self.scores)}, cross-fitted",
        ]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per member and for the stacked run: its scores."""
        return frame(
            [
                {"member": name, **values}
                for name, values in (*self.member_scores.items(), (self.run, self.scores))
            ]
        )


def _words(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())


@stage
def stack(
    workspace: Workspace | StrPath,
    members: StrPath | Sequence[StrPath],
    name: str,
    model: str = "scikit-learn",
    group: str | None = None,
    seeds: int = 1,
    options: Mapping[str, Any] | None = None,
) -> Work[StackResult]:
    """Fits trees to members' out-of-fold probabilities, `data.columns` and statistics within groups.

    Each fold's rows are predicted by trees that were fitted on the rows of the other folds. Test rows are
    predicted by trees fitted on all rows, fold by fold of the members. The result is a run `name`, a member
    like any other.

    Raises what `make_features` raises; ConfigError C02, C11, C24; C17 for labels that are not classes;
    InvalidError D46 if all rows are of one fold.
    """
    space, options = Workspace.of(workspace), dict(options or {})
    run = find_run(space, name)
    open_classifier(model, options, 0)
    yield Progress(TASK, 0, 1, "features")
    features = make_features(space, members, group)
    table, target = features.rows.table, features.rows.table.target
    scoring = Scoring.of(space, table)
    check_takes([scoring.metric], table.label_kind, space.root)
    if table.label_kind not in ("class_index", "multi_hot"):
        raise ConfigError(
            f"kit stack predicts classes, and the training table has {MEANING[table.label_kind]}",
            code="C17",
            hint="kit features --out features.parquet writes the table for another model",
        )
    numbers = [int(fold) for fold in np.unique(features.rows.folds)]
    if len(numbers) < 2:
        raise InvalidError(
            "all out-of-fold rows are of one fold, so the trees have no other rows to learn from",
            code="D46",
            hint="use members that train several folds",
        )
    request = {
        "model": model,
        "options": options,
        "seeds": seeds,
        "members": {
            str(source): fingerprint([source.oof.provenance.to_json(), source.test.provenance.to_json()])
            for source in features.members
        },
        "columns": list(space.competition.data.columns),
        "kinds": dict(space.competition.data.column_kinds),
        "group": features.group,
    }
    manifest = make_manifest(run, table, features.folds, STACKED, request)
    is_new = check_name(run, manifest)
    if is_new:
        held_out = np.zeros(features.rows.members.shape[1:])
        for index, fold in enumerate(numbers):
            yield Progress(TASK, index, len(numbers) + 1, f"fold {fold}")
            out = features.rows.folds == fold
            fit = features.train[~out], features.rows.truth[~out]
            (held_out[out],) = _predict(
                model, options, seeds, fit, [(features.train[out], features.rows.members[:, out])], target
            )
        yield Progress(TASK, len(numbers), len(numbers) + 1, "test rows")
        asked_test = (
            [features.test_features(fold) for fold in features.test_folds()] if len(features.test) else []
        )
        test = _predict(model, options, seeds, (features.train, features.rows.truth), asked_test, target)
        member = _member(run.name, features, held_out, test)
        scored = with_scores(member.oof, scoring, table)
        write_member(space, run, manifest, replace(member, oof=scored))
    written = Predictions.read(run.predictions(PLAIN) / "oof.parquet").provenance
    return StackResult(
        run=run.name,
        model=model,
        scores=dict(written.scores or {}),
        member_scores={
            str(source): scores(
                scoring, source.oof.mean().take(np.isin(source.oof.mean().ids, features.rows.ids)), table
            )
            for source in features.members
        },
        rows=len(table),
        features=features.train.shape[1],
        columns=space.competition.data.columns,
        group=features.group,
        is_new=is_new,
    )


def _predict(
    model: str,
    options: Mapping[str, Any],
    seeds: int,
    fit: tuple[pd.DataFrame, np.ndarray],
    tables_and_stacks: list[tuple[pd.DataFrame, np.ndarray]],
    target: Target,
) -> list[np.ndarray]:
    """Returns probabilities (rows, K) for features and members' probabilities (M, rows, K), by trees fitted on `fit`.

    A class that the fitted rows lack keeps the members' mean, and so does a label that all or none of them
    have.
    """
    features, truth = fit
    tables = [table for table, _ in tables_and_stacks]
    sums = [stack.mean(axis=0, dtype=np.float64) for _, stack in tables_and_stacks]
    if not target.multi_label:
        present, numbers = np.unique(truth, return_inverse=True)
        if len(present) > 1:
            predicted = fit_predict(model, options, seeds, (features, numbers), tables)
            for mean, shares in zip(sums, predicted, strict=True):
                mean[:, present] = shares * mean[:, present].sum(axis=1, keepdims=True)
        return [mean / mean.sum(axis=1, keepdims=True) for mean in sums]
    for label in range(truth.shape[1]):
        if len(np.unique(truth[:, label])) > 1:
            predicted = fit_predict(
                model, options, seeds, (features, truth[:, label].astype(np.int64)), tables
            )
            for mean, shares in zip(sums, predicted, strict=True):
                mean[:, label] = shares[:, 1]
    return sums


def _member(name: str, features: FeatureTable, held_out: np.ndarray, test: Sequence[np.ndarray]) -> Member:
    table = features.rows.table
    about = Provenance(run=name, views=PLAIN, merge="mean", classes=table.classes)
    oof = Predictions(
        features.rows.ids,
        features.rows.folds,
        table.classes,
        held_out.astype(np.float32),
        replace(about, rows="oof", folds=features.folds.fingerprint()),
        target=table.target,
    )
    if not test:
        return Member(name, PLAIN, features.folds, oof, Predictions.without_rows(table.classes, table.target))
    folds = features.test_folds()
    predicted = Predictions(
        np.tile(features.test.ids, len(folds)),
        np.repeat(folds, len(features.test)),
        table.classes,
        np.concatenate(test).astype(np.float32),
        replace(about, rows="test", ids=ids_fingerprint(features.test.ids)),
        target=table.target,
    )
    return Member(name, PLAIN, features.folds, oof, predicted)
