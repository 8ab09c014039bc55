"""Foreign members: predictions of another framework as a run to blend, with folds or marked as without."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, sha256, sync, write_json
from kit.core.progress import Progress, Work, stage
from kit.data.folds import Folds, file_groups
from kit.data.predictions import Predictions, Provenance, ids_fingerprint
from kit.data.table import Table, read_labelled_rows, rows_to_predict, sample_frame
from kit.errors import MAX_CASES, Case, ConfigError, DataError, InvalidError, KitWarning
from kit.evaluation.competition import Scoring, with_scores
from kit.experiment.sample_format import choose_format, find_written_class
from kit.runs.records import PLAIN, resolve_run
from kit.runs.run import IMPORTED, SCHEMA, Run, find_run, provenance
from kit.stages.blending.compatibility import check_together
from kit.stages.blending.members import Member
from kit.stages.sharing.foreign_table import (
    ForeignTable,
    TableLayout,
    check_same_ids,
    expand_answers,
    images_of_answers,
    read_foreign_table,
)
from kit.stages.sharing.importing import compare_folds, staging_folder

if TYPE_CHECKING:
    import pandas as pd

TASK = "import"
# AUC of confidence, out-of-fold rows against test rows: a mean over folds, which is less confident, stays
# below it
SURER_AUC = 0.7
DEVIATIONS = 3  # factor of an AUC's sampling noise by which it must exceed that


@dataclass(frozen=True, repr=False)
class ForeignMember(Displayed):
    """Imported predictions: their run, their scores, and the runs of this workspace with equal or other folds.

    If `folds` is 0, the model that predicted a row is unknown, so the member has no score. If `is_new` is
    False, the run existed.
    """

    run: str
    classes: tuple[str, ...]
    oof_rows: int
    test_rows: int
    folds: int
    scores: Mapping[str, float]
    same_folds: tuple[str, ...]
    other_folds: tuple[str, ...]
    notes: tuple[str, ...]
    is_new: bool

    @property
    def member(self) -> str:
        """The member name for `kit blend`."""
        return f"runs/{self.run}"

    def describe(self) -> list[str]:
        """Returns what was imported, in lines."""
        if not self.is_new:
            return [f"runs/{self.run}: already here, unchanged"]
        count = f"{self.test_rows} test rows, {len(self.classes)} classes"
        if not self.folds:
            return [
                f"runs/{self.run}: {count}; not verifiable: kit does not know which model predicted which row",
                "  kit blend can use it with --ensembler mean or weighted, and such a blend has no score",
                *(f"  {note}" for note in self.notes),
            ]
        lines = [f"runs/{self.run}: {self.oof_rows} out-of-fold rows in {self.folds} folds, {count}"]
        lines += [f"  out of fold: {'  '.join(f'{name} {value:.4f}' for name, value in self.scores.items())}"]
        if self.same_folds:
            lines.append(f"  same folds as {', '.join(self.same_folds)}")
        if self.other_folds:
            lines.append(f"  same rows in other folds than {', '.join(self.other_folds)}")
        return [*lines, *(f"  {note}" for note in self.notes)]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the run, its rows and its scores."""
        return frame(
            [{"run": self.run, "oof_rows": self.oof_rows, "test_rows": self.test_rows, **self.scores}]
        )


