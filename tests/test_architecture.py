"""The tree: modules import only from above them, as ARCHITECTURE.md draws it, and files stay small."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KIT = ROOT / "kit"
FILES = sorted(file for file in KIT.rglob("*.py") if file.parts[-2] != "templates")


def layers() -> dict[str, int]:
    """Module or package name -> its line in ARCHITECTURE.md."""
    block = (ROOT / "ARCHITECTURE.md").read_text().split("```layers\n")[1].split("```")[0]
    names = [line.split("     ")[0].split() for line in block.splitlines() if line.strip()]
    return {name: number for number, line in enumerate(names) for name in line}


def imports(tree: ast.AST) -> Iterator[str]:
    """What a module imports of kit, but for type checking."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "kit":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kit."):
            yield (node.module or "").split(".")[1]
        else:
            yield from imports(node)


def name_of(file: Path) -> str:
    return file.relative_to(KIT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(KIT)))
def test_a_module_imports_only_from_above(file: Path) -> None:
    order = layers()
    name = name_of(file)
    if name in ("__init__", "__main__"):
        return
    for other in imports(ast.parse(file.read_text())):
        if other != "__main__":
            assert order[other] <= order[name], f"{name} imports {other}, which stands below it"


def test_the_drawing_names_every_module_and_no_other() -> None:
    there = {name_of(file) for file in FILES} - {"__init__", "__main__"}
    assert set(layers()) == there


def test_files_stay_small() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in FILES}
    assert max(lengths.values()) <= 400, max(lengths, key=lambda file: lengths[file])
    assert statistics.median(lengths.values()) < 120


def test_every_module_begins_with_a_sentence_on_what_it_is() -> None:
    for file in FILES:
        text = ast.get_docstring(ast.parse(file.read_text())) or ""
        assert text.split("\n")[0].rstrip().endswith((".", ":", ";", ",")) or len(text) > 20, file


def test_files_are_written_through_one_module() -> None:
    """A bare open(..., "w") or write_text leaves half a file behind where the process dies."""
    for file in FILES:
        if file.name == "files.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                bare = (
                    node.func.attr in ("write_text", "write_bytes")
                    and ast.unparse(node.func.value) != "files"
                )
                assert not bare, f"{file}:{node.lineno}"
