"""export: packs runs into a zip, with their predictions, config and folds, for a team mate or the next session."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit import __version__
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, atomic_file, format_bytes, sha256
from kit.core.progress import Progress, Work, stage
from kit.errors import BusyError, ConfigError
from kit.runs.records import PLAIN, RunRef, is_busy
from kit.runs.run import Run
from kit.stages.sharing.importing import EXPORT_SCHEMA
from kit.stages.sharing.source import EXPORT, RUN_FILE

if TYPE_CHECKING:
    import pandas as pd

TASK = "export"
SMALL = ("manifest.json", "config.json", "folds.csv")


@dataclass(frozen=True, repr=False)
class ExportResult(Displayed):
    """A zip that was written: its runs with their views, and its number of files and bytes."""

    path: Path
    members: tuple[str, ...]
    files: int
    bytes: int
    has_weights: bool

    def _lines(self) -> list[str]:
        weights = "with" if self.has_weights else "without"
        return [f"{self.path}: {', '.join(self.members)}, {format_bytes(self.bytes)}, {weights} weights"]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per member."""
        return frame([{"member": member, "path": str(self.path)} for member in self.members])


@stage
def export_runs(
    workspace: Workspace | StrPath, members: Sequence[StrPath], out: StrPath, weights: bool = False
) -> Work[ExportResult]:
    """Packs runs, `r` or `r@hflip`, into a zip that `import_runs` reads.

    A member `r` has all of its predictions, `r@hflip` those and the plain ones of training. `weights` also
    packs checkpoints and embeddings, which an unfinished run needs to continue.

    Raises ConfigError C15 for an unknown run or views, C38 if `out` exists; BusyError R08 for a running run.
    """
    space, out = Workspace.of(workspace), Path(out)
    if not members:
        raise ConfigError("no run to export", code="C20", hint="kit runs export r@hflip --out r.zip")
    if out.exists():
        raise ConfigError(f"{out} already exists", code="C38", hint="use another --out, or remove the file")
    wanted: dict[Path, set[str] | None] = {}  # by run, its views; None: all
    for member in members:
        ref = RunRef.parse(member, space)
        if is_busy(ref.run):
            raise BusyError(f"runs/{ref.run.name} is at work", code="R08", hint="wait until it ends")
        views = None if "@" not in Path(member).name else {ref.views, PLAIN}
        _check_views(ref)
        known = wanted.get(ref.run.folder, set())
        wanted[ref.run.folder] = None if views is None or known is None else known | views
    files = {
        f"runs/{folder.name}/{name}": folder / name
        for folder, views in wanted.items()
        for name in _names(Run(folder), views, weights)
    }
    yield from _write(out, files)
    size = out.stat().st_size
    return ExportResult(out, tuple(str(one) for one in members), len(files), size, weights)


def _check_views(ref: RunRef) -> None:
    if ref.views != PLAIN and not ref.predictions.is_dir():
        known = sorted(folder.name for folder in ref.run.folder.glob("predictions/*"))
        raise ConfigError(
            f"runs/{ref.run.name} has no predictions by {ref.views}",
            code="C15",
            hint=f"one of {', '.join(known)}" if known else f"kit tta --checkpoints runs/{ref.run.name}",
        )


def _names(run: Run, views: set[str] | None, weights: bool) -> list[str]:
    """Returns the files of a run that are packed."""
    names = []
    for path in sorted(run.folder.rglob("*")):
        name = path.relative_to(run.folder).as_posix()
        parts = name.split("/")
        if not path.is_file() or not RUN_FILE.fullmatch(name):
            continue
        is_heavy = parts[0] == "embeddings" or (parts[0].startswith("fold-") and len(parts) == 3)
        is_other = parts[0] == "predictions" and views is not None and parts[1] not in views
        if not is_other and (weights or not is_heavy):
            names.append(name)
    return names


def _write(out: Path, files: dict[str, Path]) -> Work[None]:
    """Writes the zip: the digests of all files first, then the files. Parquet and weights are not compressed."""
    digests = {name: sha256(path) for name, path in files.items()}
    manifest = {"schema": EXPORT_SCHEMA, "kit": __version__, "files": digests}
    size = sum(path.stat().st_size for path in files.values())
    with atomic_file(out, size) as part, zipfile.ZipFile(part, "w", strict_timestamps=False) as archive:
        archive.writestr(EXPORT, json.dumps(manifest, indent=2))
        for number, (name, path) in enumerate(files.items()):
            yield Progress(TASK, number, len(files), name)
            archive.write(path, name)
