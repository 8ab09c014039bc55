"""Creates a plugin from the template of its kind: a working file, and a test that runs the contract tests on it."""

from __future__ import annotations

import keyword
from pathlib import Path
from string import Template

from kit.core import files
from kit.errors import ConfigError, PluginError
from kit.kinds import registry
from kit.kinds.base_classes import KINDS

TEMPLATES = Path(__file__).with_name("templates")


CLASSES = "classes"  # the target of templates that are named by the kind alone


def new_plugin(root: Path, kind: str, name: str, target: str = CLASSES) -> tuple[Path, Path]:
    """Writes plugins/<kind>/<name>.py and tests/plugins/<kind>/test_<name>.py, and returns both.

    `target` is what the labels are, as in `data.target`. Raises PluginError (P02) if the kind is unknown, P08 if it
    has no template for such labels, ConfigError (C23) if the name is not valid or in use.
    """
    existing = registry.locations(kind, root)
    _check_name(kind, name)
    plugin = root / "plugins" / kind / f"{name}.py"
    test = root / "tests" / "plugins" / kind / f"test_{name}.py"
    if name in existing:
        raise ConfigError(
            f"the name is already used by a {existing[name][0]}", code="C23", hint="another name"
        )
    for path in (plugin, test):
        if path.exists():
            raise ConfigError(
                f"{path} already exists and is not overwritten", code="C23", hint="another name"
            )
    values = {
        "kind": kind,
        "name": name,
        "cls": camel_case(name),
        "base": KINDS[kind].__name__,
        "title": name.replace("_", " ").capitalize(),
    }
    files.write_text(plugin, _template_of(kind, target).substitute(values))
    files.write_text(test, _template("test").substitute(values))
    return plugin, test


def _template_of(kind: str, target: str) -> Template:
    """The template of a kind for such labels. Raises PluginError P08 if there is none."""
    if target == CLASSES:
        return _template(kind)
    if not (TEMPLATES / f"{kind}_{target}.txt").is_file():
        others = sorted(path.stem.rpartition("_")[0] for path in TEMPLATES.glob(f"*_{target}.txt"))
        raise PluginError(
            f"no template for a {kind} of {target}; the kinds with one: {', '.join(others)}",
            code="P08",
            hint=f"kit plugins new {kind} NAME writes the template for classes; its label_kinds says what it takes",
        )
    return _template(f"{kind}_{target}")


def _template(name: str) -> Template:
    file = TEMPLATES / f"{name}.txt"
    if not file.is_file():
        raise PluginError(f"no template for a {name}", code="P08", hint=f"copy one of kit/plugins/{name}")
    return Template(file.read_text(encoding="utf-8"))


def _check_name(kind: str, name: str) -> None:
    usable = name.isidentifier() and name.isascii() and name == name.lower() and not name.startswith("_")
    if not usable or keyword.iskeyword(name) or name == kind:
        raise ConfigError(
            f"{name!r} is not a valid name for a {kind}",
            code="C23",
            hint="use lower-case letters, digits and _, such as my_loss; not a Python keyword or the "
            "kind's own name",
        )


def camel_case(name: str) -> str:
    """Returns the class name for a file name: `my_loss` defines `MyLoss`."""
    return "".join(part.capitalize() for part in name.split("_"))
