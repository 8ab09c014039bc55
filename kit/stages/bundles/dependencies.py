"""Dependencies: finds the packages that packed techniques import in addition to kit's own, from the plugins' source."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kit.core.installed import KIT, REQUIRED, distribution
from kit.kinds.plugin import Plugin
from kit.kinds.registry import location_of
from kit.runs.run import code_of


def packages_of(plugins: Iterable[Plugin]) -> dict[str, str]:
    """Returns installed distributions, with versions, that plugins' files import or that plugins come from.

    Packages that kit itself needs are left out, and so are imports of packages that are not installed here.
    """
    providers = importlib.metadata.packages_distributions()
    skipped = {"kit", *sys.stdlib_module_names, *REQUIRED.values()}
    names: set[str] = set()
    for plugin in _with_nested(plugins):
        names.add(location_of(type(plugin)).distribution)
        modules = {module for file in code_of(type(plugin)) for module in _imports(file)}
        names |= {name for module in modules - skipped for name in providers.get(module, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names - {"", KIT})}


def packages_of_extra(extra: str) -> dict[str, str]:
    """Returns the installed distributions of one of kit's extras, with versions; empty if kit has no metadata."""
    try:
        lines = importlib.metadata.requires(KIT) or ()
    except importlib.metadata.PackageNotFoundError:
        return {}
    wanted = re.compile(rf"""extra\s*==\s*["']{re.escape(extra)}["']""")
    names = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if extra and wanted.search(line)]
    installed = [(name, distribution(name)) for name in names]
    return {name: here[1] for name, here in installed if here is not None}


def _with_nested(plugins: Iterable[Plugin]) -> Iterator[Plugin]:
    for plugin in plugins:
        yield plugin
        for name in type(plugin).model_fields:
            value = getattr(plugin, name)
            inner = value if isinstance(value, tuple) else (value,)
            yield from _with_nested(one for one in inner if isinstance(one, Plugin))


def _imports(file: Path) -> set[str]:
    """Returns the top-level names of a Python file's absolute imports, including those within functions."""
    names: set[str] = set()
    if file.suffix != ".py" or not file.is_file():
        return names
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
