"""Advice in messages, hints and pages: every command and every `key=value` of a text, tried without running it.

`faults` says what of a text a reader could not follow: a command or option that click refuses, a key that config.json
does not have, a plugin that does not exist, a value that does not validate.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import click

from kit.commands._menu import menu
from kit.core.error_codes import codes
from kit.errors import KitError
from kit.kinds import KINDS
from kit.kinds.registry import locations
from tests.advice_texts import HOLE, Text, plausible
from tests.advised_pairs import is_key, keys_in, opened_together, pair_faults, tried, with_examples
from tests.advised_python import python_faults

PLUGIN_OPTIONS = {
    "views": "views",
    "ensembler": "ensembler",
    "choose_views": "ensembler",
    "scorer": "scorer",
    "reranker": "reranker",
    "rerankers": "reranker",
    "executor": "executor",
}
ANY = "r"  # what other holes of commands stand for
# options of pip, git, docker, torchrun, ray, tensorboard, kaggle and timm's script
FOREIGN = frozenset(
    ("--quiet", "--only-binary", "--no-index", "--find-links", "--verify", "--porcelain", "--untracked-files")
) | {
    "--nproc-per-node",
    "--nnodes",
    "--rdzv-endpoint",
    "--head",
    "--address",
    "--logdir",
    "--val-split",
    "--map-root-user",
    "--net",
    "--shm-size",
    "--ipc",
    "--dir-mode",
}
PROSE = frozenset({"and", "or", "is", "of", "for", "with", "on", "in", "to"})
TOKEN = re.compile(r"""(?:'[^']*'|"[^"]*"|<[^>]*>|\[[^\]]*\]|[^\s'"<\[])+|['"\[<]""")
COMMAND = re.compile(rf"(?<![\w./-])kit +(?=((?:[a-z]|{HOLE})[^\n]*))")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
NAMED = re.compile(
    r"--(views|ensembler|choose-views|scorer|reranker|executor)[ =](?:([a-z]\w*)|'(\{[^']*\})')"
)


def faults(text: Text) -> list[str]:
    """What a reader of a text could not do as it says, a line each."""
    problems, rest = python_faults(text.text), text.text
    if re.match(r"(comp|kit)\.\w+(\.\w+)*\(", rest):  # a call from Python, whose keywords are no overrides
        return [f"{text.place}: {fault} ({text.shown()[:160]!r})" for fault in problems]
    for start in [] if text.keys_only and not text.typed else list(COMMAND.finditer(text.text)):
        read = _Line(text, start[1])
        problems += read.faults
        rest = rest.replace(read.source, " ")
    if not text.typed:
        problems += pair_faults(text, rest)
    if not text.keys_only:
        problems += [
            f"no command has {name}" for name in OPTION.findall(rest) if name not in _options() | FOREIGN
        ]
        for option, name, spec in NAMED.findall(rest):
            problems += (
                _plugin_faults(option.replace("-", "_"), spec or name) if spec or name not in PROSE else []
            )
        problems += [f"{name} is no key" for name in keys_in(rest) if not is_key(name)]
    return [f"{text.place}: {fault} ({text.shown()[:160]!r})" for fault in problems]


@lru_cache
def _options() -> frozenset[str]:
    """The options of all commands."""

    def of(command: click.Command) -> Iterator[str]:
        yield from (name for one in command.params for name in (*one.opts, *one.secondary_opts))
        if isinstance(command, click.Group):
            for name in _names(command):
                inner = command.get_command(click.Context(command), name)
                assert inner is not None
                yield from of(inner)

    return frozenset(of(menu)) | {"--help", "--version"}


@dataclass
class _Line:
    """A command as far as a text continues with words that it could take: `kit tta for it again` is only its name."""

    text: Text
    rest: str
    source: str = ""  # the part of the text that is the command
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = re.split(r" (?:[>|]|&&) ", self.rest)[0] if self.text.typed else self.rest
        tokens = [(match[0], match.end()) for match in TOKEN.finditer(before)]
        command, tokens = self._command(tokens)
        if command is None:
            return
        ends = self._arguments(command, tokens)
        self.source = f"kit {self.rest[: ends or len(self.rest)]}"
        if self.words:
            self._parse(command, tokens)

    def _command(self, tokens: list[tuple[str, int]]) -> tuple[click.Command | None, list[tuple[str, int]]]:
        """The command that the words begin with, and what follows; the tokens that ended it are spent."""
        command: click.Command = menu
        while isinstance(command, click.Group) and tokens:
            token, name = tokens[0][0], self._filled(tokens[0][0])
            word = name.rstrip(".,;:)?`'")
            if word not in _names(command) and not _has(command, word):
                if command is menu:
                    options = len(tokens) > 1 and tokens[1][0].startswith("-")
                    near = difflib.get_close_matches(word, _names(command), cutoff=0.8)
                    verb = word.removesuffix("s") in _names(command)  # kit predicts ...
                    if self.text.typed or options or (near and not verb):
                        self.faults.append(f"no command 'kit {word}'")
                    return None, tokens
                if self.text.typed or word.startswith("-"):
                    return command, tokens
                ends = word != name or len(tokens) == 1  # nothing of the sentence follows
                typed = ends or _is_argument(tokens[1][0]) or difflib.get_close_matches(word, _names(command))
                if re.fullmatch(r"[a-z]+", word) and typed:
                    self.faults.append(f"{command.name} has no command {word!r}")
                return command, []
            command, tokens = _inner(command, word), tokens[1:]
            if word != name and not re.fullmatch(HOLE, token):
                return command, []
        return command, tokens

    def _arguments(self, command: click.Command, tokens: list[tuple[str, int]]) -> int:
        """Takes the words that may be arguments; where they end in the text."""
        flags = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
        ends, value = 0, False
        for place, (token, end) in enumerate(tokens):
            before = (
                tokens[place + 1][0] if place + 1 < len(tokens) else ""
            )  # `kit sweep lr optimizer.lr=1,2`
            is_name = place == 0 and re.fullmatch(r"\w+", token) is not None and "=" in before
            value = value or (not self.words and is_name)
            word = token if self.text.typed or token[-1] in "'\"" else token.rstrip(".,;:)?`")
            if not (self.text.typed or value or _is_argument(word)):
                break
            self.words.append(self._filled(word))
            option = flags.get(word.partition("=")[0])
            value = option is not None and not option.is_flag and "=" not in word
            ends = end - len(token) + len(word)
            if word != token:
                break
        return ends

    def _filled(self, word: str) -> str:
        def value(match: re.Match[str]) -> str:
            return plausible(self.text, match[0]) or ANY

        return re.sub(HOLE, value, word)

    def _parse(self, command: click.Command, tokens: list[tuple[str, int]]) -> None:
        try:
            words = [part for word in self.words for part in shlex.split(word)]
        except ValueError:
            words = list(self.words)
        words = [_without_placeholder(command, words, place) for place in range(len(words))]
        words = [word for word in words if word != "..."]
        later = [token.rstrip(".,;:)") for token, _ in tokens[len(self.words) :]]
        while True:
            try:
                context = _context(command, words)
            except click.MissingParameter as error:
                if self.text.named:
                    self.faults += _given(_context(command, words, resilient_parsing=True).params)
                elif later:  # prose may go on with a word that the command takes
                    words.append(later.pop(0))
                    continue
                else:
                    self.faults.append(error.format_message())
            except click.BadOptionUsage as error:
                if not (self.text.named and "requires an argument" in error.message):
                    self.faults.append(error.format_message())
            except click.ClickException as error:
                self.faults.append(error.format_message())
            except KitError as error:
                self.faults.append(str(error))
            else:
                self.faults += _given(context.params)
            return


def _context(command: click.Command, words: list[str], **extra: Any) -> click.Context:
    """click's reading of a command's words, whether the files that they name are there or not."""
    with patch.object(click.Path, "convert", lambda self, value, *_: self.coerce_path_result(value)):
        return command.make_context(command.name or "", list(words), **extra)


def _names(command: click.Group) -> list[str]:
    return command.list_commands(click.Context(command))


def _has(command: click.Group, word: str) -> bool:
    """Whether a group has a command that it does not list, such as a kind of `kit plugins`."""
    with suppress(click.ClickException):
        return command.get_command(click.Context(command), word) is not None
    return False


def _inner(command: click.Group, word: str) -> click.Command:
    subcommand = command.get_command(click.Context(command), word)
    assert subcommand is not None
    return subcommand


def _is_argument(word: str) -> bool:
    """Whether a word of prose is one that a reader would type: an option, a key, a path, a placeholder."""
    return bool(
        re.match(r"--?[a-z]", word)
        or re.search(rf"[=/@<{HOLE[1:]}", word)
        or re.search(r"\.(csv|json|png|html|parquet)$", word)
        or re.fullmatch(r"[A-Z][A-Z\d_]*|-?\d[\d.,]*|\.\.\.|'.*'|\".*\"|[A-Z]\d\d", word)
    )


def _without_placeholder(command: click.Command, words: list[str], place: int) -> str:
    """A word with a value in a placeholder's place, of the kind that click asks for there."""
    word = words[place]
    if not re.fullmatch(r"<.*>|[A-Z][A-Z_]+|N", word):
        return word
    option = next((one for one in command.params if place and words[place - 1] in one.opts), None)
    kind = option.type if option is not None else None
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if word in ("N", "VALUE", "SCORE") or isinstance(
        kind, (click.types.IntParamType, click.types.FloatParamType)
    ):
        return "2"
    if option is not None and option.name in PLUGIN_OPTIONS:
        return next(iter(locations(PLUGIN_OPTIONS[option.name or ""], with_examples())))
    return {"KIND": "loss", "NAME": "x", "CODE": "D03", "KEY=VALUE": "epochs=2"}.get(word, word)


