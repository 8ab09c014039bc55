"""Predicting: predicts with a bundle's networks on any test images, exactly as the workspace would."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kit.config.models import Data
from kit.config.parsing import validate_config
from kit.config.workspace import CONFIG_FILE, Workspace
from kit.core.durations import write_duration
from kit.core.files import read_json, write_json, write_text
from kit.core.locations import JOIN, KEY
from kit.core.progress import Progress, Work, stage
from kit.data.csv_file import format_of
from kit.data.folds import Folds
from kit.data.predictions import Predictions, Provenance, concat_predictions
from kit.data.quarantine import quarantine
from kit.data.table import Table, sample_frame, test_table
from kit.device.precision import choose_device
from kit.errors import MAX_CASES, ConfigError, DataError, KitWarning
from kit.evaluation.competition import Scoring, for_labels, read_columns
from kit.experiment import sample_format
from kit.experiment.loading import Loaded, geometry, load_rows
from kit.experiment.prediction_file import (
    PredictionFile,
    PredictionJob,
    classes_of_checkpoint,
    experiment_of,
    load_for_prediction,
)
from kit.kinds import Aggregator, Ensembler, Format, Metric, Views
from kit.kinds.decision import Decision
from kit.model import checkpoints, network
from kit.model.predict import open_views
from kit.runs.records import split_ref
from kit.runs.run import Run, versions
from kit.stages.blending.members import Member, blend_test_rows
from kit.stages.bundles.contents import Contents, Packed
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.prediction.tta import (
    describe_predictions,
    device_lines,
    group_by_geometry,
    predict_groups,
    views_name,
)
from kit.stages.submission import submission

UNFINISHED = "unfinished"  # in place of a digest of the images of predictions
RESERVE_S = 60.0  # share of a time limit for blending and writing; at most a twentieth of it
EMPTY_FOLDS = Folds(np.array([], dtype=str), np.zeros((0, 1), np.int64))  # test rows are held out by no fold
GOES_ON = "--on-unreadable-test class_prior"  # for hints, because a bundle's config.json cannot be changed
CHANGEABLE = ("data.", "device=", "workers=")  # options in messages that change no network
PINNED_PACKAGES = (
    "torch",
    "timm",
    "numpy",
    "opencv-python-headless",
)  # with other versions the last bits may differ


class Clock:
    """The time of one prediction: its end, and whether another round of networks fits."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self._begun = self._round_begun = time.monotonic()
        self._longest_s = 0.0

    def begin_round(self) -> None:
        """Starts to measure a round, in which each member predicts with one more network."""
        self._round_begun = time.monotonic()

    def is_over(self) -> bool:
        """Whether only the reserve is left."""
        return self._count_left_s() <= 0

    def allows_another(self) -> bool:
        """Whether another round of the longest duration so far would end in time, with a margin of a tenth."""
        self._longest_s = max(self._longest_s, time.monotonic() - self._round_begun)
        return self._count_left_s() > 1.1 * self._longest_s

    def _count_left_s(self) -> float:
        if self.limit is None:
            return float("inf")
        reserve = min(RESERVE_S, self.limit / 20)
        return self.limit - reserve - (time.monotonic() - self._begun)


@stage
def predict_bundle(
    folder: Path,
    given: PredictionInput,
    out: Path,
    work: Path,
    device: str = "auto",
    workers: int | str = "auto",
) -> Work[Path]:
    """Predicts the rows of a sample with a bundle's networks, blends, and writes the submission to `out`.

    By default every row is predicted. A row whose image cannot be read gets the class prior, with a warning.
    `work` is a folder for decoded images and predictions, which a second start reuses; the bundle may be
    read-only.

    With a time limit, each member's first network predicts all rows before any member's second. Networks for
    which the time is too short are left out (W67). Rows that the first networks do not reach get the class
    prior.

    Raises DataError D66 for an incomplete bundle, and the first image's code if no image can be read. Raises
    what reading images, predicting and submitting raise. `work` gets the quarantine.csv of bad data.
    """
    contents = Contents.read(folder)
    clock = Clock(given.time_limit)
    _warn_of_versions(contents.versions)
    space = _workspace(folder, contents, given, work, device, workers)
    try:
        return (yield from _predict(folder, contents, space, out, clock))
    except DataError as error:
        if any(case.path or case.id for case in error.cases):
            hints = [error.hint]
            if error.code in ("D02", "D08") and given.on_unreadable_test == "stop":
                hints.append(GOES_ON)
            with suppress(OSError):  # the error itself is more important than its list
                hints.append(f"{quarantine(work, error.cases, error.code)} lists all cases")
            raise error.replace(hint="; ".join(filter(None, hints))) from error
        raise


