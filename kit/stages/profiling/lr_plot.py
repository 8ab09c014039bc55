"""Plots of the learning rate: its schedule, and the loss at increasing rates."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from kit.config.workspace import Workspace
from kit.core.progress import Work, stage
from kit.errors import ConfigError
from kit.stages.figures.plot import PlotResult, check_picture
from kit.stages.figures.plots import draw_curves, write_figure
from kit.stages.profiling.lr_finder import compute_lr_schedule, run_lr_range_test


@stage
def plot_lr(workspace: Workspace, out: Path) -> Work[PlotResult]:
    """Plots the learning rate of each step of a fold."""
    check_picture(out)
    curve = yield from compute_lr_schedule.with_progress(workspace)
    epochs = [curve.epoch_of(step + 1) for step in range(len(curve.rates))]
    peak = max(curve.rates)
    at = curve.rates.index(peak) + 1
    title = f"learning rate, {len(curve.rates)} steps per fold"
    write_figure(out, draw_curves({"lr": (epochs, curve.rates)}, title, "epoch", "highest rate"))
    stages = [{"epochs": e, "steps_per_epoch": s} for e, s in zip(curve.epochs, curve.steps, strict=True)]
    return PlotResult(
        (out,),
        (
            f"{sum(curve.epochs)} epochs, {len(curve.rates)} steps per fold",
            f"peak {peak:.3g} at step {at} (epoch {curve.epoch_of(at):.1f}), {curve.rates[-1]:.3g} at the end",
        ),
        {
            "file": str(out),
            "steps": len(curve.rates),
            "peak": peak,
            "peak_step": at,
            "first": curve.rates[0],
            "last": curve.rates[-1],
            "stages": stages,
        },
        [
            {"step": step, "epoch": epoch, "lr": rate}
            for step, (epoch, rate) in enumerate(zip(epochs, curve.rates, strict=True), 1)
        ],
    )


@stage
def plot_lr_range(
    workspace: Workspace, out: Path, lowest: float, highest: float, steps: int
) -> Work[PlotResult]:
    """Plots the loss at increasing learning rates, and two rates to try."""
    check_picture(out)
    if highest <= lowest:
        raise ConfigError(
            f"the highest rate {highest:g} is not larger than the lowest {lowest:g}", code="C05"
        )
    range_test = yield from run_lr_range_test.with_progress(workspace, lowest, highest, steps)
    rates = [trial.lr for trial in range_test.trials]
    curves = {
        "loss": (rates, [trial.loss for trial in range_test.trials]),
        "smoothed": (rates, [trial.smoothed for trial in range_test.trials]),
    }
    marks = {
        f"steepest {range_test.steepest:.2g}": range_test.steepest,
        f"min / 10: {range_test.tenth:.2g}": range_test.tenth,
    }
    title = f"learning-rate range test, {len(rates)} of {steps} steps"
    write_figure(out, draw_curves(curves, title, "learning rate", "training loss", log_x=True, marks=marks))
    trials = [asdict(trial) for trial in range_test.trials]
    diverged = f"{len(rates)} of {steps} steps, stopped when the loss diverged"
    return PlotResult(
        (out,),
        (
            diverged if len(rates) < steps else f"{steps} steps",
            f"steepest descent at {range_test.steepest:.2g}, a tenth of the rate of the lowest loss "
            f"{range_test.tenth:.2g}: try optimizer.lr between them",
        ),
        {"file": str(out), "steepest": range_test.steepest, "tenth": range_test.tenth, "trials": trials},
        trials,
    )
