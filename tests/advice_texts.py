"""Texts that a reader of kit sees: strings and f-strings of its source, help texts, pages and their Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST = 0xE000  # holes of f-strings are characters of Unicode's private use area
HOLE = "[\ue000-\uf8ff]"
# what holes stand for, by the last part of their expression, where any run's name would not do
PLAUSIBLE = {
    "option": "--label",
    "views": "d4",
    "kind": "loss",
    "split": "train",
    "number": "7",
    "command": "tta",
    "value": "0.5",
    "score": "0.5",
}


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
        return re.sub(HOLE, lambda match: f"{{{self.holes[ord(match[0]) - FIRST]}}}", self.text)


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
    for block_match in fence.finditer(page):
        line = page[: block_match.start()].count("\n") + 2
        if block_match[1] in ("json", "python"):
            continue
        block = re.sub(r"\\\n\s*", "", block_match[2])
        for text in block.splitlines():
            typed = re.match(r"(?:\$ |> )?(kit [a-z].*)", text)
            if typed and block_match[1] in ("console", "bash", "sh", "", "text"):
                yield Text(f"{place}:{line}", re.sub(r"\s+#.*$|\s{2,}.*$", "", typed[1]), ("x",), typed=True)
    for number, text in enumerate(fence.sub(lambda match: "\n" * match[0].count("\n"), page).splitlines(), 1):
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


def python_of_page(file: Path, root: Path = ROOT) -> Iterator[Text]:
    """The Python blocks of a page."""
    for match in re.finditer(r"^```python\n(.*?)^```", file.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield Text(
            f"{file.relative_to(root)}:{file.read_text()[: match.start()].count(chr(10)) + 2}", match[1]
        )


def plausible(text: Text, hole: str) -> str:
    expression = text.holes[ord(hole) - FIRST]
    return PLAUSIBLE.get(expression.rpartition(".")[2], "")