def _predict(folder: Path, contents: Contents, space: Workspace, out: Path, clock: Clock) -> Work[Path]:
    data = space.competition.data
    test = test_table(space, data, contents.classes)
    decision = _decision(space, contents)
    recipe = Ensembler.open(contents.ensembler, space.root)
    fitted = for_labels(recipe, contents.target, decision, contents.classes)
    read_columns(test, fitted.row_columns(), "test")
    rounds = contents.rounds()
    late: list[PredictionFile] = []
    done = 0
    for count in [rounds] if clock.limit is None else range(1, rounds + 1):
        if done and not clock.allows_another():
            break
        part = contents.select_networks(count)
        clock.begin_round()
        bad, missed = yield from _predict_round(folder, part, space, test, clock, is_first=not done)
        if done and missed:
            break
        done, predicted, late = count, part, missed
    sample = sample_frame(space.root, data)
    shape = Format.open(contents.format, space.root).with_known(decision=decision)
    wanted = list(dict.fromkeys(shape.ids(sample, contents.classes)))
    members = [_member(space, member, contents, decision) for member in predicted.members]
    images = test if test.answers is not None or fitted.row_columns() else None
    blended = blend_test_rows(members, fitted, wanted, images)
    table = sample_format.make_table(blended, sample, shape)
    write_text(out, submission.text_of(table, data.sep))
    if late or done < rounds:
        _warn_of_time(clock, done, rounds, late)
    by_prior = test.ids[bad].tolist() if len(test) else []
    yield Progress("predict", 1, 1, _summary(len(table), by_prior, out), line=True)
    return out


def _predict_round(
    folder: Path, contents: Contents, space: Workspace, test: Table, clock: Clock, is_first: bool
) -> Work[tuple[np.ndarray, list[PredictionFile]]]:
    """Predicts with the networks that have no predictions yet.

    Returns the rows that have no usable image, and the files that the time was too short for. In the first
    round these are written, with the class prior in the rows that were not reached.
    """
    competition = space.competition
    metric = Metric.open(competition.metric, space.root, "metric")
    scoring = Scoring(metric, Aggregator.open(competition.aggregator, space.root, "aggregator"))
    device = choose_device(space.experiment.device)
    prior = dict(zip(contents.classes, contents.prior, strict=True))
    jobs = [job for member in contents.members for job in _jobs(folder, space, member, contents, scoring)]
    groups = group_by_geometry(jobs)
    late = []
    for number, group in enumerate(groups):
        some = [jobs[at] for at in group]
        loaded = yield from load_rows(
            space, test, "test", geometry(some[0].experiment), GOES_ON, needs_some=True
        )
        sheets = [_sheet(job, loaded, prior) for job in some]
        paths = dict.fromkeys(
            sheet.job.checkpoints[fold] for sheet in sheets for fold in sheet.folds_to_predict
        )
        networks = {path: load_for_prediction(path, space.root, device) for path in paths}
        if not number:
            yield from device_lines(networks.values(), space)
        steps = predict_groups(sheets, networks, fill_prior=clock.limit is not None)
        for step in steps:
            yield replace(step, task="predict", done=number + step.done / step.total, total=len(groups))
            if clock.is_over() and step.done < step.total:
                late += [sheet for sheet in sheets if sheet.folds_to_predict]
                break
        steps.close()
        if late and not is_first:
            return loaded.bad, late
        for text in describe_predictions(sheets):
            yield Progress("predict", number + 1, len(groups), text, line=True)
        for sheet in sheets:
            is_late = any(sheet is member for member in late)
            # a later start must not reuse rows with the prior
            provenance = replace(sheet.provenance, images=UNFINISHED) if is_late else sheet.provenance
            replace(sheet, provenance=provenance).write()
    return loaded.bad, late


def _warn_of_time(clock: Clock, done: int, of: int, late: Sequence[PredictionFile]) -> None:
    """Warns (W67) of networks and rows that the time limit left out."""
    networks = f"{done} of {of} networks per member" if done < of else "all networks"
    rows = "; rows that were not reached have the class prior" if late else ""
    text = f"W67 within {write_duration(clock.limit or 0)} {networks} predicted{rows}"
    warnings.warn(KitWarning(text), stacklevel=4)


def _summary(rows: int, by_prior: Sequence[str], out: Path) -> str:
    """Returns how many rows the submission has, and which of them have the class prior."""
    text = f"{rows} rows in {out}"
    if not by_prior:
        return f"{text}, each predicted from its image"
    more = ", …" if len(by_prior) > MAX_CASES else ""
    listed = ", ".join(by_prior[:MAX_CASES])
    return f"{text}; {len(by_prior)} have the class prior, because their images are unusable: {listed}{more}"


