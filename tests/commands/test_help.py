"""Every command's help speaks alike: an imperative, examples, and options in whole sentences."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from kit.commands._menu import STAGES, menu


def commands(group: click.Group = menu, path: str = "kit") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    names = [*group.list_commands(context), *(["loss"] if path == "kit plugins" else [])]
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_says_in_an_imperative_what_it_does_and_shows_examples(path: str) -> None:
    text = COMMANDS[path].help or ""
    first = text.split("\n\n")[0]
    assert first.split()[0][-1] != "s", first
    assert first[0].isupper()
    assert first.endswith(".")
    assert " ".join(path.split()[:2]) in text.partition("\b\n")[2], "no examples"


@pytest.mark.parametrize("path", COMMANDS)
def test_an_options_help_is_a_sentence(path: str) -> None:
    for option in COMMANDS[path].params:
        if isinstance(option, click.Option):
            words = option.help or ""
            assert words.endswith("."), f"{option.name}: {words}"
            assert words[:1].isupper() or words.startswith("auto,"), f"{option.name}: {words}"


GROUPS = {
    "kit": menu,
    **{path: command for path, command in COMMANDS.items() if isinstance(command, click.Group)},
}


@pytest.mark.parametrize("path", GROUPS)
def test_a_list_of_commands_fits_80_columns_uncut(path: str) -> None:
    group = GROUPS[path]
    context = click.Context(group, info_name=path, terminal_width=80)
    text = group.get_help(context)
    assert not [
        line for line in text.splitlines() if line.endswith("...") and not line.startswith("Usage:")
    ], text
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", text, flags=re.MULTILINE)
    assert set(group.list_commands(context)) <= set(listed)
    if path == "kit":
        assert max(map(len, text.splitlines())) <= 80


def test_every_command_has_one_stage() -> None:
    placed = [name for stage in STAGES.values() for name in stage]
    assert sorted(placed) == sorted(menu.list_commands(click.Context(menu)))
    assert list(STAGES) == ["Start", "Train", "Predict", "Blend and submit", "Plot and report", "Last week"]


def test_help_imports_no_heavy_package() -> None:
    code = (
        "import sys\nfrom kit.commands._menu import run\nrun(['--help'])\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pydantic', 'timm', 'sklearn', 'scipy', 'cv2', 'rich'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
