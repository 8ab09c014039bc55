"""Agreement: whether leaderboard and cross-validation agree, and what to check if they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.stages.leaderboard.noise import Noise
from kit.stages.submission.board import Entry

MIN_SUBMISSIONS = 3  # minimum submissions with both scores, for a correlation and a trend
MIN_SCORED = 4  # and to report a disagreement
OUTLIER_Z = 2.0  # standard errors that are attributed to chance
MAX_P_VALUE = 0.05  # probability below which a trend is not attributed to chance

LEVEL_CHECKS = (
    (
        "a person, an object or a near-duplicate in training and held-out rows: data.group, "
        "splitter=stratified_group_kfold"
    ),
    "test images from another source, size or time than the training images: kit plot, splitter=time",
    "other class frequencies in the test rows: kit board diff, --ensembler prior_correction",
)
OUTLIER_CHECKS = (
    "a wrongly recorded score: kit board score",
    "a file other than the submitted one, or different test rows: kit submission check, kit board diff",
    "a difference to the other submissions, such as a fitted ensembler or views: kit board diff",
)
ORDER_CHECKS = (
    "folds that do not resemble the train/test split: splitter=stratified_group_kfold, time or column",
    "scores of few rows, or of one fold: kit train --folds for all folds, splitter=repeated",
    "a small or unusual public part: trust cross-validation, kit board choose-final 2",
)
TREND_CHECKS = (
    "repeated selection on the same out-of-fold rows: another split_seed shows the remaining gain",
    "a blend of many members, or with fitted weights: compare with --ensembler mean",
)


@dataclass(frozen=True)
class Disagreement:
    """A way in which cross-validation and leaderboard disagree, and the checks to make."""

    what: str
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """Statistics of the submissions that have both scores; None if they are too few."""

    scored: int
    correlation: float | None  # Spearman's, of cv and leaderboard
    gap: float | None  # the median of leaderboard - cv
    trend: float | None  # the slope of the gap from one submission to the next, by Theil and Sen
    trend_chance: float | None  # the probability of such a trend, or a stronger one, by chance (Kendall)
    doubts: tuple[Disagreement, ...] = ()

    def describe(self) -> str:
        """Returns how the leaderboard scores agree with CV, in one line."""
        plural = "s have" if self.scored > 1 else " has"
        parts = [f"{self.scored} submission{plural} a leaderboard score: {self.gap:+.4f} against cv (median)"]
        if self.trend is not None:
            parts.append(f"trend {self.trend:+.4f} per submission (Theil-Sen, p = {self.trend_chance:.2f})")
        if self.correlation is not None:
            parts.append(f"rank correlation {self.correlation:.2f} (Spearman)")
        return ", ".join(parts)


def agreement(entries: Sequence[Entry], noise: Noise | None = None) -> Agreement:
    """Compares cv and leaderboard over the entries of one metric, in the order of their numbers.

    Source: Spearman 1904 and Kendall 1938 for rank correlations, Theil 1950 and Sen 1968 for the slope, by scipy.stats.
    """
    scored = [
        entry
        for entry in sorted(entries, key=lambda entry: entry.key)
        if entry.cv is not None and entry.leaderboard is not None
    ]
    if not scored:
        return Agreement(0, None, None, None, None)
    cv, leaderboard = np.array([(entry.cv, entry.leaderboard) for entry in scored], dtype=float).T
    sign = 1.0 if entries[0].better == "higher" else -1.0
    correlation, trend, chance = _statistics(cv, leaderboard)
    doubts = [
        *_level(leaderboard - cv, sign, noise),
        *_odd(leaderboard - cv, [entry.number for entry in scored], noise),
        *_order(cv, correlation, noise),
        *_trend(sign, trend, chance),
    ]
    return Agreement(
        len(scored),
        correlation,
        float(np.median(leaderboard - cv)),
        trend,
        chance,
        tuple(doubts) if len(scored) >= MIN_SCORED else (),
    )


def _statistics(cv: np.ndarray, leaderboard: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Returns Spearman's correlation, the slope of the gap, and Kendall's probability of it."""
    from scipy import stats

    if len(cv) < MIN_SUBMISSIONS:
        return None, None, None
    places, gaps = np.arange(len(cv)), leaderboard - cv
    varied = len(set(cv)) > 1 and len(set(leaderboard)) > 1
    correlation = float(stats.spearmanr(cv, leaderboard).statistic) if varied else None
    slope = float(stats.theilslopes(gaps, places).slope)
    chance = float(stats.kendalltau(places, gaps).pvalue) if len(set(gaps)) > 1 else 1.0
    return correlation, slope, chance


def _level(gaps: np.ndarray, sign: float, noise: Noise | None) -> list[Disagreement]:
    if noise is None:
        return []
    middle = float(np.median(gaps))
    apart = abs(middle) / noise.of_gap
    if apart <= OUTLIER_Z:
        return []
    worse = "worse" if sign * middle < 0 else "better"
    text = (
        f"the leaderboard is {worse} than cross-validation by {abs(middle):.4f}, {apart:.1f} times its noise"
    )
    return [Disagreement(text, LEVEL_CHECKS)]


def _odd(gaps: np.ndarray, numbers: Sequence[int], noise: Noise | None) -> list[Disagreement]:
    """Returns the submission whose gap is furthest from that of the others, if chance does not explain it.

    Submissions are scored on the same rows, so the noise of one score is larger than that between two of
    them.
    """
    if noise is None or len(gaps) < MIN_SUBMISSIONS:
        return []
    apart = [float(gap - np.median(np.delete(gaps, index))) for index, gap in enumerate(gaps)]
    index = int(np.argmax(np.abs(apart)))
    times = abs(apart[index]) / noise.of_leaderboard
    if times <= OUTLIER_Z:
        return []
    gap = f"the gap of submission {numbers[index]} differs by {apart[index]:+.4f} from that of the others"
    return [Disagreement(f"{gap}, {times:.1f} times the noise", OUTLIER_CHECKS)]


def _order(cv: np.ndarray, correlation: float | None, noise: Noise | None) -> list[Disagreement]:
    """Returns a disagreement if the correlation is not above 0, unless all scores are alike."""
    spread = float(cv.max() - cv.min())
    if correlation is None or correlation > 0 or (noise is not None and spread <= noise.of_leaderboard):
        return []
    return [
        Disagreement(
            f"leaderboard and cross-validation rank submissions differently, correlation {correlation:.2f}",
            ORDER_CHECKS,
        )
    ]


def _trend(sign: float, trend: float | None, chance: float | None) -> list[Disagreement]:
    if trend is None or chance is None or chance >= MAX_P_VALUE or sign * trend >= 0:
        return []
    text = f"the leaderboard falls behind by {abs(trend):.4f} with each submission (p = {chance:.2f})"
    return [Disagreement(text, TREND_CHECKS)]
