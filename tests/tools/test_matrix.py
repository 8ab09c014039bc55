"""The versions of Colab: setup.cfg allows each one, so that installing kit there upgrades nothing."""

from __future__ import annotations

import configparser

from packaging.requirements import Requirement

from tools.matrix import COLAB_VERSIONS, ROOT

# packages that Colab does not have, or whose version there is not known
ADDED = {"ttach", "jinja2", "markupsafe"}


def test_setup_allows_every_version_of_colab() -> None:
    parser = configparser.ConfigParser()
    parser.read_string((ROOT / "setup.cfg").read_text())
    needed = [Requirement(line) for line in parser["options"]["install_requires"].split("\n") if line]
    lines = [line for line in COLAB_VERSIONS.read_text().splitlines() if not line.startswith("#")]
    versions = dict(line.split("==") for line in lines)
    assert {one.name for one in needed} - set(versions) == ADDED
    refused = [str(one) for one in needed if one.name in versions and versions[one.name] not in one.specifier]
    assert not refused


def test_a_pin_above_colabs_version_is_noticed() -> None:
    assert "18.1.0" not in Requirement("pyarrow >=19").specifier
