"""Advice in messages, hints and pages: every command and every `key=value` of a text, tried without running it.

A text of kit is a string or an f-string of its source, whose holes get plausible values. A page is Markdown. `faults`
says what of a text a reader could not follow: a command or option that click refuses, a key that config.json does not
have, a plugin that does not exist, a value that does not validate.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import json
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

import kit
from kit.__main__ import menu
from kit.codes import codes
from kit.config import Data, keys
from kit.config_file import check
from kit.errors import KitError
from kit.kinds import KINDS
from kit.overrides import overridden
from kit.registry import find, load, places
from kit.sweeping.space import RANGE, axis

ROOT = Path(__file__).parents[1]
FIRST = 0xE000  # holes of f-strings are characters of Unicode's private use area
HOLE = "[\ue000-\uf8ff]"
PLUGIN_OPTIONS = {
    "views": "views", "ensembler": "ensembler", "policy": "ensembler", "scorer": "scorer", "reranker": "reranker",
    "rerankers": "reranker", "executor": "executor",
}  # fmt: skip
# what holes stand for, by the last part of their expression, where any run's name would not do
PLAUSIBLE = {
    "option": "--label", "views": "d4", "kind": "loss", "split": "train", "number": "7", "command": "tta",
}  # fmt: skip
ANY = "r"  # what other holes of commands stand for
# what some key of config.json takes, for holes and placeholders
VALUES = (
    "2", "224", "0.5", "true", "", '"r"', "float32", "utf-8", ";", "contiguous", "white", "drop", "prior", "[1]", "[]",
    '["a"]', "{}",
)  # fmt: skip
# options of pip, git, torchrun, ray, tensorboard and timm's script
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
}
# `name=value` that is not of config.json: the form itself, git's settings, fastai's arguments
NOT_KEYS = frozenset({"key", "merge", "core", "n", "beta"})
PROSE = frozenset({"and", "or", "is", "of", "for", "with", "on", "in", "to"})

TOKEN = re.compile(r"""(?:'[^']*'|"[^"]*"|<[^>]*>|\[[^\]]*\]|[^\s'"<\[])+|['"\[<]""")
COMMAND = re.compile(rf"(?<![\w./-])kit +(?=((?:[a-z]|{HOLE})[^\n]*))")
VALUE = r"""(?:'[^']*'|"[^"]*"|<[^>\n]*>|\{[^}\n]*\}|\[[^\]\n]*\]|[^\s,;()`'"])+"""
PAIR = re.compile(rf"(?<![\w./\-\"'=&?])((?:[a-z_]|{HOLE})(?:\w|{HOLE})*(?:\.(?:\w|{HOLE})+)*)=({VALUE})")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
NAMED = re.compile(r"--(views|ensembler|policy|scorer|reranker|executor)[ =](?:([a-z]\w*)|'(\{[^']*\})')")


@dataclass(frozen=True)
class Text:
    """A text that a reader sees, its place, and the expressions of its holes."""

    place: str
    text: str
    holes: tuple[str, ...] = ()
    typed: bool = False  # a command line: all of it is parsed
    named: bool = False  # it may leave out what the command needs, as prose does: `kit train --devices`
    keys_only: bool = False  # prose of developers, where `name=value` may be Python's

    def shown(self) -> str:
        """The text with its holes' expressions in braces."""
        return re.sub(HOLE, lambda found: f"{{{self.holes[ord(found[0]) - FIRST]}}}", self.text)


# ------------------------------------------------------------------------------------- where texts are


def texts_of_module(file: Path, root: Path = ROOT) -> Iterator[Text]:
    """Every string and f-string of a module; of docstrings what stands in backticks, and the examples of --help."""
    tree = ast.parse(file.read_text())
    place, docstrings = str(file.relative_to(root)), set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            docstrings.add(id(body[0].value))
    done: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in done or not isinstance(node, ast.expr):
            continue
        holes: list[str] = []
        text = _rendered(node, holes)
        if text is None:
            continue
        done |= {id(inner) for inner in ast.walk(node)}
        where = f"{place}:{node.lineno}"
        if id(node) in docstrings:
            yield from _of_docstring(where, text)
        elif "\n\n    \b\n" in text:  # an f-string that is a command's help
            yield from _examples(where, text, tuple(holes))
        elif not text.lstrip().startswith("<"):  # a piece of HTML
            yield Text(where, text, tuple(holes))


