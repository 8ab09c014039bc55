"""Gap: the part of the gap between leaderboard and cross-validation that is sampling noise, and evidence for the rest.

Evidence is the last findings of `kit check`. Findings of leaks count only if kit check used the folds that
were scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kit.config.workspace import Workspace
from kit.errors import DataError
from kit.runs.records import split_ref
from kit.runs.run import Run
from kit.stages.checks.last_findings import LastFindings, last_findings
from kit.stages.leaderboard.noise import Noise
from kit.stages.submission.board import Entry

Z_95 = 1.96  # standard errors of sampling noise, 95 %
# findings that make cross-validation optimistic, the leaderboard optimistic, or the two disagree
OPTIMISM_CODES = {"K05": "leak", "K09": "leak", "K16": "leak"}
OVERLAP_CODES = {"K06": "leak"}
SHIFT_CODES = {"K10": "shift", "K14": "shift", "K15": "shift"}


@dataclass(frozen=True)
class Evidence:
    """A finding of kit check that can cause a gap of this direction, and its fix."""

    kind: str  # leak or shift
    code: str
    what: str
    effect: str  # with the share of the rows that it can affect, if that is known
    fix: str


@dataclass(frozen=True)
class Gap:
    """leaderboard - cv, the median of those with both scores, its sampling noise, and evidence if it is larger."""

    gap: float
    sampling_noise: tuple[float, float]  # 95 %
    explained: bool  # from sampling noise alone
    evidence: tuple[Evidence, ...] = ()
    unknown: str = ""  # why there is no evidence, if it was requested

    def describe(self) -> str:
        """Returns the gap and whether sampling noise explains it, in one line."""
        low, high = self.sampling_noise
        by = "explained by sampling noise" if self.explained else "more than sampling noise"
        noise = f"sampling noise {low:+.4f} to {high:+.4f} (95 %)"
        return f"gap of leaderboard and cv {self.gap:+.4f}, {noise}: {by}"


def explain_gap(workspace: Workspace, entries: Sequence[Entry], noise: Noise | None) -> Gap | None:
    """Returns the gap of a metric's submissions; None if none has both scores, or if its noise is unknown."""
    scored = [entry for entry in entries if entry.cv is not None and entry.leaderboard is not None]
    if not scored or noise is None:
        return None
    gap = float(np.median([(entry.leaderboard or 0.0) - (entry.cv or 0.0) for entry in scored]))
    half = Z_95 * noise.of_gap
    if abs(gap) <= half:
        return Gap(gap, (-half, half), explained=True)
    findings = last_findings(workspace.root)
    if findings is None:
        return Gap(gap, (-half, half), False, unknown="run kit check to look for an explanation")
    worse = gap < 0 if scored[0].better == "higher" else gap > 0
    same = findings.folds in {mark for entry in scored for mark in _folds(workspace, entry)}
    evidence = tuple(_evidence(findings, worse, same))
    return Gap(
        gap, (-half, half), False, evidence, _explain_missing_evidence(findings, worse, same, bool(evidence))
    )


def _evidence(findings: LastFindings, worse: bool, same: bool) -> Iterator[Evidence]:
    kinds = {**SHIFT_CODES, **((OPTIMISM_CODES if same else {}) if worse else OVERLAP_CODES)}
    for finding in findings.findings:
        if finding.code in kinds:
            yield Evidence(kinds[finding.code], finding.code, finding.summary, finding.effect, finding.fix)


def _explain_missing_evidence(findings: LastFindings, worse: bool, same: bool, some: bool) -> str:
    if worse and not same:
        return (
            f"kit check of {findings.checked_at} used other folds than the scored ones, so it cannot find leaks "
            "between them: run kit check with the run's splitter and data.group"
        )
    if not some:
        return (
            f"kit check of {findings.checked_at} found neither a leak nor a shift: kit check --checkpoints "
            "also compares embeddings"
        )
    return ""


def _folds(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Yields the fingerprints of the folds of a submission's members."""
    for member in entry.members.split():
        try:
            yield Run(workspace.runs / split_ref(member)[0]).folds().fingerprint()
        except (DataError, OSError):
            continue
