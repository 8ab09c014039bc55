"""The plugin registry is the tree: `loss/focal.py` is `loss=focal`.

Each name is looked up in three sources:

    workspace   plugins/<kind>/<name>.py of the workspace       the team's own
    kit         kit/plugins/<kind>/<name>.py                    stock techniques
    installed   entry points of the group kit.<kind>            other packages' modules

Names come from files and metadata. Nothing is imported until a plugin is used, so a broken plugin stops only
the commands that use it. A workspace's modules are imported under a package name private to that workspace.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from kit.core.renamed import PLUGINS
from kit.errors import Case, PluginError, did_you_mean

BUILTIN_DIR = Path(__file__).parents[1] / "plugins"
T = TypeVar("T")


@dataclass(frozen=True)
class PluginLocation:
    """The location of one plugin: its kind, its name, and the module that defines it."""

    kind: str
    name: str
    source: str  # workspace, kit or installed
    module: str
    file: Path | None = None
    root: Path | None = None  # the workspace, for a workspace's plugin
    distribution: str = ""  # the package, for an installed plugin

    def __str__(self) -> str:
        where = self.distribution or self.file or self.module
        return f"{self.kind} {self.name!r} ({where})"


def kinds(root: Path | None = None) -> tuple[str, ...]:
    """Returns kit's kinds of plugin, sorted. A workspace or a package adds techniques, not kinds."""
    return _kinds_of_kit()


@lru_cache(maxsize=1)
def _kinds_of_kit() -> tuple[str, ...]:
    return tuple(sorted(folder.name for folder in BUILTIN_DIR.iterdir() if _is_plugin_name(folder.name)))


