"""import: runs, predictions, submissions and the board of another workspace, each checked before it is imported.

Everything is checked before anything is copied. Existing files are never overwritten.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.workspace import CONFIG_FILE, Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, read_json, sha256, sync, write_json
from kit.core.progress import Progress, Work, stage
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import Table, read_labelled_rows, rows_to_predict
from kit.errors import BusyError, Case, CheckpointError, ConfigError, DataError, KitError
from kit.runs.records import record
from kit.runs.run import BUSY, Run, find_run
from kit.stages.sharing.checking import check_run, rows_digest
from kit.stages.sharing.source import CONFIG, EXPORT, Source, open_source
from kit.stages.sharing.submissions import ImportedSubmission, check_submissions, take_submissions

if TYPE_CHECKING:
    import pandas as pd

TASK = "import"
STAGING = ".import.part"  # below runs/, so that a run is moved by one rename
EXPORT_SCHEMA = 1


@dataclass(frozen=True)
class ImportedRun:
    """A run that was imported: its name before and here, its progress, and the runs here with the same folds.

    `other_folds` are runs of the same rows in other folds. `notes` name its limits in this workspace.
    """

    name: str
    was: str
    state: str
    views: tuple[str, ...]
    same_folds: tuple[str, ...]
    other_folds: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class ImportResult(Displayed):
    """The result of an import. `already` names the runs that existed before."""

    source: Path
    runs: tuple[ImportedRun, ...]
    already: tuple[str, ...]
    submissions: tuple[ImportedSubmission, ...]
    others: tuple[str, ...]  # files of sweeps and pseudo-labels
    config: bool = False  # config.json was copied too, because there was none

    def describe(self) -> list[str]:
        """Returns what was imported, in lines."""
        lines = ["config.json: taken from the import, because there was none"] if self.config else []
        for run in self.runs:
            was = f" (was {run.was})" if run.was != run.name else ""
            lines.append(f"runs/{run.name}{was}: {run.state}, predictions {' '.join(run.views) or 'none'}")
            if run.same_folds:
                lines.append(f"  same folds as {', '.join(run.same_folds)}")
            if run.other_folds:
                lines.append(f"  same rows in other folds than {', '.join(run.other_folds)}")
            lines += [f"  {note}" for note in run.notes]
        lines += [f"runs/{name}: already here, unchanged" for name in self.already]
        for submission in self.submissions:
            was = f" (was {submission.was})" if submission.was != submission.number else ""
            state = (
                ""
                if submission.is_new
                else ", already here" + (", its score is new" if submission.scored else "")
            )
            lines.append(f"submission {submission.number}{was}: {submission.name}{state}")
        return [*lines, *self.others]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per imported run; lists are text, separated by ", "."""
        rows = [asdict(run) for run in self.runs]
        return frame(
            [
                {key: ", ".join(value) if isinstance(value, tuple) else value for key, value in row.items()}
                for row in rows
            ]
        )


@stage
def import_runs(
    workspace: Workspace | StrPath, source: StrPath, prefix: str = "", only: Sequence[str] = ()
) -> Work[ImportResult]:
    """Imports runs, submissions and the board from a folder or a zip, which may be read-only.

    `prefix` goes before the name of each run. `only` names the runs to import; submissions are then left out.
    If the workspace has no config.json, the source's is copied.

    Raises ConfigError C11 if a run has the name, C15 if the source has nothing to import. Raises DataError
    D69 for an unsafe or damaged archive, CheckpointError D51 and D52 for damaged files and a newer kit.
    Raises InvalidError D41 and D42 for other ids or classes, BusyError R08 if a process works on a run.
    """
    folder = Path(source)
    with open_source(folder) as opened:
        space, has_config = _workspace(workspace, opened)
        chosen = _choose_runs(opened, only)
        with staging_folder(space) as staging:
            _check_export(opened, staging)
            yield from _copy(opened, chosen, staging, space)
            train = read_labelled_rows(space.root, space.competition.data).sort_by_id()
            test = rows_to_predict(space, space.competition.data, train.classes)
            new, already = _sort_out(space, staging, chosen, prefix)
            for number, name in enumerate(new):
                yield Progress(TASK, number, len(new), f"checking runs/{name}")
                with _rename_in_errors(staging, folder):
                    check_run(space, Run(staging / "runs" / name), train, test)
            entries = [] if only else check_submissions(staging / "submissions")
            names = {name: prefix + name for name in chosen}
            runs = tuple(_take_run(space, staging, name, names[name], train) for name in new)
            submissions = take_submissions(space, staging / "submissions", entries, names if prefix else {})
            others = () if prefix or only else tuple(_take_others(space, staging, opened))
    return ImportResult(folder, runs, tuple(already), submissions, others, has_config)


