"""check: findings about the data before any training, each with its effect on the score and a fix."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.display import Displayed
from kit.core.files import StrPath
from kit.core.locations import files_of
from kit.core.progress import Progress, Work, stage
from kit.data.folds import Folds, connected_components, make_folds, merge_groups
from kit.data.table import Table, rows_to_predict, train_table
from kit.errors import Case, ConfigError, KitWarning
from kit.evaluation.competition import Scoring
from kit.experiment.auto_groups import write_auto_groups
from kit.experiment.loading import geometry, open_source
from kit.experiment.unusable import suggest_settings
from kit.images.cache import Cache, fill_cache
from kit.images.near_duplicates import compute_thumbnails, find_near_duplicates
from kit.kinds import Augmenter, Loss, Splitter
from kit.stages.checks import (
    adversarial,
    box_names,
    by_embeddings,
    channels,
    columns,
    copies,
    external,
    factors,
    grades,
    groups,
    label_errors,
    labels,
    mirroring,
    parents,
    sample,
    scenes,
    score,
    shift,
    side_columns,
    spellings,
)
from kit.stages.checks.by_predictions import oof_predictions
from kit.stages.checks.finding import Finding, describe_findings, findings_frame
from kit.stages.checks.shift import Measures, measure_images

if TYPE_CHECKING:
    import pandas as pd

LEVEL_ORDER = {"problem": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, eq=False, repr=False)
class CheckResult(Displayed):
    """The checked data, and the findings, problems first."""

    train: int
    test: int
    classes: int
    findings: tuple[Finding, ...]
    folds: str = ""  # the fingerprint of the checked folds
    labels: str = ""  # in words, such as `5 classes`

    @property
    def problems(self) -> int:
        """The number of findings that make scores wrong or stop training."""
        return sum(finding.level == "problem" for finding in self.findings)

    def _lines(self) -> list[str]:
        return describe_findings(
            f"{self.train} training rows of {self.labels or f'{self.classes} classes'}, {self.test} test rows",
            self.findings,
        )

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per finding: code, level, summary, effect, fix and number of cases."""
        return findings_frame(self.findings)


