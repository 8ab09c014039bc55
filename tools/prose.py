"""Checks prose against STYLE.md: `python -m tools.prose` prints each finding and counts long sentences.

It reads README.md, docs/, the help of all commands, the messages of kit, and the docstrings of kit/ and plugins/.
A message is a string of kit's source with at least four words that is not a docstring.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
MAX_COLUMNS = 100
MAX_WORDS = 35
LONG_WORDS = 25
MIN_MESSAGE_WORDS = 4
# private words of STYLE.md's glossary, as patterns of the uses that are never meant literally
PRIVATE_WORDS = {
    r"flatter\w*": "optimistic",
    r"honest\w*": "unbiased",
    r"(is|are|was|were|be) told": "predicted, reported",
    r"told (as|apart|by|right|wrong)": "predicted as, separated, predicted correctly, predicted wrongly",
    r"(says?|said) nothing": "has no",
    r"hears?|heard": "receive",
    r"kin": "related rows",
    r"the road": "the pipeline",
    r"shelf|shelves": "plugin source",
    r"stumps?": "partial file",
    r"lessons?": "selection",
    r"taught|teaches": "pseudo-labelled",
    r"luck": "sampling noise",
    r"by the clock": "wall time",
    r"judged?|judges": "evaluate, score",
    r"desk|kitchen|the pot": "context",
    r"by heart": "overfit",
    r"rehears\w*": "dry run",
    r"part ways": "differ, disagree",
    r"anew": "again",
    r"mend(ed|s)?": "correct, repair",
    r"goes on|going on": "continue, resume",
    r"is there already|are there already": "exists",
    r"nobody|no one|whoever": "never, not",
    r"for want of": "for lack of",
    r"tells? (right|wrong|apart)": "predict correctly, separate",
    r"dealt (out|into|to)": "assigned",
    r"brought to sum": "scaled to sum",
    r"look-?alikes?": "similar classes",
    r"relatives": "related rows",
    r"what there is|that there (is|are) not": "missing, unknown",
}
DENIED = re.compile(rf"\b({'|'.join(PRIVATE_WORDS)})\b", flags=re.IGNORECASE)


@dataclass(frozen=True)
class Prose:
    """A paragraph without markup, and where it stands."""

    place: str
    text: str

    def sentences(self) -> list[str]:
        """The sentences, which may begin with `kit`; a colon at a line's end, as before a list, ends one too."""
        return [
            part
            for part in re.split(r"(?<=[.!?])[)\"*]*\s+(?=[\"(*]*(?:[A-Z`\d-]|kit\b))", self.text)
            if part.strip()
        ]


def prose_of_page(file: Path) -> Iterator[Prose]:
    """Paragraphs, list items and headings of a Markdown page, without code blocks, tables, link targets and HTML."""
    text = re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->|<[^>]+>", "", text, flags=re.DOTALL)
    lines = ["" if line.lstrip().startswith("|") else line for line in text.splitlines()]
    text = re.sub(r"^\s*(?:[-*]|\d+\.) ", "\n", "\n".join(lines), flags=re.MULTILINE)
    for block in re.split(r"\n\s*\n", text):
        plain = re.sub(r"\]\([^)]*\)", "]", block).replace("[", "").replace("]", "")
        plain = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "_"), plain)
        if plain.strip():
            yield Prose(str(file.relative_to(ROOT)), " ".join(plain.split()))


def lines_of_page(file: Path) -> Iterator[Prose]:
    """All lines, those of tables and of shown output too."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        yield Prose(f"{file.relative_to(ROOT)}:{number}", line)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def prose_of_help() -> Iterator[Prose]:
    """Paragraphs and option texts of each command; examples are left out."""
    from kit.commands._menu import menu

    yield from _of_command(menu, "kit")


def _of_command(command: click.Command, path: str) -> Iterator[Prose]:
    for paragraph in re.split(r"\n\s*\n", command.help or ""):
        if "\b" not in paragraph:
            yield Prose(path, " ".join(paragraph.split()))
    for option in command.params:
        if isinstance(option, click.Option) and option.help:
            yield Prose(f"{path} {option.opts[0]}", option.help)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _of_command(inner, f"{path} {name}")


def prose_of_messages() -> Iterator[Prose]:
    """The strings of kit's source with at least four words; the expressions of f-strings are `X`."""
    for file in sorted((ROOT / "kit").rglob("*.py")):
        yield from prose_of_module(file)