def _rendered(node: ast.expr, holes: list[str]) -> str | None:
    """A string, an f-string or a sum of such, whose other parts are holes; None for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [_rendered(value, holes) or _hole(value, holes) for value in node.values]
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [_rendered(side, holes) for side in (node.left, node.right)]
        if sides == [None, None]:
            return None
        pairs = zip(sides, (node.left, node.right), strict=True)
        return "".join(_hole(side, holes) if text is None else text for text, side in pairs)
    return None


def _hole(node: ast.expr, holes: list[str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    holes.append(ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node))
    return chr(FIRST + len(holes) - 1)


def _of_docstring(place: str, text: str) -> Iterator[Text]:
    yield from _examples(place, text, ())
    for code in re.findall(r"`([^`\n]+)`", text.partition("\b\n")[0]):
        yield Text(place, code, typed=code.startswith("kit "), named=True, keys_only=True)


def _examples(place: str, text: str, holes: tuple[str, ...]) -> Iterator[Text]:
    """The command lines of a docstring, without the remarks that stand two spaces behind them."""
    for line in text.splitlines():
        if line.strip().startswith("kit "):
            yield Text(place, re.split(r"\s{2,}", line.strip())[0], holes, typed=True)


def texts_of_page(file: Path, root: Path = ROOT) -> Iterator[Text]:
    """Every inline code of a Markdown page, and the lines of its fenced blocks that begin with kit."""
    place, page = str(file.relative_to(root)), file.read_text()
    page = re.sub(r"\{\{.*?\}\}", "\ue000", re.sub(r"\{%.*?%\}", "", page))
    fence = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
    for found in fence.finditer(page):
        line = page[: found.start()].count("\n") + 2
        if found[1] in ("json", "python"):
            continue
        block = re.sub(r"\\\n\s*", "", found[2])
        for text in block.splitlines():
            typed = re.match(r"(?:\$ |> )?(kit [a-z].*)", text)
            if typed and found[1] in ("console", "bash", "sh", "", "text"):
                yield Text(f"{place}:{line}", re.sub(r"\s+#.*$|\s{2,}.*$", "", typed[1]), ("x",), typed=True)
    for number, text in enumerate(fence.sub(lambda found: "\n" * found[0].count("\n"), page).splitlines(), 1):
        for code in re.findall(r"(?<!`)`([^`]+)`(?!`)|<code>([^<]+)</code>", text):
            inner = code[0] or code[1]
            yield Text(f"{place}:{number}", inner, ("x",), typed=inner.startswith("kit "), named=True)


def every_text() -> Iterator[Text]:
    """All texts of the package, of its pages and of the worked examples."""
    for file in sorted([*(ROOT / "kit").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]):
        yield from texts_of_module(file)
    for file in every_page():
        yield from texts_of_page(file)
        yield from python_of_page(file)


def every_page() -> list[Path]:
    """The pages of the repository, and the templates of those that kit writes."""
    pages = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    templates = [*(ROOT / "kit").rglob("*.html"), *(ROOT / "kit").rglob("*.md")]
    return sorted([*pages, *(ROOT / "docs").rglob("*.md"), *templates])


# ------------------------------------------------------------------------------------ what is wrong of one


def faults(text: Text) -> list[str]:
    """What a reader of a text could not do as it says, a line each."""
    found, rest = _of_python(text.text), text.text
    for start in [] if text.keys_only and not text.typed else list(COMMAND.finditer(text.text)):
        read = _Line(text, start[1])
        found += read.faults
        rest = rest.replace(read.source, " ")
    if not text.typed:
        found += _pairs(text, rest)
    if not text.keys_only:
        found += [
            f"no command has {name}" for name in OPTION.findall(rest) if name not in _options() | FOREIGN
        ]
        for option, name, spec in NAMED.findall(rest):
            found += _plugin_faults(option, spec or name) if spec or name not in PROSE else []
        found += [f"{name} is no key" for name in _mentioned(rest) if not _is_key(name)]
    return [f"{text.place}: {fault} ({text.shown()[:160]!r})" for fault in found]


@lru_cache
def with_examples() -> Path:
    """A workspace with the plugins that pages show, and a loss `mine` as `kit plugins new` would name it."""
    root = Path(tempfile.mkdtemp())
    for page in ("README.md", "docs/plugins.md"):
        text = (ROOT / page).read_text()
        for path, code in re.findall(r"```python\n# (plugins/\w+/\w+\.py)\n(.*?)```", text, flags=re.DOTALL):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(code)
    for file in (ROOT / "plugins").glob("*/*.py"):
        (root / "plugins" / file.parent.name).mkdir(parents=True, exist_ok=True)
        (root / "plugins" / file.parent.name / file.name).write_text(file.read_text())
    (root / "plugins" / "loss" / "mine.py").write_text((root / "plugins" / "loss" / "poly.py").read_text())
    return root


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
    """A command as far as a text goes on with words that it could take: `kit tta for it again` is only its name."""

    text: Text
    rest: str
    source: str = ""  # the part of the text that is the command
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = re.split(r" (?:[>|]|&&) ", self.rest)[0] if self.text.typed else self.rest
        tokens = [(found[0], found.end()) for found in TOKEN.finditer(before)]
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
            value = value or (not self.words and place == 0 and re.fullmatch(r"\w+", token) and "=" in before)
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
        def value(found: re.Match[str]) -> str:
            return _plausible(self.text, found[0]) or ANY

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


def _plausible(text: Text, hole: str) -> str:
    expression = text.holes[ord(hole) - FIRST]
    return PLAUSIBLE.get(expression.rpartition(".")[2], "")


def _names(command: click.Group) -> list[str]:
    return command.list_commands(click.Context(command))


def _has(command: click.Group, word: str) -> bool:
    """Whether a group has a command that it does not list, such as a kind of `kit plugins`."""
    with suppress(click.ClickException):
        return command.get_command(click.Context(command), word) is not None
    return False


def _inner(command: click.Group, word: str) -> click.Command:
    found = command.get_command(click.Context(command), word)
    assert found is not None
    return found


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
        return next(iter(places(PLUGIN_OPTIONS[option.name or ""], with_examples())))
    return {"KIND": "loss", "NAME": "x", "CODE": "D03", "KEY=VALUE": "epochs=2"}.get(word, word)


def _given(params: dict[str, Any]) -> list[str]:
    """What kit would refuse of a command's overrides, plugins and codes."""
    overrides = [word for word in _several(params.get("overrides")) if word != ANY]
    found = [f"{word!r} is not key=value" for word in overrides if "=" not in word]
    groups = [[word for word in (*overrides, *_several(params.get("members"))) if "=" in word]]
    groups += [shlex.split(text) for text in _several(params.get("each"))]
    groups += [[one] for text in _several(params.get("axes")) for one in _tried(text)]
    found += [fault for group in groups if group for fault in _opened_together(group)]
    for name in PLUGIN_OPTIONS:
        found += [fault for spec in _several(params.get(name)) for fault in _plugin_faults(name, spec)]
    code = params.get("code")
    if isinstance(code, str) and code.upper() not in codes():
        found.append(f"no code {code}")
    return found


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
        return [f"--{option} {spec}: {error}"]
    return []


