"""pseudo: teachers' confident test rows as additional training rows.

Each fold's student is trained on its own fold's predictions. The student of fold k is trained only on
predictions by networks of fold k, and on no test row related to a row that fold k holds out. So its
out-of-fold score is unbiased, and it can be a teacher of the next round.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, stage
from kit.data.predictions import LabellingRecord, Predictions, Provenance, concat_predictions
from kit.data.pseudo_labels import PSEUDO_DIR, Form, PseudoLabels, folder_of, images_digest
from kit.data.table import Table, test_table, train_table
from kit.errors import ConfigError, KitWarning, format_cases
from kit.evaluation.competition import open_aggregator, open_ensembler
from kit.experiment.auto_groups import write_auto_groups
from kit.runs.run import Run
from kit.stages.blending.members import Member, read_members, with_current_names
from kit.stages.pseudo_labelling.estimate import Estimate
from kit.stages.pseudo_labelling.loaded_images import LoadedImages, load_images
from kit.stages.pseudo_labelling.related_rows import is_related_to_held_out
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.pseudo_labelling.selection import (
    ClassShare,
    FoldSelection,
    as_predictions,
    class_shares,
    find_shifted_classes,
    select_fold_rows,
)
from kit.stages.pseudo_labelling.teachers import (
    Teachers,
    check_made_by,
    check_teachers,
    predict_training_rows,
    spread_answers,
)
from kit.stages.pseudo_labelling.values import ValueEstimate, ValueSelection, check_rule, select_fold_values

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PseudoRequest:
    """The request to the teachers: the rule, the kind of labels, the ensembler, and the rows to label."""

    rule: Rule = field(default_factory=Rule)
    labels: Form = "hard"
    ensembler: Any = "mean"
    rows: tuple[str, ...] = ("test",)  # of `test` and `train`


@dataclass(frozen=True, repr=False)
class PseudoResult(Displayed):
    """Pseudo-labels that were written: the selected test rows, and the accuracy of such labels."""

    path: str
    round: int
    teachers: tuple[str, ...]
    labels: Form
    test_rows: int
    folds: Mapping[int, int]  # selected rows of each
    related: Mapping[int, int]  # rows of each that were left out, as they belong to rows that it holds out
    classes: tuple[ClassShare, ...]
    confidence: float  # mean of the selected rows
    held_out: Estimate
    training_rows: int  # training rows that teachers label too, over all folds
    is_new: bool  # False: the files existed
    error: ValueEstimate | None = None  # of labels that are shares or numbers

    def _lines(self) -> list[str]:
        rows_by_fold = ", ".join(f"fold {fold} {count}" for fold, count in self.folds.items())
        lines = [f"{self.path}: {self.labels} labels from {' '.join(self.teachers)}"]
        if any(self.folds.values()):
            confidence = "" if self.error else f"; mean confidence {self.confidence:.4f}"
            lines.append(f"of {self.test_rows} test rows: {rows_by_fold}{confidence}")
        if self.error is not None and self.error.error is not None:
            lines.append(f"on held-out rows such labels have the {self.error.measure} {self.error.error:.4g}")
        if self.held_out.taken:
            lines.append(f"on held-out rows {self.held_out.accuracy:.2%} of such labels are correct")
        if self.training_rows:
            lines.append(f"{self.training_rows} training rows")
        return lines

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per class: rows per fold, share, share of training rows, accuracy on held-out rows."""
        rows = [
            {"class": c.name, "rows": c.rows, "share": c.share, "prior": c.prior, "accuracy": c.accuracy}
            for c in self.classes
        ]
        return frame(rows, ("class", "rows", "share", "prior", "accuracy"))


@stage
def pseudo(
    workspace: Workspace | StrPath,
    members: Sequence[str],
    name: str | None = None,
    request: PseudoRequest | None = None,
) -> Work[PseudoResult]:
    """Writes pseudo_labels/NAME, by default round-1 and so on, from the predictions of members such as
    `runs/a@d4`.

    Raises InvalidError D40 to D49 if predictions do not fit or no row is selected, DataError D61 if a teacher
    has seen rows that a student holds out, D65 if images changed. Raises ConfigError C11, C17, C20.
    """
    workspace, request = Workspace.of(workspace), request or PseudoRequest()
    yield from write_auto_groups(workspace)
    read = read_members(workspace, members)
    number = 1 + max(_round(workspace, item) for item in read)
    folder = folder_of(workspace, name or f"round-{number}")
    train = train_table(workspace.root, workspace.competition.data).sort_by_id()
    read = with_current_names(workspace, read, train)
    check_made_by(workspace, read)
    check_teachers(read, train)
    test = test_table(workspace, workspace.competition.data, train.classes)
    recipe, metric = open_ensembler(workspace, request.ensembler, train.by_answer)
    if train.answers is not None:
        read = spread_answers(read, open_aggregator(workspace, train, metric), train, test)
    teachers = Teachers(read, recipe, train)
    if not train.has_one_class:
        check_rule(request.rule, teachers, request.labels == "soft", request.rows)
        request = replace(request, labels="numbers" if train.label_kind == "numbers" else "soft")
    training_predictions = predict_training_rows(workspace, read, train) if "train" in request.rows else []
    images = yield from load_images(workspace, read, train, test)
    yield Progress("pseudo", 0, 1)
    selections = _select_rows(teachers, request, images) if "test" in request.rows else []
    provenance = _provenance(teachers, request, images, number)
    pseudo_labels = PseudoLabels(
        folder,
        concat_predictions(
            [item.predictions(train.classes, train.target) for item in selections]
            or [_no_predictions(train)],
            provenance,
        ),
        _of_training(teachers, training_predictions, provenance) if training_predictions else None,
    )
    is_new = _write(pseudo_labels)
    return _describe(pseudo_labels, selections, teachers, is_new, request.rule)


