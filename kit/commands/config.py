"""`kit config`: shows every key with the origin of its value, and the JSON schema."""

from __future__ import annotations

import click

from kit.commands import _console
from kit.core.legible import escape_control


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show every config key with its value, its default and where the value comes from.

    \b
    kit config                           the same as kit config show
    kit config show loss=cutmix loss.base=arcface epochs=30
    kit config schema
    """
    if context.invoked_subcommand is None:
        _show((), as_json=False)


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print the whole config as JSON.")
def show(overrides: tuple[str, ...], as_json: bool) -> None:
    """Validate the config and show every key and option. Overrides are applied first.

    \b
    kit config show
    kit config show backbone.arch=resnet34 splitter.folds=10
    kit config show --json
    """
    _show(overrides, as_json)


def _show(overrides: tuple[str, ...], as_json: bool) -> None:
    from kit.config.origins import DEFAULT, settings, text_of
    from kit.config.schema import complete
    from kit.config.workspace import Workspace

    workspace = Workspace.find(overrides=overrides)
    whole = complete(workspace)
    if as_json:
        _console.print_json(whole)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("key", "value", "default", "from"):
        table.add_column(heading, overflow="fold")
    for setting in settings(workspace, overrides):
        texts = [setting.key, text_of(setting.value), text_of(setting.default), setting.source]
        table.add_row(*map(escape_control, texts), style="" if setting.source == DEFAULT else "bold")
    _console.console().print(table, markup=False)


@command.command()
def schema() -> None:
    """Print the JSON schema of config.json. Editors use it to complete keys.

    \b
    kit config schema > config.schema.json
    """
    from kit.config.schema import config_schema
    from kit.config.workspace import Workspace
    from kit.errors import ConfigError

    try:
        root = Workspace.find().root
    except ConfigError:  # without a workspace, or with an invalid one, there is still a schema
        root = None
    _console.print_json(config_schema(root))
