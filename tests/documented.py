"""Commands as pages show them, parsed as kit would parse them, and not run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click

from kit.commands._menu import menu
from kit.config.overrides import apply_overrides
from kit.config.parsing import validate_config
from kit.kinds import KINDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def commands(text: str) -> list[str]:
    """The lines of a page that a reader would type after `$ kit`, without their remarks."""
    lines = re.findall(r"^\$ kit (.*)$", text, flags=re.MULTILINE)
    return [re.sub(r"\s+#.*$", "", line).strip() for line in lines]


def parse(line: str) -> None:
    """Raises what kit would raise for a command's options, its overrides' keys, and the options of its plugins.

    The config is the digits' with the backbone that `kit init` writes.
    """
    context, words = click.Context(menu), shlex.split(line)
    command: click.Command = menu
    while isinstance(command, click.Group) and words:
        subcommand = command.get_command(context, words[0])
        assert subcommand is not None, line
        command, words = subcommand, words[1:]
        if not isinstance(command, click.Group):
            context = command.make_context(command.name or "", list(words))
    _open(context.params)


def _open(given: dict[str, Any]) -> None:
    overrides = given.get("overrides", ())
    config = {**json.loads((ROOT / "config.json").read_text()), "backbone": {"name": "timm"}}
    raw = apply_overrides(config, overrides)
    validate_config(raw)
    specs = {kind: raw[kind] for kind in KINDS if isinstance(raw.get(kind), dict)}
    named = {kind: given.get(kind) for kind in ("views", "ensembler", "scorer")}
    opened = [*specs.items(), *named.items(), *(("reranker", text) for text in given.get("rerankers") or ())]
    for kind, spec in opened:
        if spec is not None:
            read = json.loads(spec) if isinstance(spec, str) and spec.startswith("{") else spec
            KINDS[kind].open(read, ROOT)
