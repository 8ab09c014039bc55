"""The package: its public names, and what importing it costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import textwrap

import pytest

import kit

HEAVY = (
    "torch",
    "numpy",
    "pandas",
    "pydantic",
    "sklearn",
    "cv2",
    "timm",
    "rich",
    "albumentations",
    "pyarrow",
)


@pytest.mark.parametrize("name", kit.__all__)
def test_each_public_name_is_there_and_stays_what_it_is(name: str) -> None:
    first = getattr(kit, name)
    importlib.import_module(kit.PUBLIC[name])
    assert getattr(kit, name) is first
    assert not isinstance(first, type(sys))


def test_public_names_are_documented() -> None:
    """A dataclass without a docstring has its signature as one, and a subclass has its parent's."""
    for name in kit.__all__:
        if name == "KINDS":
            continue
        source = textwrap.dedent(inspect.getsource(getattr(kit, name)))
        (definition,) = ast.parse(source).body
        assert isinstance(definition, ast.ClassDef | ast.FunctionDef)
        assert len((ast.get_docstring(definition) or "").split()) > 3, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        getattr(kit, "trian")  # noqa: B009 - a type checker refuses kit.trian


def modules_after(*arguments: str) -> set[str]:
    """Top-level modules loaded by a kit command in a fresh process."""
    code = (
        "import sys\nfrom kit.commands._menu import run\n"
        f"code = run({list(arguments)!r})\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


@pytest.mark.parametrize(
    "arguments", [(), ("--help",), ("train", "--help"), ("blend", "--help"), ("--version",)], ids=str
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert modules_after(*arguments or ("--help",)).isdisjoint(HEAVY)
