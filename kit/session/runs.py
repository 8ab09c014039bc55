"""Runs: the methods of a session that import and export runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, completes
from kit.session.keywords import as_references
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.session.keywords import Reference
    from kit.stages.sharing.exporting import ExportResult
    from kit.stages.sharing.fold_file import FoldsResult
    from kit.stages.sharing.foreign import ForeignMember
    from kit.stages.sharing.importing import ImportResult


class RunsMethods(OpenedFolder):
    """The methods of `kit runs import`, `kit runs export` and `kit folds`."""

    def import_runs(
        self, source: StrPath, *, prefix: str = "", run: Sequence[str] = (), progress: bool = True
    ) -> ImportResult:
        """Imports runs, submissions and the board from a folder or a zip, which may be read-only.

        `prefix` goes before the names of the runs. `run` names the runs to import; all by default.
        """
        from kit.stages.sharing.importing import import_runs

        with begin_call(progress) as call:
            return call.follow(import_runs.with_progress(self.folder, source, prefix, run))

    def import_predictions(
        self,
        source: StrPath,
        *,
        name: str,
        oof: StrPath | None = None,
        folds: StrPath | None = None,
        progress: bool = True,
    ) -> ForeignMember:
        """Imports predictions of another framework, tables of the test rows and out-of-fold rows, as a run to blend.

        `folds` is a fold file or a run; by default the column fold of `oof`. Without folds the run has no score.
        """
        from kit.stages.sharing.foreign import import_predictions

        with begin_call(progress) as call:
            return call.follow(import_predictions.with_progress(self.folder, source, name, oof, folds))

    @completes
    def folds(
        self,
        run: StrPath | None = None,
        *,
        out: StrPath | None = None,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> FoldsResult:
        """Shows the folds that the config makes now, or a run's; `out` is a CSV to write for others."""
        from kit.stages.sharing.fold_file import show_folds

        with begin_call(progress) as call:
            workspace = self._configured(config, RunsMethods.folds)
            return call.follow(show_folds.with_progress(workspace, run, out))

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