def _workspace(workspace: Workspace | StrPath, source: Source) -> tuple[Workspace, bool]:
    """Returns the workspace, and whether its config.json comes from the source. Raises ConfigError C06."""
    try:
        return Workspace.of(workspace), False
    except ConfigError as error:
        if error.code != "C06" or CONFIG not in source.names or isinstance(workspace, Workspace):
            raise
    source.copy(CONFIG, Path(workspace) / CONFIG_FILE)
    return Workspace.of(workspace), True


def _choose_runs(source: Source, only: Sequence[str]) -> dict[str, list[str]]:
    runs = source.runs
    if unknown := [name for name in only if name not in runs]:
        raise ConfigError(
            f"{source.place} has no run {unknown[0]!r}", code="C15", hint=f"one of {', '.join(runs)}"
        )
    return {name: files for name, files in runs.items() if not only or name in only}


@contextmanager
def staging_folder(space: Workspace) -> Iterator[Path]:
    """Yields a folder on the disk of runs/, which is removed afterwards."""
    folder = space.runs / STAGING
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_export(source: Source, staging: Path) -> None:
    """Raises CheckpointError D52 for an export of a newer kit, DataError D69 for a damaged one."""
    if EXPORT not in source.names:
        return
    source.copy(EXPORT, staging / EXPORT)
    try:
        schema = int(read_json(staging / EXPORT)["schema"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{source.place} refused: its {EXPORT} is damaged", code="D69", hint="copy the file again"
        ) from None
    if schema > EXPORT_SCHEMA:
        raise CheckpointError(
            f"{source.place} was exported by a newer kit: its schema is {schema}, and this kit reads up to "
            f"{EXPORT_SCHEMA}",
            code="D52",
            hint="update kit",
        )


def _copy(source: Source, runs: Mapping[str, Sequence[str]], staging: Path, space: Workspace) -> Work[None]:
    """Copies what may be imported to the staging folder, and compares it with the hashes of an export."""
    names = [f"runs/{run}/{file}" for run, files in runs.items() for file in files]
    names += [*source.submissions, *source.others]
    for run in runs:
        if source.archive is None and _is_at_work(source.place / "runs" / run):
            raise BusyError(
                f"{source.place / 'runs' / run} is at work", code="R08", hint="wait until it ends"
            )
    for number, name in enumerate(names):
        yield Progress(TASK, number, len(names), name)
        source.copy(name, staging / name)
    if (staging / EXPORT).is_file():
        hashes = dict(read_json(staging / EXPORT)).get("files", {})
        wrong = [name for name in names if name in hashes and sha256(staging / name) != hashes[name]]
        wrong += [name for name in hashes if name not in source.names]
        if wrong:
            raise DataError(
                f"{source.place} refused: {len(wrong)} files are missing or were changed",
                code="D69",
                cases=[Case("does not match its sha256", name) for name in wrong],
                hint="copy or export it again",
            )


def _is_at_work(folder: Path) -> bool:
    """Whether a process of this machine works on a run. No lock is tried, because nothing is written to a source."""
    try:
        owner = dict(read_json(folder / BUSY))
        return owner["host"] == platform.node() and Path("/proc", str(int(owner["pid"]))).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sort_out(
    space: Workspace, staging: Path, runs: Mapping[str, Sequence[str]], prefix: str
) -> tuple[list[str], list[str]]:
    """Returns the runs to import, and those that exist already. Raises ConfigError C11 for names of other runs."""
    new, already, clashing = list[str](), list[str](), list[str]()
    for name in runs:
        here = find_run(space, prefix + name)
        if not here.folder.exists():
            new.append(name)
        elif _is_same(here, Run(staging / "runs" / name)):
            already.append(here.name)
        else:
            clashing.append(here.name)
    if clashing:
        raise ConfigError(
            f"{len(clashing)} runs of these names are here already, and are other runs",
            code="C11",
            cases=[Case("is another run", f"runs/{name}") for name in clashing],
            hint="--prefix anna- names the imported runs anna-...",
        )
    return new, already


def _is_same(here: Run, other: Run) -> bool:
    """Whether two folders have the same run: started at the same time, or with the same files."""
    begun = [here.manifest, other.manifest]
    if all(begun):
        keys = ("started", "asked", "provenance")
        return all(begun[0].get(key) == begun[1].get(key) for key in keys)
    files = [path.relative_to(other.folder) for path in other.folder.rglob("*") if path.is_file()]
    return all(
        (here.folder / file).is_file() and sha256(here.folder / file) == sha256(other.folder / file)
        for file in files
    )


@contextmanager
def _rename_in_errors(staging: Path, source: Path) -> Iterator[None]:
    """Opens a block whose errors name the files of the source, not their copies."""
    try:
        yield
    except KitError as error:

        def write(text: str) -> str:
            return text.replace(str(staging), str(source))

        cases = [replace(case, path=write(case.path), detail=write(case.detail)) for case in error.cases]
        hint = "" if str(staging) in error.hint else error.hint
        raise error.replace(summary=write(error.summary), cases=cases, hint=hint) from None


def _take_run(space: Workspace, staging: Path, was: str, name: str, train: Table) -> ImportedRun:
    """Moves a run to runs/ by a rename."""
    staged = Run(staging / "runs" / was)
    same, other = compare_folds(space, staged.folds(), name)
    notes = _notes(space, staged, train)
    if name != was:
        _rename(staged, name)
    target = space.runs / name
    staged.folder.rename(target)
    sync(target.parent)
    run_record = record(Run(target))
    return ImportedRun(name, was, run_record.state, tuple(run_record.views), same, other, tuple(notes))


def compare_folds(space: Workspace, folds: Folds, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the runs with equal folds, and those with the same rows in other folds, without the run `name`."""
    digest, rows = folds.fingerprint(), set(folds.ids.tolist())
    same, other = list[str](), list[str]()
    for folder in sorted(space.runs.glob("[!.]*")):
        if folder.name == name:
            continue
        with suppress(KitError, OSError, ValueError):
            here = Run(folder).folds()
            if set(here.ids.tolist()) == rows:
                (same if here.fingerprint() == digest else other).append(folder.name)
    return tuple(same), tuple(other)


def _rename(run: Run, name: str) -> None:
    """Renames a run in its manifest and its predictions."""
    if manifest := run.manifest:
        write_json(run.folder / "manifest.json", {**manifest, "name": name})
    for file in run.folder.rglob("*.parquet"):
        predictions = Predictions.read(file)
        replace(predictions, provenance=replace(predictions.provenance, run=name)).write(file)


def _notes(space: Workspace, run: Run, train: Table) -> list[str]:
    provenance: Mapping[str, Any] = run.provenance
    notes = []
    if provenance and provenance.get("rows") != rows_digest(space, run, train):
        notes.append("labels or groups differ from this table: kit train does not continue it (D60)")
    if not any(run.folder.glob("fold-*/*/model.safetensors")):
        notes.append("without weights: kit blend and kit final can use it, kit tta cannot")
    return notes


def _take_others(space: Workspace, staging: Path, source: Source) -> Iterator[str]:
    """Copies files of sweeps and pseudo-labels that do not exist yet."""
    for name in source.others:
        if not (space.root / name).exists():
            (space.root / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).rename(space.root / name)
            yield name
