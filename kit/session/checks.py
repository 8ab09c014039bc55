"""Checks: the methods of a session that inspect data, memory and runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, StepKeys, completes
from kit.session.keywords import as_references
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.session.keywords import Reference
    from kit.stages.checks.check import CheckResult
    from kit.stages.checks.one_batch.trial import SanityCheckResult
    from kit.stages.profiling.step_memory import MemoryResult
    from kit.stages.reporting.report import ReportResult


class CheckMethods(OpenedFolder):
    """The methods of `kit check`, `kit memory` and `kit report`."""

    @overload
    def check(
        self,
        *,
        pipeline: Literal[False] = False,
        strict: bool = False,
        csv: StrPath | None = None,
        runs: Reference | Sequence[Reference] = (),
        checkpoints: StrPath | Sequence[StrPath] = (),
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> CheckResult: ...

    @overload
    def check(
        self,
        *,
        pipeline: Literal[True],
        strict: bool = False,
        csv: StrPath | None = None,
        runs: Reference | Sequence[Reference] = (),
        checkpoints: StrPath | Sequence[StrPath] = (),
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> SanityCheckResult: ...

    @completes
    def check(
        self,
        *,
        pipeline: bool = False,
        strict: bool = False,
        csv: StrPath | None = None,
        runs: Reference | Sequence[Reference] = (),
        checkpoints: StrPath | Sequence[StrPath] = (),
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> CheckResult | SanityCheckResult:
        """Checks tables, images and labels before training; with `pipeline` whether every part learns.

        `csv` is a file for all cases. With `strict` problems and warnings raise DataError K01, otherwise the result
        lists them.
        """
        from kit.stages.checks.check import run_checks
        from kit.stages.checks.finding import check_strictly, write_cases
        from kit.stages.checks.last_findings import save_findings
        from kit.stages.checks.one_batch.trial import sanity_check

        with begin_call(progress) as call:
            workspace = self._configured(config, CheckMethods.check)
            if pipeline:
                result: CheckResult | SanityCheckResult = call.follow(sanity_check.with_progress(workspace))
            else:
                checked = call.follow(
                    run_checks.with_progress(workspace, as_references(runs), as_references(checkpoints))
                )
                save_findings(workspace.root, checked.folds, checked.findings)
                result = checked
            if csv is not None:
                write_cases(Path(csv), result.findings)
            if strict:
                check_strictly(result.findings)
            return result

    @completes
    def memory(
        self,
        *,
        batch_size: int | Sequence[int] | None = None,
        out: StrPath | None = None,
        progress: bool = True,
        **config: Unpack[StepKeys],
    ) -> MemoryResult:
        """Measures a training step's memory at each batch size, by default the config's, and the batch that fits.

        `out` is a PNG file that plots it.
        """
        from kit.stages.profiling.step_memory import measure_memory

        with begin_call(progress) as call:
            workspace = self._configured(config, CheckMethods.memory)
            sizes = [batch_size] if isinstance(batch_size, int) else [*(batch_size or ())]
            picture = None if out is None else Path(out)
            return call.follow(measure_memory.with_progress(workspace, sizes, picture))

    def report(
        self,
        runs: Reference | Sequence[Reference] = (),
        *,
        out: StrPath = "report.html",
        write_up: bool = False,
        cam: bool = False,
        no_check: bool = False,
        progress: bool = True,
    ) -> ReportResult:
        """Writes an HTML report of data, runs, mistakes and blends; its numbers go into the .json beside it."""
        from kit.stages.reporting.report import write_report

        with begin_call(progress) as call:
            workspace, references = self.workspace, as_references(runs)
            return call.follow(
                write_report.with_progress(
                    workspace, references, Path(out), write_up=write_up, check=not no_check, cam=cam
                )
            )
