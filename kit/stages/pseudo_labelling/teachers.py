"""Teachers: predictions of a fold's own networks for test rows, for rows that they never saw, and for those
they trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import Table, predictions_now
from kit.errors import Case, ConfigError, DataError, InvalidError
from kit.evaluation.answers import expand_to_images, join_test_images
from kit.evaluation.competition import Scoring, bind_rows
from kit.evaluation.crossfit import fit_without
from kit.kinds import Aggregator, Ensembler, Metric
from kit.kinds.advice import predict_command
from kit.kinds.label_kinds import MEANING
from kit.runs.run import STACKED, Run
from kit.stages.blending.compatibility import check_together
from kit.stages.blending.members import Member


@dataclass(frozen=True, eq=False)
class TeacherPredictions:
    """The predictions of one fold's teachers: probabilities or numbers (N, K), and their agreement.

    `unanimous` (N,): all predict the same class. `deviation` (N,): the standard deviation of their probabilities or
    numbers, as the root of its mean square over the columns; numbers are in standard deviations of the labels that the
    fold trains on.
    """

    ids: np.ndarray
    probabilities: np.ndarray
    unanimous: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True, eq=False)
class Teachers:
    """Members of the same folds, and how they are blended. A fitted ensembler is fitted without the fold's rows."""

    members: tuple[Member, ...]
    recipe: Ensembler
    table: Table

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds by which all of them predict both kinds of rows."""
        sets = [
            set(predictions.folds.tolist())
            for member in self.members
            for predictions in (member.oof, member.test)
        ]
        return tuple(sorted(set.intersection(*sets)))

    def of_test(self, fold: int, ids: np.ndarray) -> TeacherPredictions:
        """Returns predictions of a fold's networks for the test rows, in the order of `ids`.

        Raises InvalidError D41 for others.
        """
        return self._predictions_of(
            fold, ids, [_of(member.test, fold, ids, str(member)) for member in self.members]
        )

    def of_held_out(self, fold: int) -> TeacherPredictions:
        """Returns predictions of a fold's networks for the held-out rows that all of them predict."""
        ids = self._ids_of_held_out(fold)
        return self._predictions_of(
            fold, ids, [member.oof.take(member.oof.folds == fold).align(ids, True) for member in self.members]
        )

    def of_training(self, fold: int, predicted: Sequence[Predictions]) -> TeacherPredictions:
        """Returns predictions of a fold's networks for the rows that they trained on.

        `predicted` are the members' own predictions of these rows.
        """
        ids = predicted[0].ids[predicted[0].folds == fold]
        pairs = zip(predicted, self.members, strict=True)
        return self._predictions_of(
            fold, ids, [_of(predictions, fold, ids, str(member)) for predictions, member in pairs]
        )

    def _ids_of_held_out(self, fold: int) -> np.ndarray:
        ids = [set(member.oof.ids[member.oof.folds == fold].tolist()) for member in self.members]
        return np.array(sorted(set.intersection(*ids)), dtype=str)

    def _predictions_of(self, fold: int, ids: np.ndarray, shares: Sequence[np.ndarray]) -> TeacherPredictions:
        stack = np.stack(shares)
        classes_of_members = stack.argmax(axis=2)
        recipe = self._recipe_of(fold)
        blended = recipe.blend(stack)
        if (
            self.table.target.sums_to_one and not recipe.gives_distributions()
        ):  # soft labels are distributions
            blended = blended / blended.sum(axis=1, keepdims=True)
        blended = blended.astype(np.float32)
        scaled = stack.astype(np.float64) / self.scale_of(fold)
        deviation = np.sqrt(scaled.var(axis=0).mean(axis=1))
        return TeacherPredictions(
            ids, blended, np.asarray((classes_of_members == classes_of_members[0]).all(axis=0)), deviation
        )

    def scale_of(self, fold: int) -> np.ndarray:
        """Returns the deviation of each column of numbers among the rows that a fold trains on, (K,); 1 for shares."""
        trained = ~self.members[0].folds.oof_mask(fold)
        return np.asarray(self.table.scale(trained)[1] or np.ones(len(self.table.classes)))

    def _recipe_of(self, fold: int) -> Ensembler:
        """Returns the ensembler, fitted on the rows that other folds hold out if it needs a fit.

        Raises InvalidError D46.
        """
        return self._fitted_recipes[fold] if self.recipe.needs_fit() else self.recipe

    @cached_property
    def _fitted_recipes(self) -> dict[int, Ensembler]:
        rows = [(fold, self._ids_of_held_out(fold)) for fold in self.folds]
        ids = np.concatenate([names for _, names in rows])
        folds = np.concatenate([np.full(len(names), fold) for fold, names in rows])
        stack = np.stack(
            [
                np.concatenate(
                    [member.oof.take(member.oof.folds == fold).align(names, True) for fold, names in rows]
                )
                for member in self.members
            ]
        )
        known = self.table.take(self.table.index_of(ids))
        recipe = bind_rows(self.recipe, known)
        return {
            fold: fit_without(recipe, stack, known.targets(), folds, known.groups, np.isin(ids, names))
            for fold, names in rows
        }