def _several(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, (tuple, list)) else [str(value)]


def _tried(text: str) -> list[str]:
    """An axis of a sweep as overrides, each value by itself."""
    made = axis(text)
    if made.range is None:
        return [f"{made.key}={value}" for value in made.texts]
    low = int(made.range.low) if made.range.whole else made.range.low
    return [f"{made.key}={low}"]


# ------------------------------------------------------------------------------------------ key=value


def _pairs(text: Text, rest: str) -> Iterator[str]:
    """What cannot be opened of the `key=value` of a text; those that stand side by side are opened together."""
    groups: list[list[str]] = []
    end = -9
    rest = re.sub(HOLE, lambda found: _plausible(text, found[0]) or found[0], rest)
    rest = re.sub(r"'((?:[a-z_]\w*)(?:\.\w+)*=[^']*)'", r"\1", rest)  # as a shell takes the quotes away
    if re.search(r"\w\(\w.*=", rest):  # a call of Python
        return
    for found in PAIR.finditer(rest):
        key, value = found[1], found[2].rstrip(".:?!")
        if re.search(rf"{HOLE}|[A-Z]", key) or key.split(".")[0] in NOT_KEYS:
            continue
        if key.split(".")[0] not in keys():
            if not text.keys_only and not re.match(r"[\"']|(?:True|False|None)\b", value):
                yield f"no key {key}"
            continue
        if found.start() - end == 1 and rest[end] == " ":
            groups[-1].append(f"{key}={value}")
        else:
            groups.append([f"{key}={value}"])
        end = found.end(2)
    for group in groups:
        yield from _opened(group)


def _opened(pairs: list[str]) -> list[str]:
    """Faults of pairs, with plausible values in their holes and placeholders."""
    open_at = [place for place, pair in enumerate(pairs) if _is_open(pair.partition("=")[2])]
    first: list[str] = []
    for values in _candidates(pairs, open_at):
        found = _opened_together(values)
        if not found:
            return []
        first = first or found
    return first


def _is_open(value: str) -> bool:
    bare = value.strip("'\"")
    return bool(
        re.search(rf"{HOLE}|^<.*>$|\.\.\.|…|^\{{\w+\}}$", bare) or re.fullmatch(r"[A-Z][A-Z_]*(\.\w+)?", bare)
    )


def _candidates(pairs: list[str], open_at: list[int]) -> Iterator[list[str]]:
    """The pairs with each of the values that their open ones might have."""
    if not open_at:
        yield pairs
        return
    names = [pairs[place].partition("=")[0] for place in open_at]
    options = [
        [*VALUES, *(places(kind, with_examples()) if (kind := name.split(".")[0]) in KINDS else ())]
        for name in names
    ]
    for number in range(max(map(len, options))):
        made = list(pairs)
        for place, name, values in zip(open_at, names, options, strict=True):
            given, value = pairs[place].partition("=")[2], values[number % len(values)]
            whole = not re.search(HOLE, given) or re.fullmatch("<.*>", given)
            made[place] = f"{name}={value if whole else re.sub(HOLE, value, given)}"
        yield made


