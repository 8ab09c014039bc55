"""The methods of a session have the names, options and defaults of the commands."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import kit
from kit.config.models import SECTIONS, keys
from kit.session.config_keys import ConfigKeys
from kit.session.session import Session
from tests.written_runs import competition

COMMANDS = (
    "init",
    "check",
    "folds",
    "train",
    "tta",
    "features",
    "stack",
    "blend",
    "board",
    "submission",
    "pseudo_labels",
    "plot",
    "report",
    "boxes",
    "embed",
    "retrieve",
    "pairs",
    "sweep",
    "soup",
    "merge",
    "final",
    "bundle",
    "predict",
    "memory",
    "bench",
)
# --json prints what a method returns; progress is drawn by every command
# `from`, `try` and `as` are words of Python
NAMED_OTHERWISE = {"from": "lowest", "to": "highest", "try": "trial", "as": "name"}
ONLY_COMMAND, ONLY_METHOD = {"json"}, {"progress"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return kit.open(competition(tmp_path_factory.mktemp("options")))


def walk(name: str, command: click.Command, method: Any) -> Iterator[tuple[str, click.Command, Any]]:
    """A command with its method, and those of its subcommands."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield name, command, method
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from walk(f"{name} {inner}", one, getattr(method, inner.replace("-", "_")))


def pairs(session: Session) -> list[tuple[str, click.Command, Any]]:
    triples = []
    for name in COMMANDS:
        command = importlib.import_module(f"kit.commands.{name}").command
        method = kit.init if name == "init" else getattr(session, name)
        triples += list(walk(name, command, method))
    return triples


def options(command: click.Command) -> dict[str, Any]:
    """Each option and argument of a command with its default, as Python names it."""
    defaults: dict[str, Any] = {}
    for one in command.params:
        name = str(one.name)
        if isinstance(one, click.Option):
            name = max(one.opts, key=len).removeprefix("--").replace("-", "_")
        if name == "overrides" or name in ONLY_COMMAND:
            continue
        default = one.get_default(click.Context(command))
        default = None if repr(default).startswith("Sentinel") else default  # click has its own for none
        if one.required or one.nargs == -1:
            default = inspect.Parameter.empty if one.required else ()
        elif getattr(one, "multiple", False):
            default = ()
        defaults[NAMED_OTHERWISE.get(name, name)] = default
    return defaults


def test_each_command_has_a_method_with_its_options_and_defaults(session: Session) -> None:
    wrong = []
    for name, command, method in pairs(session):
        parameters = inspect.signature(method).parameters
        command_options = options(command)
        for option, default in command_options.items():
            if option in keys() and option in parameters:
                continue  # the option sets this key
            if option not in parameters:
                wrong.append(f"kit {name}: {option} is not a parameter of the method")
            elif parameters[option].default not in (default, str(default)):
                wrong.append(f"kit {name}: {option} is {parameters[option].default!r}, not {default!r}")
        more = set(parameters) - set(command_options) - ONLY_METHOD - set(keys())
        wrong += [f"kit {name}: the command has no option {option}" for option in sorted(more)]
    assert not wrong, "\n".join(wrong)


def test_the_pairs_are_whole(session: Session) -> None:
    assert {"board", "board score", "submission check", "train"} <= {name for name, _, _ in pairs(session)}
    wrong = options(importlib.import_module("kit.commands.train").command)
    assert {"name", "seeds", "dry_run", "init_from"} <= set(wrong)
    assert wrong["dry_run"] is False


def test_a_commands_keys_are_the_methods_keywords(session: Session) -> None:
    for name, command, method in pairs(session):
        takes = any(
            one.name in ("overrides", "members") and "KEY" in (one.metavar or "") for one in command.params
        )
        more = set(inspect.signature(method).parameters) - set(options(command))
        # a bundle's networks are fixed, and of its config only `data` and options can change
        expected = {"data"} if name == "predict" else set(keys()) - set(options(command)) if takes else set()
        assert more - ONLY_METHOD == expected, name


def test_the_keywords_are_the_keys_of_the_config() -> None:
    assert set(ConfigKeys.__optional_keys__) == set(keys())
    plain = {"int": int, "bool": bool, "float": float, "int | None": int | None, "str | None": str | None}
    for model in SECTIONS:
        for key, field in model.model_fields.items():
            text = getattr(ConfigKeys.__annotations__[key], "__forward_arg__", None)
            if text in plain:
                assert field.annotation == plain[text], key


def test_tab_completes_methods_and_keywords(session: Session) -> None:
    assert {"train", "tta", "blend", "board", "check"} <= set(dir(session))
    assert not [name for name in dir(session) if name.startswith("_") and not name.endswith("__")]
    assert {"epochs", "backbone", "folds"} <= set(inspect.signature(session.train).parameters)
    assert "score" in dir(session.board)


def test_the_package_completes_its_names() -> None:
    assert {"open", "init", "Session"} <= set(dir(kit))


def test_every_method_is_documented() -> None:
    for name, method in inspect.getmembers(Session, callable):
        if not name.startswith("_"):
            assert len((method.__doc__ or "").split()) > 3, name


def test_a_session_is_a_path(session: Session) -> None:
    assert (Path(session) / "config.json").is_file()
    assert repr(session) == f"kit.open({str(session.folder)!r})"
