"""kit demo."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import click

from kit.commands._console import echo
from kit.errors import ConfigError, KitError

COMMANDS = (
    "train --name small",
    "train --name resnet backbone=timm backbone.arch=resnet10t optimizer.lr=0.002 epochs=6",
    "tta --checkpoints runs/small runs/resnet --views shift",
    "blend runs/small@shift runs/resnet@shift --name demo",
    "board",
)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path | None) -> None:
    """Run a whole competition on real scanned digits. Train, predict with TTA, blend, submit, and compare
    with the true labels.

    It writes images, tables and config.json into FOLDER, then runs the commands you would type. The default
    is the current folder if it is a demo folder, otherwise kit-demo. Run it again to resume.

    \b
    kit demo
    kit demo /tmp/digits
    """
    from kit.stages.demo.digits import make_digits, score_answers

    start = time.monotonic()
    root = (folder or _default()).resolve()
    _refuse_another(root)
    echo(f"# a competition of scikit-learn's digits, in {root}")
    answers = make_digits(root)
    os.chdir(root)
    for line in COMMANDS:
        _type(line)
    newest = max((root / "submissions").glob("[0-9]*.csv"))
    echo(f"\n# score of submissions/{newest.name} against the true labels, which no command has read")
    for name, value in score_answers(newest, answers).items():
        click.echo(f"test {name} {value:.4f}")
    echo(f"# {time.monotonic() - start:.0f} seconds in total\n")
    echo("try next, in this folder:")
    echo("  kit train --name arc loss=arcface pooling=gem      another loss, another pooling")
    echo("  kit plugins loss                                   all losses")
    echo("  kit plugins new loss mine                          a loss of your own")
    echo("  kit init                                           in the folder of your competition")


def _default() -> Path:
    """Returns the current folder if its config is the demo's, else the demo's own folder."""
    from kit.config.parsing import parse
    from kit.stages.demo.digits import DEMO_CONFIG

    here = Path("config.json")
    wanted = {key: value for key, value in DEMO_CONFIG.items() if key != "$schema"}
    if here.is_file() and parse(here.read_text(encoding="utf-8")) == wanted:
        return Path()
    return Path("kit-demo")


def _refuse_another(root: Path) -> None:
    """Raises an error instead of overwriting an existing competition's data and config."""
    if (root / "data" / "train.csv").exists() and not (root / "data" / "answers" / "digits.csv").exists():
        raise ConfigError(
            f"{root} holds another competition", code="C16", hint="kit demo FOLDER, with an empty folder"
        )


def _type(line: str) -> None:
    """Prints a command as a user would type it, and runs it."""
    from kit.commands._menu import menu

    echo(f"\n$ kit {line}")
    try:
        menu.main(shlex.split(line), prog_name="kit", standalone_mode=False)
    except KitError as error:
        hint = f"{error.hint}; or kit demo FOLDER with an empty folder" if error.hint else "kit demo FOLDER"
        raise error.replace(hint=hint) from error
