"""docs/: every plugin shown there keeps the laws of its kind and is short, every command shown exists."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from pathlib import Path

import pytest

from kit.__main__ import menu, run
from kit.config_file import check
from kit.kinds import KINDS, Classes, Loss
from kit.overrides import overridden
from kit.registry import places

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"```python\n# (plugins/(\w+)/(\w+)\.py)\n(.*?)```", TEXT, flags=re.DOTALL)
PAGES = [TEXT, *((ROOT / "docs" / page).read_text() for page in ("defaults.md", "board.md", "report.md"))]
LINES = [line for page in PAGES for line in page.splitlines() if line.startswith("$ kit ")]
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
    assert name not in places(kind, ROOT)


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
    bound = loss.bind(Classes(("a", "b"), (89, 9)))  # with one more row each 90 and 10 of 100
    cost = bound.rows(torch.zeros(2, 2), torch.tensor([0, 1]))
    torch.testing.assert_close(cost, -torch.log(torch.tensor([0.9, 0.1])))


def test_the_switch_leaves_the_workspaces_shelf_out(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "capped" in places("loss", workspace)
    monkeypatch.setenv("KIT_PLUGINS", "off")
    assert "capped" not in places("loss", workspace)


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
        check(overridden(json.loads((ROOT / "config.json").read_text()), pairs))
