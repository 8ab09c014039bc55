"""SanityReport: runs one batch through all parts of a run, and names those that do not learn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.core.display import Displayed
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, stage
from kit.errors import Case
from kit.experiment.fold_training import train_stages
from kit.experiment.run_context import prepare_run, scratch_run
from kit.model.non_finite import find_non_finite
from kit.model.predict import Predictor
from kit.stages.checks.finding import Finding, describe_findings, findings_frame
from kit.stages.checks.one_batch.images import check_images
from kit.stages.checks.one_batch.loss_floor import LossFloor, check_loss, check_start_loss, loss_floor
from kit.stages.checks.one_batch.overfitting import (
    LEARNING_PROGRESS,
    OverfitResult,
    find_first_lr,
    largest_lower_lr,
    lr_integral,
    overfit,
    peak_lr_factor,
)
from kit.stages.checks.one_batch.parts import (
    UNMOVED,
    check_average,
    check_images_matter,
    check_parts_move,
    find_unchanged_parts,
    ignores_images,
)
from kit.stages.checks.one_batch.probe_batch import ProbeBatch
from kit.stages.checks.one_batch.resuming import check_resume

if TYPE_CHECKING:
    import pandas as pd

LEVEL_ORDER = {"problem": 0, "warning": 1, "note": 2}
MIN_RELATIVE_LR = 1e-9  # share of the peak rate, if a schedule never increases
MIN_SPARE_FACTOR = 10  # factor of the run's steps: more means that no run learns at this rate
MIN_STEPS = 15  # steps possible in the time, below which the result is no evidence against a network


@dataclass(frozen=True, eq=False, repr=False)
class SanityCheckResult(Displayed):
    """The result of one batch. Losses are means over its rows, without mixing and augmentation."""

    rows: tuple[str, ...]  # ids of the batch
    classes: int
    labels: str  # in words, such as `5 classes`
    guessing_loss: float  # of equal outputs
    start_loss: float  # of the network before its first step
    least_loss: float  # that any outputs can reach
    last_loss: float
    steps: int  # empty if the loss is stuck
    right: int  # rows that are predicted correctly at the end
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """The number of findings that keep a network from learning, or a run from being resumed."""
        return sum(finding.level == "problem" for finding in self.findings)

    def _lines(self) -> list[str]:
        about = f"{len(self.rows)} images of {self.labels}, {self.steps} steps"
        loss = f"loss {self.start_loss:.4f} to {self.last_loss:.4f}, lowest possible {self.least_loss:.4f}"
        first, *rest = describe_findings(about, self.findings)
        return [first, f"{loss}; {self.right} of {len(self.rows)} images predicted correctly", *rest]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per finding: code, level, summary, effect, fix and number of cases."""
        return findings_frame(self.findings)


@stage
def sanity_check(workspace: Workspace | StrPath, fold: int = 0) -> Work[SanityCheckResult]:
    """Reads, augments, overfits and resumes one batch of a fold. Nothing is written into runs/.

    Raises the errors of preparing a run.
    """
    workspace = Workspace.of(workspace)
    setting = yield from prepare_run(workspace, scratch_run(workspace))
    began = time.monotonic()
    stages = train_stages(setting, fold)
    try:
        probe = ProbeBatch.of(setting, fold, stages)
        yield Progress("images", 0, 4)
        findings = list(check_images(probe))
        yield Progress("loss", 1, 4)
        low = loss_floor(probe)
        start = float(probe.loss.rows(probe.outputs(probe.learner()), probe.labels()).mean())
        findings += check_loss(probe, low)
        fitted, cause = None, _find_non_finite(probe)
        if cause:
            findings.append(_not_finite(cause))
        elif not low.is_stuck:
            findings += check_start_loss(probe, low, start)
            yield Progress("one batch", 2, 4)
            fitted = overfit(probe, low, peak_lr_factor(probe))
            findings += _of_fit(probe, low, fitted)
            yield Progress("resume", 3, 4)
            findings += [*check_average(fitted), *check_resume(probe, fitted)]
    finally:
        for stage in stages:
            stage.batches.close()
    findings.sort(key=lambda finding: (LEVEL_ORDER[finding.level], finding.code))
    return SanityCheckResult(
        tuple(probe.ids()),
        len(setting.loaded.table.classes),
        setting.loaded.table.target.count_words(len(setting.loaded.table.classes)),
        low.guessing,
        start,
        low.least,
        fitted.last if fitted else start,
        len(fitted.losses) if fitted else 0,
        int(fitted.right.sum()) if fitted else 0,
        time.monotonic() - began,
        tuple(findings),
    )


