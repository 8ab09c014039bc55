"""Every command's help speaks alike: an imperative, examples, and options in whole sentences."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from kit.commands._menu import menu


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
