"""Advice in Python: turns the commands in a message into calls and keywords of a session.

`kit tta --checkpoints runs/r --views hflip` is `comp.tta("runs/r", views="hflip")`, and `--name` is `name=`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import click

import kit
from kit.config.models import keys
from kit.errors import KitError
from kit.kinds import KINDS

RENAMED = {"try": "trial", "from": "lowest", "to": "highest"}  # words of Python, or of another method
METHODS = {"init": "kit.init", "runs import": "comp.import_runs", "runs export": "comp.export_runs"}
COMMAND = re.compile(r"(?<![\w./-])kit ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
TOKEN = re.compile(r" ('[^']*'|\"[^\"]*\"|[^\s;()]+)")
ARGUMENT = re.compile(r"""['"].*|[A-Z][A-Z@./]*|\S*[/@]\S*|\S+\.(csv|json|zip)|\d[\d.]*""")
OPTION = re.compile(r"(?<![\w-])--([a-z][\w-]*)(?: (\d[\w.,]*|[A-Z][A-Z/]*)(?![\w-]))?")
OVERRIDE = re.compile(r"([a-z_]+)((?:\.\w+)*)=(\S+)")
SAME_COMMAND = re.compile(r"\bthe same command\b")


def in_python(text: str) -> str:
    """Returns a text with its commands, options and assignments as Python. Commands without a method stay."""
    parts, rest = [], text
    while match := COMMAND.search(rest):
        call = _read_call(rest, match)
        end = match.end() if call is None else call.end
        before = rest[: match.start()]
        parts += [_words(before), rest[match.start() : end] if call is None else str(call)]
        rest = rest[end:]
    return "".join([*parts, _words(rest)])


def error_in_python(error: KitError) -> KitError:
    """Returns the error with its summary and hint as Python, or the same object if nothing changes."""
    summary, hint = in_python(error.summary), in_python(error.hint)
    return (
        error if (summary, hint) == (error.summary, error.hint) else error.replace(summary=summary, hint=hint)
    )


@dataclass
class _Call:
    """A call for a command: its method, and its arguments as text."""

    method: str
    end: int  # of the command in its text
    positional: list[str] = field(default_factory=list)
    keywords: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        listed = [*self.positional, *(f"{name}={value}" for name, value in self.keywords.items())]
        return f"{self.method}({', '.join(listed)})" if listed else self.method


def _read_call(text: str, match: re.Match[str]) -> _Call | None:
    """Returns the call of the command that starts at a match; None if it has no method."""
    commands = _commands()
    path, end = f"{match[1]} {match[2]}", match.end()
    if path not in commands:
        path, end = match[1], match.end(1)
    if path not in commands:
        return None
    command, method = commands[path]
    tokens, end = _read_tokens(text, end, command)
    call = _Call(METHODS.get(path, f"comp.{path.replace(' ', '.').replace('-', '_')}"), end)
    options = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
    given, overrides, values = [], [], iter(tokens)
    for token in values:
        if token in options:
            one = options[token]
            name = RENAMED.get(option := max(one.opts, key=len).removeprefix("--").replace("-", "_"), option)
            call.keywords[name] = "True" if one.is_flag else _literal(next(values, "..."))
        elif OVERRIDE.fullmatch(token):
            overrides.append(token)
        else:
            given.append(_literal(token))
    call.keywords |= _assignments(overrides)
    first = next((name for name in inspect.signature(method).parameters if name != "self"), None)
    if first is not None and first in call.keywords:  # such as --checkpoints of tta
        given = [call.keywords.pop(first), *given]
    many = len(given) > 1 and command.params and any(one.nargs == -1 for one in command.params)
    call.positional = [f"[{', '.join(given)}]"] if many else given
    try:
        inspect.signature(method).bind_partial(*call.positional, **call.keywords)
    except TypeError:  # such as --json
        return None
    return call


def _read_tokens(text: str, start: int, command: click.Command) -> tuple[list[str], int]:
    """Returns the arguments of a command from an index on, up to the prose behind it, and where they end."""
    options = {
        name: param for param in command.params if isinstance(param, click.Option) for name in param.opts
    }
    tokens: list[str] = []
    is_value = False
    while match := TOKEN.match(text, start):
        token = match[1] if match[1][0] in "'\"" else match[1].rstrip(",.:")
        is_name = len(token) == 1 and text.startswith(" --", match.end())  # `kit runs export r --out r.zip`
        patterns = OVERRIDE.fullmatch(token) or ARGUMENT.fullmatch(token)
        known = token in options or is_value or is_name or patterns is not None
        if not token or not known:
            break
        tokens.append(token)
        is_value = token in options and not options[token].is_flag and not is_value
        start = match.start(1) + len(token)
        if token != match[1]:
            break
    return tokens, start


def _words(text: str) -> str:
    """Replaces options and assignments outside commands."""
    text = SAME_COMMAND.sub("the same call", text)
    text = OPTION.sub(_option, text)
    return re.sub(r"(?<![\w.\"'{(/-])" + OVERRIDE.pattern, _assignment, text)


def _option(match: re.Match[str]) -> str:
    flags = _options()
    name, value = match[1].replace("-", "_"), match[2]
    if name not in flags:
        return match[0]
    name, is_flag = RENAMED.get(name, name), flags[name]
    if is_flag:
        return f"{name}=True{f' {value}' if value else ''}"
    return f"{name}={_literal(value) if value else ''}"


def _assignment(assignment: re.Match[str]) -> str:
    text = assignment[0].rstrip(",.;:)")
    match = OVERRIDE.fullmatch(text)
    if match is None or match[1] not in keys():
        return assignment[0]
    ((name, value),) = _assignments([text]).items()
    return f"{name}={value}{assignment[0][len(text) :]}"


def _assignments(overrides: Sequence[str]) -> dict[str, str]:
    """Returns `loss=cutmix`, `loss.base=arcface` as the keyword loss={"name": "cutmix", "base": "arcface"}."""
    plain: dict[str, str] = {}
    options: dict[str, dict[str, str]] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        name, _, option = key.partition(".")
        if option:
            options.setdefault(name, {})[option] = _literal(value)
        else:
            plain[name] = _literal(value)
    values = {}
    for name in dict.fromkeys([*plain, *options]):
        chosen = {"name": plain[name]} if name in plain and name in KINDS else {}
        inner = chosen | options.get(name, {})
        listed = ", ".join(f'"{option}": {value}' for option, value in inner.items())
        values[name] = f"{{{listed}}}" if name in options else plain[name]
    return values


def _literal(text: str) -> str:
    """Returns a value of the command line as a literal of Python."""
    text = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    if text == "...":
        return text
    if re.fullmatch(r"\d+(,\d+)+", text):
        return f"[{text.replace(',', ', ')}]"
    try:
        return repr(json.loads(text)).replace("'", '"')
    except ValueError:
        return json.dumps(text, ensure_ascii=False)


@cache
def _commands() -> dict[str, tuple[click.Command, Callable[..., Any]]]:
    """Returns each command that has a method, with the method, by the words after `kit`."""
    from kit.commands._menu import menu

    at = object.__new__(kit.Session)
    at.folder = None  # type: ignore[assignment]
    methods = {"init": kit.init, "runs import": at.import_runs, "runs export": at.export_runs}
    commands: dict[str, tuple[click.Command, Callable[..., Any]]] = {}
    for path, command in _walk("", menu):
        method: Any = methods.get(path, at)
        for name in () if path in methods else path.replace("-", "_").split():
            method = getattr(method, name, None)
        if callable(method) and (not isinstance(command, click.Group) or command.invoke_without_command):
            commands[path] = (command, method)
    return commands


def _walk(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            inner = f"{path} {name}".strip()
            yield inner, command
            if isinstance(command, click.Group):
                yield from _walk(inner, command)


@cache
def _options() -> dict[str, bool]:
    """Returns the options of all commands with methods, as Python names them, and whether each is a flag."""
    return {
        max(param.opts, key=len).removeprefix("--").replace("-", "_"): bool(param.is_flag)
        for command, _ in _commands().values()
        for param in command.params
        if isinstance(param, click.Option)
    }
