"""`kit bench`: measures the fastest settings on this machine. It changes no setting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from kit.commands._console import console, print_json, show_progress

if TYPE_CHECKING:
    from rich.table import Table

    from kit.stages.profiling.loader_speed import LoaderResult
    from kit.stages.profiling.speed import SpeedResult, Throughput


@click.group()
def command() -> None:
    """Measure the fastest settings on this machine. The config is not changed.

    \b
    kit bench network
    kit bench network backbone.arch=efficientnet_b0 image_size=192 --steps 20
    kit bench loader
    """


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Images per step. By default the config's batch size."
)
@click.option(
    "--steps", type=click.IntRange(3), default=10, show_default=True, help="Timed steps of each combination."
)
@click.option(
    "--compile", "compiled", is_flag=True, help="Try torch.compile too, which takes a minute or more."
)
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
def network(
    overrides: tuple[str, ...], batch_size: int | None, steps: int, compiled: bool, as_json: bool
) -> None:
    """Time the network at each precision and memory layout. They take turns, and kit recommends a line for
    the config.

    The steps are those of `kit train`, on random pixels. Images per second are computed from the median step.

    \b
    kit bench network
    kit bench network backbone.arch=efficientnet_b0 --batch-size 64
    kit bench network backbone.arch=resnet50 --compile
    """
    from kit.config.workspace import Workspace
    from kit.stages.profiling.speed import measure_speed

    result = show_progress(
        measure_speed.with_progress(Workspace.find(".", overrides), batch_size, steps, compiled)
    )
    if as_json:
        print_json(_as_json(result))
        return
    click.echo(result.describe())
    console().print(_table(result))
    click.echo(result.describe_advice())
    if compiled:
        click.echo(result.describe_break_even())


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--workers", help="Numbers of loader processes, such as 0,2,4. By default 0, 1, 2, 4, ...")
@click.option("--steps", type=click.IntRange(3), default=20, show_default=True, help="Timed steps per turn.")
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
def loader(overrides: tuple[str, ...], workers: str | None, steps: int, as_json: bool) -> None:
    """Time training with different numbers of loader processes. The numbers take turns, and kit recommends
    one.

    Images come from the cache, which kit fills first if needed. The trained weights are discarded.

    \b
    kit bench loader
    kit bench loader augmenter=retail --workers 0,4,8 --steps 50
    """
    from dataclasses import asdict

    from kit.commands.train import parse_numbers
    from kit.config.workspace import Workspace
    from kit.stages.profiling.loader_speed import measure_loader

    counts = parse_numbers(workers, "--workers") or []
    if any(count < 0 for count in counts):
        raise click.BadParameter("the number of processes must be 0 or more", param_hint="--workers")
    result = show_progress(measure_loader.with_progress(Workspace.find(".", overrides), counts, steps))
    if as_json:
        print_json({**asdict(result), "advice": result.advice()})
        return
    click.echo(result.describe())
    console().print(_loader_table(result))
    click.echo(result.describe_advice())


def _loader_table(result: LoaderResult) -> Table:
    from rich.table import Table

    rates_table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("workers", "loader alone", "training"):
        rates_table.add_column(heading, justify="right", no_wrap=True)
    rates_table.add_column("")
    for rate in result.rates:
        marks = ["used"] * (rate.workers == result.used) + ["fastest"] * (rate is result.fastest)
        rates_table.add_row(str(rate.workers), f"{rate.loaded:.0f}", f"{rate.trained:.1f}", ", ".join(marks))
    return rates_table


def _table(result: SpeedResult) -> Table:
    from rich.table import Table

    rates_table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, side in (
        ("precision", "left"),
        ("memory_format", "left"),
        ("training", "right"),
        ("", "left"),
        ("predicting", "right"),
        ("", "left"),
    ):
        rates_table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    for rate in result.rates:
        way = rate.way
        memory_format = way.memory_format + (", compiled" if way.compiled else "")
        if rate.failed:
            rates_table.add_row(way.dtype, memory_format, "fails", rate.failed, "", "")
            continue
        train = _marks(rate, result.used.train, result, result.trains_fastest)
        predict = _marks(rate, result.used.predict, result, result.predicts_fastest)
        predicted = "" if way.compiled else f"{rate.predict:.1f}"
        rates_table.add_row(way.dtype, memory_format, f"{rate.train:.1f}", train, predicted, predict)
    return rates_table


def _marks(rate: Throughput, used: str, result: SpeedResult, fastest: Throughput) -> str:
    """Returns marks for the config's setup and for the fastest one."""
    if rate.way.compiled:
        return ""
    chosen = (rate.way.dtype, rate.way.memory_format) == (used, result.used.memory_format)
    return ", ".join(["used"] * chosen + ["fastest"] * (rate is fastest))


def _as_json(result: SpeedResult) -> dict[str, object]:
    from dataclasses import asdict

    images = result.break_even()
    even = None if images is None or math.isinf(images) else round(images)
    return {**asdict(result), "advice": list(result.advice()), "break_even_images": even}