def prose_of_module(file: Path, root: Path = ROOT) -> Iterator[Prose]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(value) for value in node.values}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        is_code = (
            text.lstrip().startswith("<") or "\nimport " in text or "\ndef " in text or "\nclass " in text
        )
        if len(text.split()) >= MIN_MESSAGE_WORDS and not is_code:
            yield Prose(f"{file.relative_to(root)}:{node.lineno}", " ".join(text.split()))


def prose_of_templates() -> Iterator[Prose]:
    """Texts between the tags of the report's templates; their expressions are `X`."""
    for file in sorted((ROOT / "kit" / "stages" / "reporting" / "templates").iterdir()):
        if file.suffix in (".html", ".md"):
            yield from prose_of_template(file)


def prose_of_template(file: Path, root: Path = ROOT) -> Iterator[Prose]:
    text = re.sub(r"<!--(.*?)-->", r"<>\1<>", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", "X", text, flags=re.DOTALL)
    text = re.sub(r"\{%.*?%\}", "", text, flags=re.DOTALL)
    text = re.sub(r"</?(code|strong|small|span)[^>]*>", "", text)
    for part in re.split(r"<[^>]*>|\n", text):
        if part.strip():
            yield Prose(str(file.relative_to(root)), " ".join(part.split()))


def prose_of_docstrings() -> Iterator[Prose]:
    """Paragraphs and list items of the docstrings of kit/ and plugins/, without examples, trees and tables."""
    for folder in ("kit", "plugins"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield from docstrings_of_module(file)


def docstrings_of_module(file: Path, root: Path = ROOT) -> Iterator[Prose]:
    """Paragraphs of the docstrings of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        location = f"{file.relative_to(root)}:{getattr(node, 'lineno', 1)}"
        for block in re.split(r"\n\s*\n|\n(?=[-*] )", ast.get_docstring(node) or ""):
            is_layout = "\b" in block or block.startswith(" ") or re.search(r"\S {2,}\S", block)
            if block.strip() and not is_layout:
                # titles of papers are quoted as they are
                plain = re.sub(r'"[^"]*"', '"..."', block) if block.startswith("Source:") else block
                plain = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "_"), plain)
                yield Prose(location, " ".join(plain.split()))


def find_private_words(prose: Iterator[Prose]) -> list[str]:
    """One line per use of a private word outside inline code."""
    lines = []
    for prose_part in prose:
        text = re.sub(r"`[^`]*`|\S*[_=/]\S*|--\w[\w-]*", "", prose_part.text)
        lines += [
            f"{prose_part.place}: {hit[0]!r} in {prose_part.text[:90]!r}" for hit in DENIED.finditer(text)
        ]
    return lines


def find_long_sentences(prose: Iterator[Prose], limit: int = MAX_WORDS) -> list[str]:
    """One line per sentence of more than `limit` words."""
    sentences = [(prose_part.place, sentence) for prose_part in prose for sentence in prose_part.sentences()]
    counted = [(location, len(sentence.split()), sentence) for location, sentence in sentences]
    return [f"{location}: {count} words: {text}" for location, count, text in counted if count > limit]


def find_wide_lines(file: Path) -> list[str]:
    """Lines of more than 100 columns. Code blocks, tables and lines without a blank (addresses) may be wider."""
    wide_lines, in_code = [], False
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        is_exempt = in_code or line.lstrip().startswith("|") or " " not in line.strip()
        if len(line) > MAX_COLUMNS and not is_exempt:
            wide_lines.append(f"{file.relative_to(ROOT)}:{number}: {len(line)} columns")
    return wide_lines


def main(arguments: Sequence[str]) -> int:
    """Prints all findings, and how many sentences have more than 25 words; 1 if there is a finding."""
    docs = [part for page in pages() for part in prose_of_page(page)]
    help_texts = list(prose_of_help())
    docstrings = list(prose_of_docstrings())
    findings = [line for page in pages() for line in find_wide_lines(page)]
    findings += find_long_sentences(iter([*docs, *help_texts, *docstrings]))
    others = [
        *prose_of_messages(),
        *prose_of_templates(),
        *(line for page in pages() for line in lines_of_page(page)),
    ]
    findings += find_private_words(iter([*docs, *help_texts, *docstrings, *others]))
    print("\n".join(findings))
    for name, prose in (("README and docs", docs), ("help", help_texts), ("docstrings", docstrings)):
        long = find_long_sentences(iter(prose), LONG_WORDS)
        print(f"{name}: {len(long)} sentences of more than {LONG_WORDS} words")
        if "--list" in arguments:
            print("\n".join(long))
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