def _provenance(teachers: Teachers, request: PseudoRequest, images: LoadedImages, number: int) -> Provenance:
    """Returns the record of how the rows were labelled."""
    members, is_sure = teachers.members, teachers.table.has_one_class
    record = LabellingRecord(
        round=number,
        teachers=tuple(map(str, members)),
        checkpoints={str(member): member.test.provenance.checkpoints for member in members},
        ensembler=teachers.recipe.spec(),
        rule={**asdict(request.rule), "threshold": request.rule.least if is_sure else 0.0},
        labels=request.labels,
        told=tuple(request.rows),
        folds_taught=tuple(teachers.folds),
        test=images_digest(images.test.table.ids, images.test.cache.hashes),
    )
    return Provenance(folds=members[0].folds.fingerprint(), labelling=record)


def _no_predictions(table: Table) -> Predictions:
    """Returns predictions without rows."""
    return Predictions.without_rows(table.classes, table.target)


def _round(workspace: Workspace, member: Member) -> int:
    """Returns the round that a member's run was a student of; 0 if it was none."""
    return int(Run(workspace.runs / member.run).provenance.get("pseudo", {}).get("round", 0))


def _select_rows(
    teachers: Teachers, request: PseudoRequest, images: LoadedImages
) -> list[FoldSelection] | list[ValueSelection]:
    """Returns a selection for each fold that all teachers have. Warns (W23) of folds that some teachers lack."""
    folds, table = teachers.members[0].folds, images.test.table
    lacking = sorted(set(range(folds.count)) - set(teachers.folds))
    if lacking:
        text = (
            f"W23 not all teachers have fold {', '.join(map(str, lacking))}: no student can be trained "
            "on this fold"
        )
        warnings.warn(KitWarning(text), stacklevel=3)
    usable = ~images.test.bad
    related = {fold: is_related_to_held_out(images.units, folds, fold) for fold in teachers.folds}
    if teachers.table.has_one_class:
        return [
            select_fold_rows(teachers, request.rule, fold, table.ids, usable, rows)
            for fold, rows in related.items()
        ]
    return [
        select_fold_values(teachers, request.rule, fold, table.ids, usable, rows)
        for fold, rows in related.items()
    ]


def _of_training(
    teachers: Teachers, training_predictions: Sequence[Predictions], provenance: Provenance
) -> Predictions:
    """Returns the predictions of each fold's teachers of the rows that they trained on."""
    table = teachers.table
    parts = [
        as_predictions(teachers.of_training(fold, training_predictions), fold, table.classes, table.target)
        for fold in teachers.folds
    ]
    return concat_predictions(parts, provenance)


def _write(pseudo_labels: PseudoLabels) -> bool:
    """Writes the files, unless equal ones exist. Raises ConfigError C11 if different ones exist."""
    name = pseudo_labels.folder.name
    if not pseudo_labels.exists():
        pseudo_labels.write()
        return True
    if not pseudo_labels.is_written():
        raise ConfigError(
            f"{PSEUDO_DIR}/{name} has different pseudo-labels, and a run may have been trained on them",
            code="C11",
            hint="another --name",
        )
    return False


def _describe(
    pseudo_labels: PseudoLabels,
    selections: Sequence[FoldSelection | ValueSelection],
    teachers: Teachers,
    is_new: bool,
    rule: Rule,
) -> PseudoResult:
    """Returns the description. Warns of classes whose share is far from the training rows' (W22)."""
    classes = teachers.table.classes
    by_class = [each for each in selections if isinstance(each, FoldSelection)]
    shares = class_shares(by_class, classes, teachers.table.prior()) if teachers.table.has_one_class else ()
    held_out = sum((selection.held_out for selection in by_class), Estimate.is_empty(len(classes)))
    confidence = np.concatenate([np.empty(0), *(selection.confidence for selection in by_class)])
    errors = [each.held_out for each in selections if isinstance(each, ValueSelection)]
    _warn(find_shifted_classes(shares, len(confidence) / max(len(selections), 1)), rule)
    return PseudoResult(
        path=f"{PSEUDO_DIR}/{pseudo_labels.folder.name}",
        round=pseudo_labels.round,
        teachers=tuple(map(str, teachers.members)),
        labels=pseudo_labels.label_type,
        test_rows=len(selections[0].taken) if selections else 0,
        folds={selection.fold: int(selection.taken.sum()) for selection in selections},
        related={selection.fold: selection.related for selection in selections},
        classes=shares,
        confidence=float(confidence.mean()) if len(confidence) else 0.0,
        held_out=held_out,
        training_rows=0 if pseudo_labels.train is None else len(pseudo_labels.train),
        is_new=is_new,
        error=sum(errors[1:], errors[0]) if errors else None,
    )


def _warn(shifted: Sequence[ClassShare], rule: Rule) -> None:
    """Warns (W22) of classes that are selected much more or less often than they occur among the training rows."""
    if not shifted:
        return
    cases = [
        f"{share.name}: {share.share:.1%} of the selected rows, {share.prior:.1%} of the training rows"
        for share in shifted
    ]
    text = f"W22 {len(shifted)} classes are far more or less frequent than among the training rows"
    other = "another --top-fraction" if rule.class_balanced else "--top-fraction 0.5 --class-balanced"
    hint = f"try: {other}, or another --threshold"
    warnings.warn(KitWarning("\n".join([text, *format_cases(cases), hint])), stacklevel=4)
