"""`kit plugins`: lists techniques and their options, and creates and checks one's own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kit.commands import _console

if TYPE_CHECKING:
    from kit.kinds.catalogue import PluginInfo, PluginRow

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class Kinds(click.Group):
    """The group with `new`, `check`, and a command for each kind."""

    def get_command(self, context: click.Context, name: str) -> click.Command:
        from kit.errors import did_you_mean
        from kit.kinds import registry

        if name in self.commands:
            return self.commands[name]
        if name in registry.kinds():
            return _of_kind(name)
        known = [*registry.kinds(), *self.commands]
        raise click.UsageError(
            f"no kind of plugin named {name!r}{did_you_mean(name, known)} (one of {', '.join(known)})",
            context,
        )


def _of_kind(kind: str) -> click.Command:
    @click.command(
        name=kind,
        help=f"""List the plugins of kind {kind}, or show one with its options.

    \b
    kit plugins {kind}
    kit plugins {kind} NAME
    """,
    )
    @click.argument("name", required=False)
    @JSON
    def show(name: str | None, as_json: bool) -> None:
        from kit.kinds.catalogue import describe, list_plugins

        if name is None:
            _list(list_plugins([kind], _root()), as_json)
        else:
            _describe(describe(kind, name, _root()), as_json)

    return show


@click.group(cls=Kinds, invoke_without_command=True, subcommand_metavar="[KIND [NAME] | new | check]")
@JSON
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List, describe, create and check plugins. The list shows the plugins of kit, of the workspace and of
    installed packages.

    \b
    kit plugins                       all kinds
    kit plugins loss                  one kind
    kit plugins loss cutmix           one plugin's options, limits and source
    kit plugins new loss my_loss      writes plugins/loss/my_loss.py and a test for it
    kit plugins check plugins/loss/my_loss.py
    """
    if context.invoked_subcommand is None:
        from kit.kinds import registry
        from kit.kinds.catalogue import list_plugins

        _list(list_plugins(registry.kinds(), _root()), as_json)


@command.command()
@click.argument("kind")
@click.argument("name")
@click.option(
    "--target",
    type=click.Choice(["classes", "numbers", "shares", "several"]),
    default="classes",
    show_default=True,
    help="Type of labels of a loss, metric or ensembler, as in data.target.",
)
@JSON
def new(kind: str, name: str, target: str, as_json: bool) -> None:
    """Create a working plugin and a contract test for it.

    \b
    kit plugins new loss my_loss
    kit plugins new metric my_metric --target numbers
    """
    from kit.config.workspace import Workspace
    from kit.kinds.scaffold import new_plugin

    written = new_plugin(Workspace.find().root, kind, name, target)
    if as_json:
        _console.print_json(dict(zip(("plugin", "test"), map(str, written), strict=True)))
        return
    for path in written:
        click.echo(path)
    _console.echo(f"kit plugins check {written[0]}\npytest {written[1]}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@JSON
@click.pass_context
def check(context: click.Context, file: Path, as_json: bool) -> None:
    """Run the contract tests of a plugin's kind on a plugin file. The plugin gets its default options.

    \b
    kit plugins check plugins/loss/my_loss.py
    """
    from kit import contracts
    from kit.kinds.catalogue import open_file

    findings = contracts.check(open_file(file))
    if as_json:
        _console.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            detail = "" if finding.holds else f"\n       {finding.detail}"
            click.echo(f"{'holds ' if finding.holds else 'BROKEN'} {finding.law}{detail}")
    if not all(finding.holds for finding in findings):
        context.exit(1)


def _root() -> Path | None:
    """Returns the workspace around the current folder, if any. Its config need not be valid."""
    from kit.config.workspace import CONFIG_FILE

    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / CONFIG_FILE).is_file()), None)


def _list(listed: list[PluginRow], as_json: bool) -> None:
    if as_json:
        _console.print_json([asdict(plugin) for plugin in listed])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "source", "description"):
        table.add_column(heading)
    for plugin in listed:
        what = f"cannot be used: {plugin.error}" if plugin.error else plugin.summary
        table.add_row(
            plugin.kind, plugin.name, "" if plugin.plugin_source == "kit" else plugin.plugin_source, what
        )
    _console.console().print(table, markup=False)


def _describe(plugin: PluginInfo, as_json: bool) -> None:
    if as_json:
        _console.print_json(asdict(plugin))
        return
    click.echo(f"{plugin.kind} {plugin.name}\n\n{plugin.text}\n")
    for option in plugin.options:
        default = "required" if option.required else f"= {json.dumps(option.default, ensure_ascii=False)}"
        limits = f" ({option.limits})" if option.limits else ""
        click.echo(f"  {option.name}: {option.type} {default}{limits}\n      {option.description}")
    takes = f"Accepts: {plugin.takes}\n" if plugin.takes else ""
    click.echo(f"{chr(10) if plugin.options else ''}{takes}Source: {plugin.source}\nFile: {plugin.file}")
