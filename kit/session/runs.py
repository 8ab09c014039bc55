"""Runs: the methods of a session that import and export runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.keywords import as_references
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.session.keywords import Reference
    from kit.stages.sharing.exporting import ExportResult
    from kit.stages.sharing.importing import ImportResult


class RunsMethods(OpenedFolder):
    """What `kit runs import` and `kit runs export` do."""

    def import_runs(
        self, source: StrPath, *, prefix: str = "", run: Sequence[str] = (), progress: bool = True
    ) -> ImportResult:
        """Imports runs, submissions and the board from a folder or a zip, which may be read-only.

        `prefix` goes before the names of the runs. `run` names the runs to import; all by default.
        """
        from kit.stages.sharing.importing import import_runs

        with begin_call(progress) as call:
            return call.follow(import_runs.with_progress(self.folder, source, prefix, run))

    def export_runs(
        self,
        members: Reference | Sequence[Reference],
        *,
        out: StrPath,
        weights: bool = False,
        progress: bool = True,
    ) -> ExportResult:
        """Packs predictions, config and folds of runs into a zip; with `weights` checkpoints too."""
        from kit.stages.sharing.exporting import export_runs

        with begin_call(progress) as call:
            return call.follow(export_runs.with_progress(self.folder, as_references(members), out, weights))
