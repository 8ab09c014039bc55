"""docs/blending.md: every ensembler of kit has its line, and every command shown parses."""

from __future__ import annotations

import re
from pathlib import Path

from kit.commands._menu import menu
from kit.kinds import Ensembler
from kit.kinds.registry import locations
from kit.plugins.ensembler.auto import Auto

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "blending.md").read_text()


def test_the_table_names_every_ensembler_and_no_other() -> None:
    table = TEXT.split("## Ensemblers")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == {
        name for name, (place, *_) in locations("ensembler", None).items() if place.source == "kit"
    }


def test_commands_and_ensemblers_exist() -> None:
    for line in re.findall(r"^\$ kit (.*?)(?: +#.*)?$", TEXT, flags=re.MULTILINE):
        assert line.split()[0] in menu.list_commands(None)  # type: ignore[arg-type]
        for name in re.findall(r"--ensembler (\w+)|ensembler(?:\.base)+=(\w+)", line):
            Ensembler.open("".join(name))


def test_autos_candidates_are_those_that_the_page_names() -> None:
    said = re.search(r"its candidates \(([^)]*)\)", TEXT)
    assert said is not None
    assert re.findall(r"`(\w+)`", said[1]) == [one.plugin_name() for one in Auto().candidates]
