"""Python of a page: names that kit has, and calls that fit its public functions."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from typing import Any

import kit
from kit.kinds import KINDS


def python_faults(code: str) -> list[str]:
    """What of Python code is not so: names that kit's modules lack, calls that do not fit public signatures."""
    if "kit" not in code and "comp." not in code:
        return []
    try:
        tree = ast.parse(code.strip())
    except (SyntaxError, ValueError):
        return []
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kit":
            module = importlib.import_module(node.module or "")
            problems += [
                f"{node.module} has no {one.name}" for one in node.names if not hasattr(module, one.name)
            ]
        name = _public(node)
        if name and not _is_there(name):
            problems.append(f"kit has no {name}")
        if isinstance(node, ast.Call):
            problems += _wrong_call(node)
    return problems


def _wrong_call(call: ast.Call) -> list[str]:
    """What a call of kit.x, comp.x or comp.x.y does that its signature does not take."""
    parts = ast.unparse(call.func).split(".")
    if parts[0] == "kit" and parts[1:2] and parts[1] in kit.PUBLIC:
        return _unbound(".".join(parts), getattr(kit, parts[1]), call) if len(parts) == 2 else []
    if parts[0] != "comp" or len(parts) == 1:
        return []
    at: Any = object.__new__(kit.Session)
    at.folder = None
    for part in parts[1:]:
        if not hasattr(at, part):
            return [f"{'.'.join(parts)} does not exist"]
        at = getattr(at, part)
    return _unbound(".".join(parts), at, call)


def _is_there(name: str) -> bool:
    """Whether kit.x is public, an entry-point group or a module."""
    known = name.startswith("_") or name in {*kit.PUBLIC, *KINDS}
    return known or importlib.util.find_spec(f"kit.{name}") is not None


def _public(node: ast.AST) -> str | None:
    """`x` of kit.x."""
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kit"
    return node.attr if named else None  # type: ignore[attr-defined]


def _unbound(name: str, function: Any, call: ast.Call) -> list[str]:
    if any(isinstance(one, ast.Starred) for one in call.args):
        return []
    if [one for one in call.args if isinstance(one, ast.Constant) and one.value is ...]:
        return []  # comp.train(...)
    arguments = {one.arg: None for one in call.keywords if one.arg}
    try:
        inspect.signature(function).bind(*call.args, **arguments)
    except TypeError as error:
        return [f"{name}: {error}"]
    return []
