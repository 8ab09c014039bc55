"""What a run remembers of its plugins: their own code, what they derive from, and the files they read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.kinds import Augmenter, Backbone, Loss
from kit.runs.run import sources

HELPER = "SHARE = 0.5\n"
PARENT = '''"""Source: none."""
from kit.kinds import Loss
from ._share import SHARE

class Half(Loss):
    """Half. Source: none."""
    def rows(self, outputs, labels):
        return outputs.sum(1) * SHARE
'''


@pytest.fixture
def space(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins" / "loss"
    folder.mkdir(parents=True)
    (folder / "_share.py").write_text(HELPER)
    (folder / "half.py").write_text(PARENT)
    return tmp_path


def test_nested_plugins_are_named_each() -> None:
    found = sources([Loss.open({"name": "cutmix", "base": {"name": "arcface", "base": "focal"}})])
    assert list(found) == ["loss/arcface", "loss/cutmix", "loss/focal"]
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("file", ["half.py", "_share.py"])
def test_a_change_of_its_file_or_of_a_helper_beside_it_is_seen(space: Path, file: str) -> None:
    plugin = Loss.open("half", space)
    before = sources([plugin])
    changed = space / "plugins" / "loss" / file
    changed.write_text(changed.read_text() + "# another line\n")
    assert sources([plugin]) != before


def test_what_it_derives_from_counts() -> None:
    from kit.runs.run import _code

    assert {"heavy.py", "light.py"} <= {file.name for file in _code(type(Augmenter.open("heavy")))}


def test_the_content_of_a_weights_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"one")
    plugin = Backbone.open({"name": "timm", "weights": str(file)})
    before = sources([plugin])
    file.write_bytes(b"two")
    assert sources([plugin]) != before