@stage
def import_predictions(
    workspace: Workspace | StrPath,
    source: StrPath,
    name: str,
    oof: StrPath | None = None,
    folds: StrPath | None = None,
) -> Work[ForeignMember]:
    """Makes a run of another framework's predictions: `source` of the test rows, `oof` of the training rows.

    Both are CSV or parquet tables with one column of probabilities per class, or in the sample's format. The
    folds are a column `fold` of `oof`, or `folds`: a fold file, or a run of the same folds. Without folds the
    run has no out-of-fold rows. Rows may be of answers if images share them. Everything is checked before
    anything is written.

    Raises ConfigError C11 if a run has the name, C13 if the name is not valid; DataError D21 to D29 if a file
    is not a table. Raises InvalidError D40 for values that are not probabilities, D41 for other ids, D42 for
    other classes, D43 for folds that leak.
    """
    space = Workspace.of(workspace)
    run, files = find_run(space, name), [Path(each) for each in (source, oof) if each is not None]
    table = read_labelled_rows(space.root, space.competition.data).sort_by_id()
    layout = _layout(space, table)
    to_predict = rows_to_predict(space, space.competition.data, table.classes)
    test_ids = to_predict.ids
    if not len(test_ids):
        raise ConfigError(
            "data.test is null, so there are no rows to predict", code="C07", hint="data.test=FILE"
        )
    yield Progress(TASK, 0, 3, str(source))
    test = expand_answers(read_foreign_table(Path(source), layout), to_predict)
    check_same_ids(test.path, test.ids, test_ids, "rows to predict")
    rows, split, notes = None, None, list(test.notes)
    if oof is not None:
        yield Progress(TASK, 1, 3, str(oof))
        rows = expand_answers(read_foreign_table(Path(oof), layout), table)
        notes += [f"{rows.path.name}: {note}" for note in rows.notes]
        split = _folds(space, rows, table, folds)
        if split is None:
            notes.append(
                f"{rows.path.name} was checked and not used; its folds: --folds FILE, or a column fold"
            )
    elif folds is not None:
        raise ConfigError("--folds belongs to the rows of --oof", code="C05", hint="--oof FILE --folds FILE")
    member = _member(run, table, test, rows, split)
    check_together([member], table)
    if rows is not None and split is not None:
        _warn_of_copies(table, split)
        warn_of_surer_rows(member.oof, member.test)
    yield Progress(TASK, 2, 3, f"writing runs/{run.name}")
    manifest = make_manifest(run, table, split, IMPORTED, {file.name: sha256(file) for file in files})
    is_new = check_name(run, manifest)
    if is_new:
        write_member(space, run, manifest, _with_scores(space, member, table))
    written = Predictions.read(run.predictions(PLAIN) / "oof.parquet").provenance if split else Provenance()
    same, other = compare_folds(space, split, run.name) if split is not None else ((), ())
    return ForeignMember(
        run=run.name,
        classes=table.classes,
        oof_rows=len(member.oof),
        test_rows=len(test_ids),
        folds=0 if split is None else split.count,
        scores=dict(written.scores or {}),
        same_folds=same,
        other_folds=other,
        notes=tuple(notes),
        is_new=is_new,
    )


def _layout(space: Workspace, table: Table) -> TableLayout:
    """Returns the possible names of columns: the classes, and the sample's one column of two classes."""
    data = space.competition.data
    ids, written, alone = [data.id], None, ""
    if data.sample is not None:
        sample = sample_frame(space.root, data)
        ids.append(str(sample.columns[0]))
        shape = choose_format(space, sample, table.classes, labels=table.label_kind)
        written = find_written_class(shape, sample, table.classes)
        alone = str(sample.columns[1])
    names = tuple(dict.fromkeys([*map(str, ids), "id"]))
    return TableLayout(
        table.classes, names, table.target, written, alone, sep=data.sep, encoding=data.encoding
    )


def _folds(space: Workspace, rows: ForeignTable, table: Table, given: StrPath | None) -> Folds | None:
    """Returns the folds of the training rows. Raises InvalidError D41 for missing rows, D43 for unusable folds."""
    own = table.ids[table.competition_rows]
    if given is not None:
        folds = _read_folds(space, given)
        if table.answers is not None and set(folds.ids.tolist()) == set(table.answers.tolist()):
            ids, at = images_of_answers(folds.ids, table)
            folds = Folds(ids, folds.numbers[at])
        check_same_ids(
            Path(given), folds.ids[np.isin(folds.ids, own)].tolist(), own.tolist(), "training rows"
        )
        folds = _of_table(folds, table)
        held_out_ids = folds.ids[(folds.numbers >= 0).any(axis=1)]
        check_same_ids(rows.path, rows.ids, held_out_ids.tolist(), "rows that the folds hold out")
        if rows.folds is None and folds.numbers.shape[1] > 1:
            raise InvalidError(
                f"{given} has {folds.numbers.shape[1]} repeats, but {rows.path} has no column fold",
                code="D43",
                hint="write the fold of each row's model into a column fold",
            )
    else:
        check_same_ids(rows.path, rows.ids, own.tolist(), "training rows")
        if rows.folds is None:
            return None
        folds = _of_table(_folds_of_column(rows), table)
    _check_trained(folds, rows.path)
    return folds


