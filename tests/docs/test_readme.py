"""README: its plugin keeps the laws of its kind, its commands exist with the options it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from kit.commands._menu import menu, run
from kit.config.overrides import apply_overrides
from kit.config.parsing import validate_config

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def typed() -> list[str]:
    """The `kit ...` lines of README's consoles."""
    blocks = re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL)
    lines = [
        line[2:].split(" #")[0].strip()
        for block in blocks
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    return sorted({line for line in lines if line.startswith("kit ")})


def test_the_plugin_of_the_readme_keeps_the_laws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL) if "class Poly" in block
    )
    file = tmp_path / "plugins" / "loss" / "poly.py"
    file.parent.mkdir(parents=True)
    file.write_text(code)
    (tmp_path / "config.json").write_text("{}")
    assert run(["plugins", "check", str(file)]) == 0
    assert "BROKEN" not in capsys.readouterr().out


def test_a_dozen_lines_are_shown() -> None:
    assert len(typed()) > 8


@pytest.mark.parametrize("line", typed())
def test_each_command_of_the_readme_parses(line: str) -> None:
    command: click.Command = menu
    arguments = shlex.split(line)[1:]
    with click.Context(menu) as context:
        while isinstance(command, click.Group):
            name, *rest = arguments or [""]
            subcommand = command.get_command(context, name)
            if subcommand is None:  # such as `kit board` or `kit plugins loss`, where no command follows
                break
            command, arguments = subcommand, rest
    assert command is not menu
    assert command.make_context("kit", list(arguments), resilient_parsing=False)


@pytest.mark.parametrize("line", [line for line in typed() if line.startswith("kit train")])
def test_each_override_of_the_readme_is_a_key(line: str) -> None:
    pairs = [part for part in shlex.split(line) if "=" in part and not part.startswith("-")]
    validate_config(apply_overrides(json.loads((ROOT / "config.json").read_text()), pairs))


def test_the_first_screen_shows_five_commands_and_no_output() -> None:
    first = re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL)[0].splitlines()
    assert [line.split()[:3] for line in first] == [
        ["$", "kit", name] for name in ("init", "check", "train", "tta", "blend")
    ]
    assert "```text" in TEXT.split("```console")[1]  # the picture of the pipeline follows
