"""The tree: folders import only from folders above them, files within a folder have no cycles, and files stay small."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KIT = ROOT / "kit"
FILES = sorted(file for file in KIT.rglob("*.py") if file.parts[-2] != "templates")
MODULES = {
    ".".join(("kit", *file.relative_to(KIT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in FILES
}


def read_layers() -> dict[str, int]:
    """Folder or module at the top of kit/ -> its line in ARCHITECTURE.md."""
    block = (ROOT / "ARCHITECTURE.md").read_text().split("```layers\n")[1].split("```")[0]
    names = [line.split()[0] for line in block.splitlines() if line.strip()]
    return {name: number for number, name in enumerate(names)}


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The modules of kit that a module imports, except for type checking."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kit":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)
        else:
            yield from imports_of(node)


IMPORTS = {name: set(imports_of(ast.parse(file.read_text()))) for name, file in MODULES.items()}


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of a graph, as a path that ends where it begins; empty if there is none."""
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> list[str]:
        path.append(name)
        for other in sorted(graph.get(name, ())):
            if other in path:
                return [*path[path.index(other) :], other]
            if other not in done and (cycle := visit(other)):
                return cycle
        done.add(path.pop())
        return []

    for name in sorted(graph):
        if name not in done and (cycle := visit(name)):
            return cycle
    return []


def imports_within(package: str) -> dict[str, set[str]]:
    """The imports between the direct children of a package: files and folders."""
    graph: dict[str, set[str]] = {}
    depth = package.count(".") + 1
    for name, others in IMPORTS.items():
        if not name.startswith(f"{package}."):
            continue
        child = name.split(".")[depth]
        inside = {other.split(".")[depth] for other in others if other.startswith(f"{package}.")}
        graph.setdefault(child, set()).update(inside - {child})
    return graph


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"kit", "kit.__main__"}))
def test_a_folder_imports_only_from_folders_above(module: str) -> None:
    order = read_layers()
    for other in IMPORTS[module] - {"kit", "kit.__main__"}:
        assert order[other.split(".")[1]] <= order[module.split(".")[1]], (
            f"{module} imports {other}, a later layer"
        )


PACKAGES = sorted(
    {name.rpartition(".")[0] for name in MODULES if name.count(".") >= 2 and ".plugins" not in name}
)


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_folders_within_a_folder_have_no_import_cycle(package: str) -> None:
    assert find_cycle(imports_within(package)) == []


def test_a_cycle_is_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_the_drawing_names_every_entry_of_kit_and_no_other() -> None:
    there = {name.split(".")[1] for name in MODULES if name not in ("kit", "kit.__main__")}
    assert set(read_layers()) == there


def test_the_top_of_kit_fits_on_one_screen() -> None:
    assert len([path for path in KIT.iterdir() if path.name != "__pycache__"]) <= 20


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_the_tree_in_architecture_names_every_folder(package: str) -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text().split("```tree\n")[1].split("```")[0]
    assert f"{package.split('.')[-1]}/" in tree


def test_files_stay_readable() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in FILES}
    assert max(lengths.values()) <= 500, max(lengths, key=lambda file: lengths[file])
    assert statistics.median(lengths.values()) < 120


def test_few_statements_escape_the_formatter() -> None:
    """`fmt: skip` is for tables of data; 514 statements had it to save lines."""
    marked = [
        f"{file.relative_to(ROOT)}:{number}"
        for folder in ("kit", "plugins", "benchmarks", "tools", "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(r"#\s*fmt: (skip|off)\b", line)
    ]
    assert len(marked) <= 30, marked


def test_every_module_begins_with_a_sentence_on_what_it_is() -> None:
    for file in FILES:
        text = ast.get_docstring(ast.parse(file.read_text())) or ""
        first = text.split("\n\n")[0]
        assert re.search(r"[.:]$", first), f"{file}: {first!r} is no sentence"
        # the help of a command is in its function
        if file.parent.name != "commands" or first != f"kit {file.stem}.":
            assert len(first.split()) > 3, f"{file}: {first!r} explains nothing"


def test_files_are_written_through_one_module() -> None:
    """A bare open(..., "w") or write_text leaves a partial file if the process dies."""
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
