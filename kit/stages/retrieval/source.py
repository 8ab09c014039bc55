"""EmbeddedRun: a run's embeddings by one set of views, after a check that folds and rows match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kit.config.models import Experiment
from kit.config.parsing import read_stored_experiment
from kit.config.workspace import Workspace
from kit.data.embeddings import EmbeddingProvenance, Embeddings
from kit.data.folds import Folds
from kit.data.predictions import ids_fingerprint, provenance_of
from kit.data.table import Table, rows_to_predict, table_of
from kit.errors import Case, ConfigError, InvalidError
from kit.kinds import Splitter
from kit.kinds.advice import predict_command
from kit.runs.records import RunRef
from kit.runs.run import STATE_UNTRAINED, Run


@dataclass(frozen=True, eq=False)
class EmbeddedRun:
    """The embeddings of each fold by number, and the training rows, sorted by id."""

    run: Run
    views: str
    folds: Folds
    experiment: Experiment  # that the run was trained by
    splitter: Splitter
    table: Table
    by_fold: Mapping[int, Embeddings]

    @property
    def member(self) -> str:
        """The member, such as `r@hflip`."""
        return f"{self.run.name}@{self.views}"

    @property
    def provenance(self) -> EmbeddingProvenance:
        """The provenance of the first fold's embeddings. All folds share everything except the checkpoint."""
        return next(iter(self.by_fold.values())).provenance

    @property
    def has_test_rows(self) -> bool:
        """Whether there are rows to predict."""
        return any(len(embeddings.test) for embeddings in self.by_fold.values())

    @property
    def tags(self) -> dict[str, str]:
        """The checkpoint of each fold."""
        return {str(fold): embeddings.provenance.checkpoint for fold, embeddings in self.by_fold.items()}

    @cached_property
    def has_vector(self) -> np.ndarray:
        """Which training rows have a vector, bool (rows,)."""
        return next(iter(self.by_fold.values())).train.has_image()

    def gallery(self, fold: int, ignored: Sequence[str] = ()) -> np.ndarray:
        """Returns the rows that a fold's queries are compared with: its model's training rows, without
        ignored classes.
        """
        trained = self.folds.training_mask(self.splitter, fold) & self.has_vector
        if not ignored:
            return np.flatnonzero(trained)
        names = np.array([name in ignored for name in self.table.classes])
        return np.flatnonzero(trained & ~names[self.table.targets()])

    def oof_mask(self, fold: int) -> np.ndarray:
        """Returns the rows that a fold's model never saw, including those without a vector."""
        return np.flatnonzero(self.folds.oof_mask(fold))


def read_source(workspace: Workspace, text: str, table: Table) -> EmbeddedRun:
    """Reads the embeddings written `runs/r@hflip` or `r` (its plain views); `table` is the training table,
    sorted by id.

    Raises ConfigError C15 if a run does not exist. Raises InvalidError D47 for damaged embeddings, D48 for
    missing ones, and for those of other rows, classes or folds than the tables' and the run's.
    """
    ref = RunRef.parse(text, workspace)
    run, views, folder, folds = ref.run, ref.views, ref.embeddings, ref.run.folds()
    names = sorted(path.name for path in folder.glob("*") if (path / "manifest.json").is_file())
    numbers = (
        range(folds.count) if names == [STATE_UNTRAINED] else [int(name) for name in names if name.isdigit()]
    )
    if not numbers:
        raise InvalidError(
            f"runs/{run.name} has no embeddings of views {views!r}",
            code="D48",
            hint=predict_command(run.name, views, workspace.root, command="embed"),
        )
    if names == [STATE_UNTRAINED]:
        by_fold = dict.fromkeys(numbers, Embeddings.read(folder / STATE_UNTRAINED))
    else:
        by_fold = {number: Embeddings.read(folder / str(number)) for number in sorted(numbers)}
    experiment = read_stored_experiment(run.config, f"runs/{run.name}")
    splitter = experiment.open(Splitter, workspace.root)
    table = table_of(run.folder, table, workspace.competition.data)
    source = EmbeddedRun(run, views, folds, experiment, splitter, table, by_fold)
    anywhere = workspace.competition.data.model_copy(
        update={"on_unreadable_test": "class_prior"}
    )  # the images may be missing here
    _check(source, rows_to_predict(workspace, anywhere, table.classes).ids.tolist())
    return source


def _check(source: EmbeddedRun, test_ids: Sequence[str]) -> None:
    """Raises InvalidError D48 for parts that do not match, naming them."""
    cases = []
    table, mark = source.table, source.folds.fingerprint()
    if source.folds.ids.tolist() != table.ids.tolist():
        cases.append(
            Case(
                f"the table has {len(table)} rows, but the folds of the run have "
                f"{len(source.folds.ids)} or different rows"
            )
        )
    for fold, embeddings in source.by_fold.items():
        provenance, first = embeddings.provenance, source.provenance
        wrong = {
            "other classes": provenance.classes != table.classes,
            "other training rows": provenance.ids["train"] != ids_fingerprint(table.ids),
            "other test rows": set(embeddings.test.ids.tolist()) != set(test_ids),
            "other folds": provenance.folds != mark,
            "another size than fold " + str(min(source.by_fold)): embeddings.train.features
            != _features(source),
            "other settings for reading images": provenance.images != first.images,
            "another checkpoint of that number": _was_trained_again(source.run, fold, provenance.checkpoint),
        }
        cases += [Case(what, f"fold {fold}", code="D48") for what, is_wrong in wrong.items() if is_wrong]
    if cases:
        raise InvalidError(
            f"the embeddings of {source.member} do not match the run and the tables",
            code="D48",
            cases=cases,
            hint=predict_command(source.run.name, source.views, command="embed"),
        )


def _was_trained_again(run: Run, fold: int, tag: str) -> bool:
    """Whether the checkpoint of the embeddings is missing, and another one of its number predicted the fold's rows."""
    part = run.fold_predictions_file(fold)
    if not part.is_file():
        return False
    last = provenance_of(part).checkpoint(fold)
    return last.partition(":")[0] == tag.partition(":")[0] and last != tag


def _features(source: EmbeddedRun) -> int:
    return next(iter(source.by_fold.values())).train.features


def check_ignored_classes(source: EmbeddedRun, ignored: Sequence[str]) -> None:
    """Raises ConfigError C29 for an ignored class that the table does not have."""
    wrong = [name for name in ignored if name not in source.table.classes]
    if wrong:
        raise ConfigError(
            f"{wrong[0]!r} is not a class of the table",
            code="C29",
            hint='--scorer \'{"name": "unknown", "label": "CLASS"}\', or list it in data.class_list',
        )