def _is_plugin_name(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_")


def locations(kind: str, root: Path | None = None) -> dict[str, list[PluginLocation]]:
    """Returns all locations of the plugins of `kind`, by name. Using a name with several locations is an error."""
    if kind not in kinds():
        raise PluginError(
            f"no kind of plugin named {kind!r}{did_you_mean(kind, kinds())}", code="P02", hint="kit plugins"
        )
    by_name: dict[str, list[PluginLocation]] = {}
    for location in [*_in_workspace(kind, root), *_in_kit(kind), *_find_installed(kind, tuple(sys.path))]:
        by_name.setdefault(location.name, []).append(location)
    return dict(sorted(by_name.items()))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.py") if _is_plugin_name(file.stem))


def _in_workspace(kind: str, root: Path | None) -> list[PluginLocation]:
    if root is None or os.environ.get("KIT_PLUGINS", "").lower() == "off":
        return []
    root = root.resolve()
    package = _package(root)
    return [
        PluginLocation(kind, file.stem, "workspace", f"{package}.{kind}.{file.stem}", file, root)
        for file in _files(root / "plugins" / kind)
    ]


@lru_cache
def _in_kit(kind: str) -> tuple[PluginLocation, ...]:
    """Returns kit's own plugins of a kind, cached, because a run opens a hundred plugins."""
    return tuple(
        PluginLocation(kind, file.stem, "kit", f"kit.plugins.{kind}.{file.stem}", file)
        for file in _files(BUILTIN_DIR / kind)
    )


@lru_cache(maxsize=128)
def _find_installed(kind: str, path: tuple[str, ...]) -> tuple[PluginLocation, ...]:
    """Returns the plugins of a kind that packages on a search path offer."""
    return tuple(
        PluginLocation(
            kind, entry.name, "installed", entry.value, distribution=entry.dist.name if entry.dist else ""
        )
        for entry in _entry_points(path).select(group=f"kit.{kind}")
    )


@lru_cache(maxsize=4)
def _entry_points(path: tuple[str, ...]) -> Any:
    """Returns the entry points of every installed package on a search path; reading them takes 20 ms."""
    return importlib.metadata.entry_points()


@lru_cache
def _package(root: Path) -> str:
    """Returns the private package name of a workspace: `kit_workspace_` and 12 hex digits of its path."""
    return "kit_workspace_" + hashlib.sha256(os.fsencode(root)).hexdigest()[:12]


def find(kind: str, name: str, root: Path | None = None) -> PluginLocation:
    """Returns the only location of a plugin. Raises PluginError if it is missing or has several."""
    known = locations(kind, root)
    if name not in known:
        names = ", ".join(known)
        raise PluginError(
            f"no {kind} named {name!r}{did_you_mean(name, known, PLUGINS.get(kind))}",
            code="P02",
            hint=f"one of {names} (kit plugins {kind})",
        )
    if len(known[name]) > 1:
        raise PluginError(
            f"{len(known[name])} plugins have the name {kind} {name!r}: rename all but one",
            code="P03",
            cases=[
                Case(f"plugin source {location.source!r}", str(location.file or location.distribution))
                for location in known[name]
            ],
        )
    return known[name][0]


def load_plugin_class(location: PluginLocation, base: type[T]) -> type[T]:
    """Imports a plugin's module and returns its one public class of a kind. Raises PluginError, naming the file."""
    try:
        if location.root is not None:
            _register_package(location.root, location.kind)
        module = importlib.import_module(location.module)
    except Exception as error:
        detail = traceback.format_exception_only(error)[-1].strip()
        raise PluginError(
            f"{location} fails on import", code="P01", cases=[Case(detail, _line_of(error, location))]
        ) from error
    classes = [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and getattr(value, "kind", "") == location.kind
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]
    if len(classes) != 1:
        names = ", ".join(sorted({value.__name__ for value in classes})) or "none"
        raise PluginError(
            f"{location} must define one public class of its kind, it defines {names}", code="P04"
        )
    find_fault: Callable[[], str] = getattr(classes[0], "find_fault", str)
    if fault := find_fault():
        raise PluginError(f"{location}: {fault}", code="P04")
    return classes[0]


def _register_package(root: Path, kind: str) -> None:
    """Makes a workspace's plugins/ importable under its private package name, for this process."""
    package = _package(root)
    for name, folder in ((package, root / "plugins"), (f"{package}.{kind}", root / "plugins" / kind)):
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__path__ = [str(folder)]
            sys.modules[name] = module
    sys.modules[package].__dict__["ROOT"] = root
    importlib.invalidate_caches()


def _line_of(error: Exception, location: PluginLocation) -> str:
    """Returns `file:line` of the plugin's own line that failed, else the file."""
    file = str(location.file or location.module)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else file


def location_of(plugin: type) -> PluginLocation:
    """Returns the location of a plugin's class, from the module that defines it.

    Raises PluginError if no plugin source has the class.
    """
    module = plugin.__module__
    kind = str(getattr(plugin, "kind", ""))
    package, _, name = module.rpartition(".")
    if package == f"kit.plugins.{kind}":
        return PluginLocation(kind, name, "kit", module, BUILTIN_DIR / kind / f"{name}.py")
    home = sys.modules.get(module.partition(".")[0])
    if home is not None and hasattr(home, "ROOT"):
        return PluginLocation(
            kind, name, "workspace", module, home.ROOT / "plugins" / kind / f"{name}.py", home.ROOT
        )
    for location in _find_installed(kind, tuple(sys.path)):
        if location.module == module:
            return location
    raise PluginError(
        f"{plugin.__name__} ({module}) is not defined in a plugin file, so it has no name",
        code="P05",
        hint=f"put its file into plugins/{kind or '<kind>'}/ of the workspace",
    )


def open_spec(base: type[T], kind: str, spec: Any, root: Path | None) -> T:
    """Opens `"focal"` or `{"name": "focal", "gamma": 1.5}` as a plugin of a kind.

    Raises PluginError for an unknown name and pydantic's ValidationError for options that do not fit.
    """
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise PluginError(
            f"a {kind} is a name or {{'name': ..., options}}, not {spec!r}",
            code="P06",
            hint=f"kit plugins {kind}",
        )
    plugin = load_plugin_class(find(kind, spec["name"], root), base)
    options = {key: value for key, value in spec.items() if key != "name"}
    opened: T = plugin.from_options(options, root)  # type: ignore[attr-defined]
    return opened


def summary(location: PluginLocation) -> str:
    """Returns the first line of the docstring of a plugin's class, or of its module, without importing it."""
    file = location.file
    if file is None:
        spec = importlib.util.find_spec(location.module)
        file = Path(spec.origin) if spec and spec.origin else None
    if file is None:
        return ""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    texts = [*(ast.get_docstring(node) for node in classes), ast.get_docstring(tree)]
    return next((text.strip().splitlines()[0] for text in texts if text), "")