def _of(predictions: Predictions, fold: int, ids: np.ndarray, name: str) -> np.ndarray:
    try:
        return predictions.take(predictions.folds == fold).align(ids)
    except InvalidError as error:
        text = f"fold {fold} of {name} predicts other rows than those of the table: {error.summary}"
        raise InvalidError(text, code="D41", cases=error.cases, hint="run kit tta for it again") from None


def check_made_by(workspace: Workspace, members: Sequence[Member]) -> None:
    """Raises DataError D61 for teachers that saw held-out rows: stacks, and means over the models of all folds."""
    cases = [
        Case("its trees were fitted on predictions by networks of all folds", str(member))
        for member in members
        if Run(workspace.runs / member.run).made_by == STACKED
    ]
    cases += [
        Case("its test rows are means over the models of all folds", str(member))
        for member in members
        if len(member.test) and (member.test.folds < 0).all()
    ]
    if cases:
        raise DataError(
            f"{len(cases)} teachers have seen rows that the student holds out",
            code="D61",
            cases=cases,
            hint="use the members of a stack; kit runs import FILE --oof FILE --as NAME, both with a column fold",
        )


def check_teachers(members: Sequence[Member], table: Table) -> None:
    """Raises the faults that would leak a held-out row to its student: DataError D60, D61; InvalidError D42,
    D43; C17.
    """
    if table.label_kind not in ("class_index", "soft", "numbers"):
        raise ConfigError(
            "kit pseudo-labels needs one class per row, shares of classes, or numbers, but the table has "
            f"{MEANING[table.label_kind]}",
            code="C17",
            hint="label test rows yourself, and add them by data.external.train; one row is sure of some labels and "
            "unsure of others, so no rule selects rows",
        )
    check_together(members, table)
    first = members[0].folds.fingerprint()
    other = next((member for member in members if member.folds.fingerprint() != first), None)
    if other is not None:
        raise DataError(
            f"{members[0]} and {other} were trained with different folds: each has seen rows that a "
            "student of the other holds out",
            code="D61",
            hint="use teachers with the same splitter, split_seed and rows",
        )
    trained = members[0].folds.ids
    if trained.tolist() != table.ids.tolist():
        raise DataError(
            f"the training table has {len(table)} rows, but {members[0].run} was trained on "
            f"{len(trained)} or different rows",
            code="D60",
            hint="restore the table, or train the teachers again",
        )
    cases = [
        Case(f"its {key} was fitted on the rows of all folds", str(member))
        for member in members
        for key in member.test.provenance.list_fitted_records()
    ]
    if cases:
        raise DataError(
            f"{len(cases)} teachers were fitted on rows that the student holds out",
            code="D61",
            cases=cases,
            hint="use their plain views, such as RUN@d4 or RUN",
        )


def spread_answers(
    members: Sequence[Member], aggregator: Aggregator, train: Table, test: Table
) -> tuple[Member, ...]:
    """Returns the members with each answer's prediction for all its images, out of fold and in test.

    Raises DataError D61 for an aggregator with a fitted option, which would be fitted on rows that students
    hold out.
    """
    if aggregator.needs_fit():
        raise DataError(
            f"aggregator {aggregator.plugin_name()!r} would be fitted on answers that the student holds out",
            code="D61",
            hint="aggregator=mean, or set the option that it fits",
        )
    scoring = Scoring(Metric.open("log_loss"), aggregator)
    members_spread = []
    for member in members:
        known = np.unique(member.oof.ids)
        oof = expand_to_images(scoring.answers(member.oof, train)[0], train, known.tolist())
        answers = join_test_images(member.test, test, aggregator)
        members_spread.append(
            replace(
                member,
                oof=oof.take(np.isin(oof.ids, known)),
                test=expand_to_images(answers, test, test.ids.tolist()),
            )
        )
    return tuple(members_spread)


def predict_training_rows(workspace: Workspace, members: Sequence[Member], table: Table) -> list[Predictions]:
    """Returns members' predictions of the rows that they trained on.

    Raises InvalidError D41 for none, D43 for other networks'.
    """
    predictions_of_members = []
    for member in members:
        file = workspace.runs / member.run / "predictions" / member.views / "train.parquet"
        if how := Run(workspace.runs / member.run).made_by:
            raise InvalidError(
                f"{member} was {how}, and has no predictions of the rows that its models trained on",
                code="D41",
                hint="--rows test",
            )
        again = (
            f"{predict_command(member.run, member.views, workspace.root, member.test.provenance)} --rows both"
        )
        if not file.is_file():
            raise InvalidError(
                f"{member} has no predictions of its training rows: {file} is missing", code="D41", hint=again
            )
        predictions = predictions_now(
            workspace.runs / member.run,
            Predictions.read(file),
            table,
            workspace.competition.data.label_from.rename,
        )
        if (
            predictions.provenance.checkpoints != member.test.provenance.checkpoints
            or predictions.classes != member.test.classes
        ):
            raise InvalidError(
                f"{file} was predicted by other checkpoints than the test rows of {member}",
                code="D43",
                hint=again,
            )
        predictions_of_members.append(predictions)
    return predictions_of_members
