"""docs/: every plugin shown there keeps the laws of its kind and is short, every command shown exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
import warnings
from pathlib import Path

import pytest

import kit
import kit.errors
import kit.kinds
from kit.commands._menu import menu, run
from kit.config.overrides import apply_overrides
from kit.config.parsing import validate_config
from kit.kinds import KINDS, Classes, Loss
from kit.kinds.registry import locations

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"```python\n# (plugins/(\w+)/(\w+)\.py)\n(.*?)```", TEXT, flags=re.DOTALL)
PAGES = [TEXT, *((ROOT / "docs" / page).read_text() for page in ("defaults.md", "board.md", "report.md"))]
LINES = [line for page in PAGES for line in page.splitlines() if line.startswith("$ kit ")]


def template(kind: str) -> str:
    """The file that `kit plugins new` writes."""
    (file,) = (ROOT / "kit").rglob(f"templates/{kind}.txt")
    return file.read_text()


COMMANDS = [line[2:].split(" #")[0].strip() for line in LINES]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with every plugin of the page."""
    (tmp_path / "config.json").write_text("{}")
    for path, _, _, code in BLOCKS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code)
    return tmp_path


def test_there_is_an_example_of_every_kind() -> None:
    assert {kind for _, kind, _, _ in BLOCKS} == set(KINDS)
    assert TEXT.count("```python") == len(BLOCKS)
    assert re.findall(r"^### (\w+)", TEXT, flags=re.MULTILINE) == list(KINDS)


@pytest.mark.parametrize(("path", "kind", "name", "code"), BLOCKS, ids=[block[0] for block in BLOCKS])
def test_an_example_is_short_and_takes_no_name_of_kits(path: str, kind: str, name: str, code: str) -> None:
    assert len([line for line in code.splitlines() if line.strip()]) < 20, path
    assert name not in locations(kind, ROOT)


@pytest.mark.parametrize("path", [block[0] for block in BLOCKS])
def test_an_example_keeps_the_laws(path: str, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["plugins", "check", str(workspace / path)])
    said = capsys.readouterr().out
    assert "BROKEN" not in said
    assert "holds " in said
    assert status == 0


def test_nested_options_are_reached_and_wrong_ones_named(workspace: Path) -> None:
    import torch

    spec = {"name": "capped", "most": 3, "base": {"name": "focal", "gamma": 1.5}}
    loss = Loss.open(spec, workspace)
    assert loss.spec()["base"]["gamma"] == 1.5
    costs = loss.rows(torch.tensor([[9.0, -9.0], [0.0, 0.0]]), torch.tensor([1, 1]))
    assert costs[0] == 3
    assert costs[1] == pytest.approx(0.5**1.5 * 0.6931, abs=1e-4)


def test_a_known_field_is_filled_and_is_no_option(workspace: Path) -> None:
    import torch

    loss = Loss.open("logit_adjusted", workspace)
    assert loss.spec() == {"name": "logit_adjusted", "tau": 1.0}
    bound = loss.with_classes(Classes(("a", "b"), (89, 9)))  # with one more row each 90 and 10 of 100
    cost = bound.rows(torch.zeros(2, 2), torch.tensor([0, 1]))
    torch.testing.assert_close(cost, -torch.log(torch.tensor([0.9, 0.1])))


def test_the_switch_leaves_the_workspaces_plugins_out(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "capped" in locations("loss", workspace)
    monkeypatch.setenv("KIT_PLUGINS", "off")
    assert "capped" not in locations("loss", workspace)


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_exists_and_its_overrides_are_keys(line: str) -> None:
    name, *rest = shlex.split(line)[1:]
    assert name in menu.list_commands(None)  # type: ignore[arg-type]
    if name != "train":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = [part for part in rest if "=" in part]
        assert pairs
        validate_config(apply_overrides(json.loads((ROOT / "config.json").read_text()), pairs))


# ------------------------------------------------------------------------------- the public Python interface

PUBLIC = set(
    re.findall(r"^\| `(kit[\w.]*)` \|", (ROOT / "docs" / "public.md").read_text(), flags=re.MULTILINE)
)
AUTHORS_CODE = {
    **{path: code for path, _, _, code in BLOCKS},
    **{str(file.relative_to(ROOT)): file.read_text() for file in (ROOT / "plugins").glob("*/*.py")},
    **{f"template of a {kind}": template(kind) for kind in KINDS},
    **{
        f"template of a {kind} of {target}": template(f"{kind}_{target}")
        for kind in ("loss", "metric", "ensembler")
        for target in ("numbers", "shares", "several")
    },
    "template of a test": template("test").replace("$base", "Loss"),
}


def kits_names(code: str) -> set[str]:
    """The names that a module imports from kit; templates have `$` where a name will stand."""
    tree = ast.parse(re.sub(r"\$\{?\w+\}?", "name", code))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    return {name for name in (*names, *modules) if name == "kit" or name.startswith("kit.")}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_imports(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_the_public_page_lists_every_name_that_kit_and_its_kinds_export() -> None:
    exported = {f"{module.__name__}.{name}" for module in (kit, kit.kinds) for name in module.__all__}
    assert exported == {name for name in PUBLIC if name.rpartition(".")[0] in {"kit", "kit.kinds"}}
    errors = {
        name
        for name, value in vars(kit.errors).items()
        if inspect.isclass(value) and value.__module__ == "kit.errors"
    }
    assert {f"kit.errors.{name}" for name in errors} == {
        name for name in PUBLIC if name.startswith("kit.errors.")
    }


@pytest.mark.parametrize("source", AUTHORS_CODE)
def test_a_plugin_of_the_pages_imports_public_names_alone(source: str) -> None:
    stock = re.compile(r"kit\.plugins\.[a-z]\w+\.[a-z]\w+\.[A-Z]\w+")
    private = {name for name in kits_names(AUTHORS_CODE[source]) - PUBLIC if not stock.fullmatch(name)}
    assert not private


def test_the_check_of_imports_finds_a_private_name() -> None:
    code = "import kit.data.folds\nfrom kit.plugins.loss._margin import Margin\nfrom kit.kinds import Loss\n"
    code += "import numpy"
    assert kits_names(code) - PUBLIC == {"kit.data.folds", "kit.plugins.loss._margin.Margin"}