def _decision(space: Workspace, contents: Contents) -> Decision:
    """Returns the rule that the bundle was packed with.

    Raises DataError D66 if it was packed before bundles had one.
    """
    rule = space.competition.decision
    if contents.target.multi_label and rule.min_labels is None:
        text = (
            "the bundle was packed by an older version of kit, without the decision rule for several "
            "labels per row"
        )
        raise DataError(text, code="D66", hint="pack it again with kit bundle, or run its predict.py")
    return Decision(rule.threshold, rule.min_labels or 0, rule.max_labels)


def _warn_of_versions(packed: Mapping[str, str]) -> None:
    """Warns (W26) of packages of other versions than those that the networks were trained with."""
    here = versions()
    other = [
        f"{name} {packed[name]} in the bundle, {here[name]} on this machine"
        for name in PINNED_PACKAGES
        if packed.get(name) != here[name]
    ]
    if other:
        text = f"W26 predictions may differ in their last bits: {'; '.join(other)}"
        warnings.warn(KitWarning(text), stacklevel=3)


def _workspace(
    folder: Path, contents: Contents, given: PredictionInput, work: Path, device: str, workers: int | str
) -> Workspace:
    """Makes a workspace in `work` with the bundle's config and plugins, and with the given test rows.

    Raises ConfigError C07 if the competition has a test table and none was given.
    """
    config = dict(read_json(folder / CONFIG_FILE))
    validate_config(config, file=str(folder / CONFIG_FILE))
    data = config["data"]
    if data.get("test") is not None and given.test is None:
        raise ConfigError("the competition has a test table", code="C07", hint="--test FILE")
    data |= {
        "tables": _table_formats(Data(**data), given),
        "join": _list_joined(Data(**data), given),
        "folder": ".",
        "sample": str(given.sample.resolve()),
        "test": None if given.test is None else str(given.test.resolve()),
        "test_images": in_folder(given.images.resolve(), below(pattern_of(Data(**data)))),
        "on_unreadable_test": given.on_unreadable_test,
    }
    other = [text for text in given.overrides if not text.startswith(CHANGEABLE)]
    if other:
        raise ConfigError(
            f"a bundle is already fitted: it accepts only keys of data, device and workers, not {other[0]!r}",
            code="C05",
            hint="such as data.max_pixels=500000000",
        )
    work.mkdir(parents=True, exist_ok=True)
    config.pop("cache_folder", None)  # which this machine may lack
    write_json(
        work / CONFIG_FILE, {**config, "format": contents.format, "device": device, "workers": workers}
    )
    _copy_plugins(folder / "plugins", work / "plugins")
    return Workspace.open(work, given.overrides)


def _table_formats(data: Data, given: PredictionInput) -> dict[str, dict[str, str]]:
    """Returns the formats of the given test table and of the tables that are joined to it: the competition's own."""
    files = {
        str(_find_joined(data, join.table, given)): join.table for join in data.join if join.rows != "train"
    }
    if given.test is not None and data.test is not None:
        files[str(given.test.resolve())] = data.test
    formats = {file: format_of(data, name) for file, name in files.items()}
    return {file: {"sep": sep, "encoding": encoding} for file, (sep, encoding) in formats.items()}


def _list_joined(data: Data, given: PredictionInput) -> list[dict[str, Any]]:
    """Returns the joined tables of test rows, which are at the competition's paths relative to its test table."""
    return [
        {**join.model_dump(mode="json"), "table": str(_find_joined(data, join.table, given)), "rows": "test"}
        for join in data.join
        if join.rows != "train"
    ]


def _find_joined(data: Data, table: str, given: PredictionInput) -> Path:
    """Returns a joined table beside the given test table, or else the sample.

    Raises ConfigError C07 if it does not exist.
    """
    own, other = (
        (data.test, given.test) if given.test is not None and data.test else (data.sample, given.sample)
    )
    beside = os.path.relpath(table, Path(own or "sample.csv").parent)
    file = (other.resolve().parent / beside).resolve()
    if not file.is_file():
        raise ConfigError(
            f"data.join: {table} is joined to the test rows, and there is no {beside} beside {other}",
            code="C07",
            hint=f"put the table of the new rows there: {file}",
        )
    return file


def _copy_plugins(source: Path, target: Path) -> None:
    """Copies content without modes, because copies of a read-only bundle's files could not be written again."""
    for file in sorted(source.rglob("*")):
        if file.is_file():
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def pattern_of(data: Data) -> str:
    """Returns the pattern of the test rows' images."""
    return data.test_images or data.images


def below(pattern: str) -> str:
    """Returns the part of an images pattern from its first column on: `{id}.png` for `data/images/{id}.png`.

    For several images it is the part below their common folder, and for a container the file and the key.
    """
    return split_pattern(pattern)[1]


