"""What is installed: versions are found under each distribution's name, and without kit's own metadata."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import kit
from kit.core import installed
from kit.core.installed import pin_requirements, version
from kit.errors import ConfigError
from kit.kinds import Views
from kit.runs.run import versions
from kit.stages.bundles.dependencies import packages_of

ROOT = Path(__file__).parents[2]
OWN = '''"""Source: a team's own."""

import os

from kit.errors import ConfigError
from kit.kinds import Views


class Own(Views):
    """None."""

    def views(self):
        import not_installed_anywhere
        import numpy
        from hypothesis import given

        return []
'''


def hide(monkeypatch: pytest.MonkeyPatch, *names: str, **others: str) -> None:
    """Makes distributions look as if they were not installed, and others as if they were."""
    plain = importlib.metadata.version

    def find(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return others.get(name.replace("-", "_")) or plain(name)

    monkeypatch.setattr("kit.core.installed.importlib.metadata.version", find)


def test_what_kit_needs_is_what_setup_cfg_installs() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split("\n")
    assert {re.split(r"[ <>=]", line)[0] for line in lines if line} == set(installed.REQUIRED)
    assert config["metadata"]["version"] == "attr: kit.__version__"


def test_versions_are_those_of_the_metadata() -> None:
    assert version("numpy") == importlib.metadata.version("numpy") == np.__version__
    assert version("kit-competitions") == kit.__version__
    assert versions()["opencv-python-headless"].startswith(cv2.__version__)


@pytest.mark.parametrize("name", ["opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"])
def test_another_distribution_of_opencv_is_as_good(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    known = {"opencv-python-headless", *installed.ALIASES["opencv-python-headless"]} - {name}
    hide(monkeypatch, *known, "kit-competitions", **{name.replace("-", "_"): "4.12.0.88"})
    assert versions()["opencv-python-headless"] == "4.12.0.88"
    assert f"{name}==4.12.0.88" in pin_requirements()
    assert not any(line.startswith("opencv-python-headless") for line in pin_requirements())


def test_a_package_without_metadata_has_its_module_s_version(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, *installed.REQUIRED, *installed.ALIASES["opencv-python-headless"], "kit-competitions")
    assert version("opencv-python-headless") == cv2.__version__
    assert version("numpy") == np.__version__
    assert version("no-such-package") == "unknown"


def test_a_build_s_mark_is_no_part_of_a_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, torch="2.13.0+cu130")
    assert "torch==2.13.0" in pin_requirements()
    assert "wheel==1.0" in pin_requirements({"wheel": "1.0+local"})


def test_what_a_team_s_plugin_imports_is_required(tmp_path: Path) -> None:
    folder = tmp_path / "plugins" / "views"
    folder.mkdir(parents=True)
    (folder / "own.py").write_text(OWN)
    packages = packages_of([Views.open("own", tmp_path)])
    assert packages == {"hypothesis": importlib.metadata.version("hypothesis")}


def test_a_missing_package_is_installed_from_an_attached_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIT_KAGGLE", str(tmp_path))
    wheels = tmp_path / "input" / "my-wheels" / "py311"
    wheels.mkdir(parents=True)
    (wheels / "no_such_package_at_all-1.0-py3-none-any.whl").write_text("")
    with pytest.raises(ConfigError, match="C24") as caught:
        installed.require_package("other-package", "a tracker", "without it")
    assert caught.value.hint == "pip install 'kit-competitions[other-package]', or without it"
    (wheels / "Other.Package-1.0-py3-none-any.whl").write_text("")
    with pytest.raises(ConfigError, match="C24") as caught:
        installed.require_package("other-package", "a tracker", "without it")
    assert caught.value.hint == f"pip install --no-index --find-links {wheels} other-package, or without it"
