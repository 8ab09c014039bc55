"""archive_run: renames a run's old folder before the run is trained again. The old folder stays complete."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from kit.core.files import sync
from kit.runs.run import BUSY, Run


def archive_run(run: Run) -> Path | None:
    """Moves a run's folder to `<name>.replaced-1`, or the next free number, and returns that path.

    Returns None if there is nothing to move. Raises BusyError if another process works on the run.
    """
    if not run.folder.is_dir():
        return None
    with run.lock():
        target = next(target for number in count(1) if not (target := _place(run, number)).exists())
        (run.folder / BUSY).unlink(missing_ok=True)  # of this process, which has finished with it
        run.folder.rename(target)
        sync(target.parent)
    return target


def _place(run: Run, number: int) -> Path:
    return run.folder.with_name(f"{run.name}.replaced-{number}")