def _read_folds(space: Workspace, given: StrPath) -> Folds:
    """Returns the folds of a run, or of a file. Raises DataError D21 and D36."""
    if space.run_folder(given) is not None and not Path(given).is_file():
        return resolve_run(space, given).folds()
    try:
        return Folds.read(Path(given))
    except DataError as error:
        hint = "its columns must be id and fold: kit folds --out folds.csv writes such a file"
        raise error.replace(hint=hint if error.code == "D36" else error.hint) from None


def _of_table(folds: Folds, table: Table) -> Folds:
    """Returns the same folds on the table's rows, in its order. Rows that the folds lack are never held out."""
    numbers = np.full((len(table), folds.numbers.shape[1]), -1, np.int64)
    row_of = {name: row for row, name in enumerate(table.ids.tolist())}
    known = [row for row, name in enumerate(folds.ids.tolist()) if name in row_of]
    numbers[[row_of[str(folds.ids[row])] for row in known]] = folds.numbers[known]
    return Folds(table.ids, numbers)


def _folds_of_column(rows: ForeignTable) -> Folds:
    """Returns the folds in a column, the same number for each id. Raises InvalidError D43 for others."""
    assert rows.folds is not None
    ids, number = np.unique(rows.ids, return_inverse=True)
    counts = np.bincount(number)
    bad = ids[(counts != counts.max())]
    bad = bad if len(bad) else np.unique(rows.ids[rows.folds < 0])
    if len(bad):
        raise InvalidError(
            f"{rows.path}: {len(bad)} ids have no fold, or fewer folds than others",
            code="D43",
            cases=[Case("has no fold of its own", id=str(row_id)) for row_id in bad[:MAX_CASES]],
            hint="write a row for each id and repeat, with the fold of its model",
        )
    order = np.lexsort((rows.folds, number))
    return Folds(ids, rows.folds[order].reshape(len(ids), -1))


def _check_trained(folds: Folds, path: Path) -> None:
    """Raises InvalidError D43 for a fold that holds out all rows, so that its model was trained on none."""
    for fold in range(folds.count):
        if folds.oof_mask(fold).all():
            raise InvalidError(
                f"{path}: fold {fold} holds out all rows, so its model was trained on none of them",
                code="D43",
                hint="folds are the parts that models did not train on: kit folds --out folds.csv shows them",
            )


def _member(
    run: Run, table: Table, test: ForeignTable, rows: ForeignTable | None, folds: Folds | None
) -> Member:
    """Returns the tables as a member; without folds it has no out-of-fold rows."""
    about = Provenance(run=run.name, views=PLAIN, merge="mean", classes=table.classes)
    numbers = np.full(len(test.ids), -1, np.int64) if test.folds is None else test.folds
    predicted = Predictions(
        test.ids,
        numbers,
        table.classes,
        test.probabilities,
        replace(about, rows="test", ids=ids_fingerprint(test.ids)),
        target=table.target,
    )
    if rows is None or folds is None:
        return Member.unverified(run.name, PLAIN, predicted)
    row_of = {name: row for row, name in enumerate(folds.ids.tolist())}
    at = [row_of[name] for name in rows.ids.tolist()]
    held_out = Predictions(
        rows.ids,
        folds.numbers[at, 0] if rows.folds is None else rows.folds,
        table.classes,
        rows.probabilities,
        replace(about, rows="oof", folds=folds.fingerprint()),
        target=table.target,
    )
    extra = sorted(set(numbers.tolist()) - {-1, *range(folds.count)})
    if extra:
        raise InvalidError(
            f"{test.path} has fold {extra[0]}, but the folds are 0 to {folds.count - 1}",
            code="D43",
            hint="give both tables the same fold numbers",
        )
    return Member(run.name, PLAIN, folds, held_out, predicted)


