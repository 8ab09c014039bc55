"""The menu: `kit blend` is commands/blend.py, which is imported when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from kit import __version__
from kit.commands._console import Group
from kit.core.renamed import COMMAND_OPTIONS
from kit.core.stopping import Terminated
from kit.errors import DataError, KitError, KitWarning

COMMANDS = Path(__file__).parent


# the sections of `kit --help`, in the order of a competition
STAGES = {
    "Start": ("demo", "init", "config", "check", "folds", "plugins", "explain"),
    "Train": ("train", "watch", "runs", "sweep", "memory", "bench", "cache"),
    "Predict": ("tta", "boxes", "embed", "retrieve", "pairs"),
    "Blend and submit": ("features", "stack", "blend", "submission", "board"),
    "Plot and report": ("plot", "report"),
    "Last week": ("soup", "merge", "pseudo-labels", "final", "bundle", "predict"),
}


class Menu(Group):
    """The files of kit/commands as commands. Files whose names start with _ are helpers."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Returns all commands in the order of `STAGES`. Commands without a stage follow."""
        files = [file.stem for file in COMMANDS.glob("*.py") if not file.stem.startswith("_")]
        names = sorted(name.replace("_", "-") for name in files)
        order = [name for stage in STAGES.values() for name in stage]
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one section per stage, with one line per command."""
        names = self.list_commands(context)
        width = max(map(len, names))
        placed = {name for stage in STAGES.values() for name in stage}
        sections = {**STAGES, "Other": tuple(name for name in names if name not in placed)}
        for title, members in sections.items():
            rows = [
                (name.ljust(width), self._first_sentence(context, name)) for name in members if name in names
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _first_sentence(self, context: click.Context, name: str) -> str:
        command = self.get_command(context, name)
        return command.get_short_help_str(limit=1000) if command is not None else ""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        command: click.Command = importlib.import_module(f"kit.commands.{name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        resolved = super().resolve_command(context, args)
        if args[0] != "train" and "TORCHELASTIC_RUN_ID" in os.environ:
            context.fail(f"kit {args[0]} runs in one process: torchrun supports only kit train")
        return resolved


@click.command(cls=Menu, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kit")
def menu() -> None:
    """Train, predict with TTA, blend and submit for image classification.

    \b
    kit demo                    run a whole competition in a few minutes
    kit init                    start your own: write config.json from your files
    kit train --name r backbone.arch=resnet18 epochs=20
    kit tta --checkpoints runs/r runs/s --views d4
    kit blend runs/r@d4 runs/s@d4
    """


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit status. A user's error is never a traceback."""
    from kit.commands import _console

    _console.show_warnings()
    try:
        status = menu.main(arguments, prog_name="kit", standalone_mode=False, obj=tuple(arguments))
    except click.ClickException as error:
        _with_new_name(error).show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _console.echo("interrupted; run the same command again to resume from the last checkpoint")
        return 130
    except Terminated:
        _console.echo("terminated; run the same command again to resume from the last checkpoint")
        return 143
    except KitError as error:
        _console.fail(error)
        if isinstance(error, DataError):
            with suppress(OSError, KitError):  # the error was printed; its list may not fit on the disk
                _quarantine(error)
        return error.exit_code
    except KitWarning as warning:  # --strict
        _console.fail(DataError(str(warning)))
        return DataError.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:  # of a library, not of a file
            raise
        _console.fail(KitError(f"{error.filename or 'the output'}: {error.strerror}"))
        return KitError.exit_code
    return status if isinstance(status, int) else 0  # click returns the argument of a command's context.exit


def _with_new_name(error: click.ClickException) -> click.ClickException:
    """Returns the error. If it is about a former option, it proposes the present one."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    new = COMMAND_OPTIONS.get(error.ctx.command_path, {}).get(error.option_name.removeprefix("--"))
    if new is None:
        return error
    return click.UsageError(f"no option {error.option_name!r}; did you mean '--{new}'?", error.ctx)


def _quarantine(error: DataError) -> None:
    """Lists all bad data that stopped a command in quarantine.csv, if the command has a workspace."""
    from kit.commands import _console
    from kit.config.workspace import CONFIG_FILE
    from kit.data.quarantine import QUARANTINE_FILE, quarantine

    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / CONFIG_FILE).is_file()), None)
    if root is not None and any(case.path or case.id for case in error.cases):
        quarantine(root, error.cases, error.code)
        _console.echo(
            f"{len(error.cases)} case{'s' * (len(error.cases) > 1)} listed in {root / QUARANTINE_FILE}"
        )