def in_folder(folder: Path, pattern: str) -> str:
    """Returns the pattern of images below a folder, by the result of `below`."""
    return JOIN.join(f"{folder}/{image}" for image in pattern.split(JOIN))


def split_pattern(pattern: str) -> tuple[str, str]:
    """Splits an images pattern into its folder and the part from its first column on."""
    images = [image.split("/") for image in pattern.split(JOIN)]
    shared = min(map(_first, images))
    same = [len(set(parts)) == 1 for parts in zip(*(parts[:shared] for parts in images), strict=True)]
    depth = next((at for at, is_same in enumerate(same) if not is_same), shared)
    return "/".join(images[0][:depth]), JOIN.join("/".join(parts[depth:]) for parts in images)


def image_folder(root: Path, data: Data) -> Path:
    """Returns the folder of the workspace's test images for `--images`: data/images for `data/images/{id}.png`."""
    pattern = pattern_of(data)
    return root / (split_pattern(pattern)[0] or ("/" if pattern.startswith("/") else "."))


def _first(parts: Sequence[str]) -> int:
    """Returns the first part of a pattern that names a column or a container."""
    placeholders = (index for index, part in enumerate(parts) if "{" in part or KEY in part)
    return next(placeholders, len(parts) - 1)


def _jobs(
    folder: Path, space: Workspace, packed: Packed, contents: Contents, scoring: Scoring
) -> list[PredictionJob]:
    """Returns a job for each run of a member: its networks of all folds."""
    runs = dict.fromkeys(packed_network.run for packed_network in packed.networks)
    return [_job(folder, space, packed, run, contents, scoring) for run in runs]


def _job(
    folder: Path, space: Workspace, packed: Packed, run: str, contents: Contents, scoring: Scoring
) -> PredictionJob:
    paths = {
        packed_network.fold: folder / packed_network.checkpoint
        for packed_network in packed.networks
        if packed_network.run == run
    }
    trained = checkpoints.provenance_of(next(iter(paths.values())))
    experiment = experiment_of(trained)
    parts = network.open_parts(experiment, space.root, classes_of_checkpoint(trained))
    views = Views.open(packed.views, space.root)
    merge: Any = packed.merge
    name = views_name(views, merge)
    provenance = Provenance(
        run=run,
        views=name,
        merge=merge,
        classes=trained.classes,
        checkpoints={str(fold): checkpoints.tag(path) for fold, path in paths.items()},
    )
    chosen = open_views(views, experiment.image_size, parts.backbone.input_size())
    loading = experiment.model_copy(update={"workers": space.experiment.workers})
    run_there = Run(space.runs / run)
    return PredictionJob(
        space, run_there, name, views, chosen, merge, loading, paths, EMPTY_FOLDS, scoring, provenance
    )


def _sheet(job: PredictionJob, loaded: Loaded, prior: Mapping[str, float]) -> PredictionFile:
    """Returns the file of the test rows for a job's networks, which may have been trained with another order
    of classes.
    """
    classes = job.provenance.classes
    renamed = replace(loaded, table=replace(loaded.table, classes=classes))
    return PredictionFile.begin(job, "test", renamed, np.array([prior[name] for name in classes]))


def _member(space: Workspace, packed: Packed, contents: Contents, decision: Decision) -> Member:
    """Returns a member's test predictions, assembled from its runs'."""
    classes = contents.classes
    views = views_name(Views.open(packed.views, space.root), packed.merge)  # type: ignore[arg-type]
    parts = []
    for run in dict.fromkeys(packed_network.run for packed_network in packed.networks):
        predictions = Predictions.read(space.runs / run / "predictions" / views / "test.parquet")
        of_run = [packed_network for packed_network in packed.networks if packed_network.run == run]
        numbers = {packed_network.fold: packed_network.blends_as for packed_network in of_run}
        predictions = predictions.take(
            np.isin(predictions.folds, list(numbers))
        )  # a time limit may have left out others
        order = [predictions.classes.index(name) for name in classes]
        shares = predictions.probabilities if order == sorted(order) else predictions.probabilities[:, order]
        predictions = replace(predictions, classes=tuple(classes), probabilities=shares)
        parts.append(
            replace(predictions, folds=np.array([numbers[fold] for fold in predictions.folds.tolist()]))
        )
    test = concat_predictions(parts, parts[0].provenance)
    recipe = None if packed.aggregator is None else Aggregator.open(packed.aggregator, space.root)
    if recipe is not None:
        recipe = recipe.with_known(target=contents.target, decision=decision)
    return Member(split_ref(packed.member)[0], views, EMPTY_FOLDS, test.take(slice(0, 0)), test, recipe)