def _opened_together(pairs: Iterable[str]) -> list[str]:
    """Faults of pairs on the digits' config; options that the plugin of the config lacks may be another's."""
    pairs = [re.sub(r"^([\w.]+)='(.*)'$", r"\1=\2", pair) for pair in pairs]
    pairs = [_tried(pair)[0] if RANGE.fullmatch(pair.partition("=")[2]) else pair for pair in pairs]
    error = _open(pairs)
    if error is None:
        return []
    named = {pair.partition("=")[0] for pair in pairs}
    for kind in {name.split(".")[0] for name in named if "." in name} & set(KINDS) - named:
        for name in places(kind, with_examples()):
            if _open([f"{kind}={name}", *pairs]) is None:
                return []
    return [error]


def _open(pairs: list[str]) -> str | None:
    """The error of opening a config with overrides, or None."""
    try:
        raw = overridden(_base(any(pair.startswith("stages.") for pair in pairs)), pairs)
        check(raw)
        for kind in KINDS:
            spec = raw.get(kind)
            for one in spec if isinstance(spec, list) else [spec]:
                if one is not None:
                    KINDS[kind].open(one, with_examples())
    except KitError as error:
        return f"{' '.join(pairs)}: {error}"
    return None


@lru_cache
def _base_text() -> str:
    config = json.loads((ROOT / "config.json").read_text())
    return json.dumps({**config, "backbone": {"name": "timm"}})


def _base(has_stages: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(_base_text())
    return made | ({"stages": [{"epochs": 1}, {}]} if has_stages else {})


# ------------------------------------------------------------------------------------------ keys alone


def _mentioned(text: str) -> list[str]:
    """Keys with dots that a text names without a value, such as data.bad_test."""
    first = "|".join(["data", *KINDS])
    pattern = rf"(?<![\w./@`\-{HOLE[1:-1]}])((?:{first})(?:\.[a-z_]\w*)+)(?![\w(/=*{HOLE[1:-1]}]|\.\w)"
    return re.findall(pattern, text)


def _is_key(name: str) -> bool:
    """Whether `data.x` is a key, and `loss.x` an option of some loss; of `loss.base.x`, `base`."""
    first, second = name.split(".")[:2]
    if second in ("py", "csv", "json", "md", "html", "png", "txt", "zip"):
        return True
    return second in Data.model_fields if first == "data" else second in _options_of(first)


@lru_cache
def _options_of(kind: str) -> frozenset[str]:
    return frozenset(
        option
        for name in places(kind, with_examples())
        for option in load(find(kind, name, with_examples()), KINDS[kind]).options()
    )


# -------------------------------------------------------------------------------------------- Python


def python_of_page(file: Path, root: Path = ROOT) -> Iterator[Text]:
    """The Python blocks of a page."""
    for found in re.finditer(r"^```python\n(.*?)^```", file.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield Text(
            f"{file.relative_to(root)}:{file.read_text()[: found.start()].count(chr(10)) + 2}", found[1]
        )


def _of_python(code: str) -> list[str]:
    """What of Python code is not so: names that kit's modules lack, calls that do not fit public signatures."""
    if "kit" not in code:
        return []
    try:
        tree = ast.parse(code.strip())
    except (SyntaxError, ValueError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kit":
            module = importlib.import_module(node.module or "")
            found += [
                f"{node.module} has no {one.name}" for one in node.names if not hasattr(module, one.name)
            ]
        name = _public(node)
        if name and not _is_there(name):
            found.append(f"kit has no {name}")
        called = _public(node.func) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and called in kit.PUBLIC:
            found += _unbound(str(called), node)
    return found


def _is_there(name: str) -> bool:
    """Whether kit.x is public, an entry-point group or a module."""
    known = name.startswith("_") or name in {*kit.PUBLIC, *KINDS}
    return known or importlib.util.find_spec(f"kit.{name}") is not None


def _public(node: ast.AST) -> str | None:
    """`x` of kit.x."""
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kit"
    return node.attr if named else None  # type: ignore[attr-defined]


def _unbound(name: str, call: ast.Call) -> list[str]:
    if any(isinstance(one, ast.Starred) for one in call.args):
        return []
    if [one for one in call.args if isinstance(one, ast.Constant) and one.value is ...]:
        return []  # kit.train(...)
    arguments = {one.arg: None for one in call.keywords if one.arg}
    try:
        inspect.signature(getattr(kit, name)).bind(*call.args, **arguments)
    except TypeError as error:
        return [f"kit.{name}: {error}"]
    return []