def _given(params: dict[str, Any]) -> list[str]:
    """What kit would refuse of a command's overrides, plugins and codes."""
    overrides = [word for word in _several(params.get("overrides")) if word != ANY]
    problems = [f"{word!r} is not key=value" for word in overrides if "=" not in word]
    groups = [[word for word in (*overrides, *_several(params.get("members"))) if "=" in word]]
    groups += [shlex.split(text) for text in _several(params.get("config_sets"))]
    groups += [[one] for text in _several(params.get("axes")) for one in tried(text)]
    problems += [fault for group in groups if group for fault in opened_together(group)]
    for name in PLUGIN_OPTIONS:
        problems += [fault for spec in _several(params.get(name)) for fault in _plugin_faults(name, spec)]
    code = params.get("code")
    if isinstance(code, str) and code.upper() not in codes():
        problems.append(f"no code {code}")
    return problems


def _plugin_faults(option: str, spec: str) -> list[str]:
    """What is wrong with a plugin that an option names, by its name or its JSON."""
    if re.fullmatch(rf"{ANY}|{HOLE}", spec):
        return []
    spec = re.sub(HOLE, ANY, spec)
    try:
        KINDS[PLUGIN_OPTIONS[option]].open(
            json.loads(spec) if spec.startswith("{") else spec, with_examples()
        )
    except (KitError, ValueError) as error:
        return [f"--{option.replace('_', '-')} {spec}: {error}"]
    return []


def _several(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, (tuple, list)) else [str(value)]