@stage
def run_checks(
    workspace: Workspace | StrPath, runs: Sequence[str] = (), checkpoints: Sequence[str] = ()
) -> Work[CheckResult]:
    """Checks tables, images and the out-of-fold predictions of `runs`, by default of the best one.

    It decodes into the cache.

    For `checkpoints` it checks the embeddings by their networks, which needs torch.

    Raises DataError and ConfigError for unreadable tables, as kit train does, and for runs that do not fit.
    """
    workspace = Workspace.of(workspace)
    data, root = workspace.competition.data, workspace.root
    yield from write_auto_groups(workspace)
    train = train_table(root, data).sort_by_id()
    test = rows_to_predict(workspace, data, train.classes)
    splitter = workspace.experiment.open(Splitter, root)
    with warnings.catch_warnings():  # their warnings are findings here
        warnings.simplefilter("ignore", KitWarning)
        folds = make_folds(train, splitter, workspace.experiment.split_seed)
    paths = [*train.paths, *test.paths]
    filled = yield from fill_cache(workspace.cache, paths, geometry(workspace.experiment), data, root=root)
    yield Progress("check", 0, 1)
    ids = np.concatenate([train.ids, test.ids])
    findings = list(_unusable(filled.bad, ids, len(train), paths, data))
    findings += _without_rows(train, test)
    findings += box_names.check_box_names(root, data, train, test)
    findings += sample.of_fit(workspace, train, test)
    findings += external.check_external_sources(train)
    findings += (
        spellings.check_class_spellings(train, data.label_from.rename) if train.target.has_classes else ()
    )
    findings += labels.check_label_numbers(train)
    loss = workspace.experiment.open(Loss, root)
    findings += grades.check_constant(train)
    findings += grades.check_grades(train, workspace.competition.metric, loss)
    findings += labels.check_class_counts(train, folds, splitter, workspace.experiment)
    with suppress(ConfigError):  # kit train explains a metric that does not fit the table
        findings += score.check_folds_have_scores(Scoring.of(workspace, train).metric, train, folds)
    findings += groups.check_group_columns(train, folds, splitter, data.group, _non_group_columns(workspace))
    findings += factors.check_factors(train, data.label_parts, workspace.experiment.loss["name"])
    findings += parents.check_parents_used(workspace, train)
    findings += side_columns.check_side_columns(train, test, data, _no_facts(workspace))
    findings += side_columns.check_column_shift(train, test, folds, data)
    findings += _by_predictions(workspace, train, len(test.by_answer), runs)
    bad = {case.path for case in filled.bad}
    usable = np.array([str(path) not in bad for path in train.paths])
    findings += channels.check_constant_channels(filled.cache, usable, folds, splitter, workspace.experiment)
    measures = yield from measure_images(filled.cache)
    findings += shift.find_outliers(measures, ids)
    seen = yield from compute_thumbnails(filled.cache)
    pairs = find_near_duplicates(seen)
    units = connected_components(len(ids), [*pairs.tolist(), *_of_groups(train)])
    augmenter, count = workspace.experiment.open(Augmenter, root), len(train)
    findings += mirroring.check_mirroring(train, seen.pictures[:count], units[:count], augmenter)
    findings += _between(measures, train, test, units, _non_group_columns(workspace))
    findings += _copies(filled.cache, train, test, folds, splitter, data.group, pairs)
    side, source = geometry(workspace.experiment).cache_size, open_source(workspace)
    findings += yield from scenes.check_scenes_across_folds(
        train, seen.pictures, folds, splitter, source, side
    )
    if checkpoints:
        known = by_embeddings.RowContext(train, test, folds, pairs, units)
        findings += yield from by_embeddings.check_by_networks(workspace, checkpoints, known)
    findings.sort(key=lambda finding: (LEVEL_ORDER[finding.level], finding.code))
    labels_text = train.target.count_words(len(train.classes))
    return CheckResult(
        len(train), len(test), len(train.classes), tuple(findings), folds.fingerprint(), labels_text
    )


def _unusable(
    bad: tuple[Case, ...], ids: np.ndarray, train: int, paths: list[Path], data: Data
) -> Iterator[Finding]:
    """Yields K01: images that stop kit train or kit tta, or are left out as the config says."""
    if not bad:
        return
    rows = {str(path): row for row, path in enumerate(paths)}
    split = {path: "train" if row < train else "test" for path, row in rows.items()}
    kinds = ", ".join(f"{code} {count}" for code, count in sorted(Counter(case.code for case in bad).items()))
    cases = tuple(
        Case(f"{case.code} {case.detail}", case.path, str(ids[rows[case.path]]), split[case.path])
        for case in bad
    )
    effects, answers = [], []
    settings = suggest_settings(bad, len(paths))
    stops = {"train": "kit train refuses them", "test": "kit tta refuses them"}
    goes_on = {"train": "excluded from training", "test": "predicted as the class prior"}
    for name, choice, key in (
        ("train", data.on_unreadable_train, "data.on_unreadable_train=skip"),
        ("test", data.on_unreadable_test, "data.on_unreadable_test=class_prior"),
    ):
        count = sum(case.split == name for case in cases)
        if count and choice == "stop":
            effects.append(stops[name])
            answers.append(key)
        elif count:
            effects.append(f"{count} of {name} are {goes_on[name]}")
    yield Finding(
        "K01",
        "problem",
        f"{len(bad)} images are unusable ({kinds})",
        ", ".join(effects),
        "; or ".join([f"set {settings} if the images are right" if settings else "repair them", *answers]),
        cases,
    )