def _find_non_finite(probe: ProbeBatch) -> str:
    """Returns why the predictions of the batch are NaN or infinite before the first step; empty if they are finite."""
    learner, setting = probe.learner(), probe.setting
    model = Predictor(learner.predictor, probe.loss, setting.precision, setting.loaded.table.target)
    images = setting.precision.to_layout(probe.batch.images, setting.device)
    return find_non_finite(model.network, lambda: model.probabilities(images, probe.batch.side))


def _not_finite(cause: str) -> Finding:
    """Returns K31: predictions are NaN or infinite before the first step."""
    return Finding(
        "K31",
        "problem",
        f"the network's predictions are not finite before it is trained: {cause}",
        "training would end with R20 after the first validation",
        "predict_precision=float32; another file for backbone.weights; the layer's own code",
    )


def _of_fit(probe: ProbeBatch, low: LossFloor, fitted: OverfitResult) -> Iterator[Finding]:
    """Yields K25 for parts that do not move.

    If the batch is not overfitted, yields the first reason that is found. A part that the optimizer does not
    move may only need a step that is large enough to show.
    """
    still = find_unchanged_parts(probe, fitted)
    if fitted.known:
        if still:
            yield check_parts_move(still)
        return
    if ignores_images(probe, fitted.learner):
        yield check_images_matter()
        return
    stuck = {part: why for part, why in still.items() if why != UNMOVED}
    rated = None if stuck else _of_rate(probe, low, fitted)
    if stuck or (still and (rated is None or rated.code == "K27")):
        yield check_parts_move(stuck or still)
    elif rated is not None:
        yield rated


def _of_rate(probe: ProbeBatch, low: LossFloor, fitted: OverfitResult) -> Finding | None:
    """Returns K26 if the rate is too low or too high for the run, K27 if no rate overfits the batch."""
    share = low.progress_of(fitted.last)
    if math.isfinite(fitted.last) and (share >= LEARNING_PROGRESS or fitted.right.all()):
        return None  # on its way
    if math.isfinite(fitted.last) and len(fitted.losses) < MIN_STEPS:
        return _short_of_time(fitted)
    lr, whole = max(fitted.learner.peaks), lr_integral(probe)
    fell = f"{len(fitted.losses)} steps changed the loss from {fitted.losses[0]:.4g} to {fitted.last:.4g}"
    needed = find_first_lr(probe, low, fitted.factor or MIN_RELATIVE_LR)
    if needed is not None and math.isfinite(fitted.last):
        needed = min(needed, len(fitted.losses) * LEARNING_PROGRESS / max(share, 1e-12))
        return (
            None
            if needed <= whole
            else Finding(
                "K26",
                "problem" if needed > MIN_SPARE_FACTOR * whole else "warning",
                f"the learning rate {lr:.3g} is too low: {fell}",
                f"half of the possible decrease of the loss on {len(fitted.right)} images needs about "
                f"{needed:.2g} steps at the full rate, but the run has {whole:.0f}",
                "run kit plot lr --find, then set optimizer.lr; or use more epochs",
            )
        )
    lower = largest_lower_lr(probe, low, fitted.factor)
    if lower is None:
        return _unknown(probe, low, fitted)
    return Finding(
        "K26",
        "problem",
        f"the learning rate {lr:.3g} is too high: {fell}",
        "the steps are too large to reach the minimum",
        f"run kit plot lr --find, then set optimizer.lr; at {lr * lower:.2g} the loss falls",
    )


def _short_of_time(fitted: OverfitResult) -> Finding:
    """Returns K27 as a note: the network is slow here, without evidence against it."""
    return Finding(
        "K27",
        "note",
        f"the time was enough for only {len(fitted.losses)} steps, which changed the loss from "
        f"{fitted.losses[0]:.4g} to {fitted.last:.4g}",
        "kit cannot decide whether it learns",
        "use a smaller image_size or network for this check; see kit bench network",
    )


def _unknown(probe: ProbeBatch, low: LossFloor, fitted: OverfitResult) -> Finding:
    """Returns K27: the batch is not overfitted, and the learning rate is not the reason.

    It is a note if most weights are frozen.
    """
    wrong = [name for name, right in zip(probe.ids(), fitted.right.tolist(), strict=True) if not right]
    return Finding(
        "K27",
        "note" if probe.stage.frozen else "problem",
        f"{len(fitted.losses)} steps over {len(fitted.right)} images changed the loss from "
        f"{fitted.losses[0]:.4g} to {fitted.last:.4g} (lowest possible {low.least:.4g}); "
        f"{int(fitted.right.sum())} are predicted correctly",
        "a network that cannot overfit 8 images will not learn from thousands",
        "use a larger network or image_size, less dropout, no clip_grad_norm; then check backbone, "
        "pooling and head one by one",
        tuple(Case("is predicted wrongly", id=name) for name in wrong),
    )