def _warn_of_copies(table: Table, folds: Folds) -> None:
    """Warns (W80) of byte-identical images in different folds."""
    same = file_groups(table.paths)
    torn = []
    for column in folds.numbers.T:
        first: dict[int, int] = {}
        torn += [
            row
            for row, group in enumerate(same.tolist())
            if column[first.setdefault(group, row)] != column[row]
        ]
    if torn:
        names = ", ".join(table.ids[sorted(set(torn))[:MAX_CASES]])
        text = (
            f"W80 {len(set(torn))} images are byte-for-byte copies of images in other folds, so their scores are too "
            f"high: {names}"
        )
        warnings.warn(KitWarning(text), stacklevel=3)


def warn_of_surer_rows(held_out: Predictions, test: Predictions) -> None:
    """Warns (W81) if out-of-fold rows are much more confident than test rows, as rows of a model's training are."""
    from sklearn.metrics import roc_auc_score

    if not held_out.target.is_probability:
        return
    one, other = _confidence(held_out), _confidence(test)
    auc = float(roc_auc_score([1] * len(one) + [0] * len(other), np.concatenate([one, other])))
    noise = np.sqrt((len(one) + len(other) + 1) / (12 * len(one) * len(other)))
    if auc - DEVIATIONS * noise > SURER_AUC:
        text = (
            f"W81 out-of-fold rows are far more confident than test rows: mean confidence {one.mean():.3f} against "
            f"{other.mean():.3f}, AUC {auc:.2f}; the models may have trained on them"
        )
        warnings.warn(KitWarning(text), stacklevel=3)


def _confidence(predictions: Predictions) -> np.ndarray:
    """Returns the confidence of each row: its largest probability, or the mean distance of its labels from 0.5."""
    if predictions.target.sums_to_one:
        return np.asarray(predictions.probabilities.max(axis=1))
    return np.asarray(np.abs(predictions.probabilities - 0.5).mean(axis=1))


def _with_scores(space: Workspace, member: Member, table: Table) -> Member:
    if not member.is_verified:
        return member
    return replace(member, oof=with_scores(member.oof, Scoring.of(space, table), table))


def make_manifest(
    run: Run, table: Table, folds: Folds | None, made_by: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the manifest of a run without networks: the request below the word for its origin."""
    known = Folds(table.ids, np.full((len(table), 1), -1, np.int64)) if folds is None else folds
    return {
        "schema": SCHEMA,
        "name": run.name,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": {made_by: dict(request), "folds": None if folds is None else folds.fingerprint()},
        "provenance": provenance(table, known, "", []),
        "git": None,
    }


def check_name(run: Run, manifest: Mapping[str, Any]) -> bool:
    """Whether the run is new; False if it exists already. Raises ConfigError C11 if another run has the name."""
    if not run.folder.exists():
        return True
    if run.manifest.get("asked") != manifest["asked"]:
        raise ConfigError(
            f"runs/{run.name} is here already, and is another run",
            code="C11",
            hint="use another name: --as other",
        )
    return False


def write_member(space: Workspace, run: Run, manifest: Mapping[str, Any], member: Member) -> None:
    """Writes a run without networks, completely or not at all."""
    with staging_folder(space) as staging:
        staged = Run(staging / "runs" / run.name)
        write_json(staged.folder / "manifest.json", dict(manifest))
        if len(member.test):
            member.test.write(staged.predictions(PLAIN) / "test.parquet")
        if member.is_verified:
            member.folds.write(staged.folder / "folds.csv")
            member.oof.write(staged.predictions(PLAIN) / "oof.parquet")
        staged.folder.rename(run.folder)
        sync(run.folder.parent)


def as_json(member: ForeignMember) -> dict[str, Any]:
    """Returns all of it as JSON values."""
    return {**asdict(member), "member": member.member}