def _without_rows(train: Table, test: Table) -> Iterator[Finding]:
    """Yields K02: image files beside those of the tables that no row names."""
    paths = {"train": train.paths, "test": test.paths}
    files = {split: {Path(file) for path in paths[split] for file in files_of(path)} for split in paths}
    both = files["train"] | files["test"]
    used_paths, endings = {path.resolve() for path in both}, {path.suffix.lower() for path in both}
    folders = {split: {path.resolve().parent for path in files[split]} for split in files}
    extra = sorted(
        file
        for folder in folders["train"] | folders["test"]
        if folder.is_dir()
        for file in folder.iterdir()
        if file.suffix.lower() in endings and file not in used_paths and file.is_file()
    )
    if not extra:
        return
    among = {
        "train": {file for file in extra if file.parent in folders["train"]},
        "test": {file for file in extra if file.parent in folders["test"]},
    }
    answers = []
    if among["train"]:
        answers.append("add rows for them to data.train, if their labels are known")
    if among["test"] - among["train"]:
        answers.append("test images need no row unless data.sample or data.test lists them")
    cases = tuple(
        Case("no row", str(file), split=" or ".join(split for split in among if file in among[split]))
        for file in extra
    )
    text = f"{len(extra)} image files without a row"
    yield Finding("K02", "note", text, "kit does not use them", "; ".join(answers), cases)


def _by_predictions(workspace: Workspace, train: Table, test: int, runs: Sequence[str]) -> Iterator[Finding]:
    """Yields K13 and K18, if there are out-of-fold predictions."""
    seen = oof_predictions(workspace, train, runs)
    if seen is None:
        return
    yield from label_errors.of_predictions(seen)
    scoring = Scoring.of(workspace, train)
    if test:
        yield from score.check_score_noise(seen, scoring, train, test, workspace.competition.public_share)


def _non_group_columns(workspace: Workspace) -> tuple[str, ...]:
    """Returns columns that are never groups: the id, the label, and the config's present groups."""
    data = workspace.competition.data
    return tuple(name for name in (data.id, *data.label_columns, data.group, data.answer) if name)


def _no_facts(workspace: Workspace) -> tuple[str, ...]:
    """Returns columns without information about a row: the id, and the sources of the label, the weight and
    the source.
    """
    data = workspace.competition.data
    names = (*_non_group_columns(workspace), data.weight, data.external.source_column)
    return tuple(name for name in names if name)


def _of_groups(train: Table) -> list[tuple[int, int]]:
    """Returns pairs that link the rows of each group and of each answer."""
    keys = [key for key in (train.groups, train.answers) if key is not None]
    return list(enumerate(merge_groups(*keys).tolist())) if keys else []


def _between(
    measures: Measures, train: Table, test: Table, units: np.ndarray, left_out: Sequence[str]
) -> Iterator[Finding]:
    """Yields K10 and K14, on the competition's own rows and the test rows."""
    if not len(test):
        return
    own, count = np.flatnonzero(train.competition_rows), len(train)
    yield from shift.check_shift(measures.take(own), measures.take(slice(count, None)))
    rows = np.concatenate([own, np.arange(count, count + len(test))])
    values, names = columns.column_measures(measures.take(rows), train.take(own), test, left_out)
    is_test = rows >= count
    separability = adversarial.classify_train_vs_test(values, names, is_test, units[rows])
    ids = np.concatenate([train.ids, test.ids])[rows]
    yield from adversarial.check_measures(separability, values, names, ids, len(own))


def _copies(
    cache: Cache,
    train: Table,
    test: Table,
    folds: Folds,
    splitter: Splitter,
    group: str | None,
    pairs: np.ndarray,
) -> Iterator[Finding]:
    """Yields the findings of copies inside train, across folds, and between train and test."""
    hashes = np.array(cache.hashes)
    same = hashes[pairs[:, 0]] == hashes[pairs[:, 1]]
    inside = pairs[:, 1] < len(train)
    between = (pairs[:, 0] < len(train)) & ~inside
    yield from copies.check_copy_labels(train, pairs[inside], same[inside])
    yield from copies.check_copies_across_folds(train, pairs[inside], folds, splitter, group)
    yield from copies.check_copies_in_test(train, test, pairs[between] - [0, len(train)], same[between])
