"""`kit config`: the config as kit understands it, and its JSON schema."""

from __future__ import annotations

import click

from kit.commands import _console


@click.group()
def command() -> None:
    """Print config.json with all defaults, or its JSON schema.

    \b
    kit config show
    kit config show loss=cutmix loss.base=arcface epochs=30
    kit config schema
    """


@command.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, which is also the default.")
def show(overrides: tuple[str, ...], as_json: bool) -> None:
    """Validate the config and print it with every key and option. Overrides are applied first.

    \b
    kit config show
    kit config show backbone.arch=resnet34 splitter.folds=10
    """
    from kit.config.schema import complete
    from kit.config.workspace import Workspace

    _console.print_json(complete(Workspace.find(overrides=overrides)))


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
    except ConfigError:  # without a workspace, or with one to be mended, there is still a schema
        root = None
    _console.print_json(config_schema(root))
