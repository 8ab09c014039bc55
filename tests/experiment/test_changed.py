"""A run that would go on from something else is refused: what changed is named, and so is the choice there is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.errors import KitError
from kit.stages.training.train import train

LOSS = '''
from kit.plugins.loss.cross_entropy import CrossEntropy
from kit.kinds import Loss


class Mine(Loss):
    """Cross-entropy, times a number."""

    def rows(self, outputs, labels):
        return NUMBER * CrossEntropy().rows(outputs, labels)
'''


def other_label(space: Path) -> None:
    file = space / "data" / "train.csv"
    file.write_text(file.read_text().replace("000,blob", "000,ring"))


def one_row_less(space: Path) -> None:
    file = space / "data" / "train.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def other_ids(space: Path) -> None:
    for name in (f"{number:03d}" for number in range(10)):
        (space / "data" / "images" / f"{name}.png").rename(space / "data" / "images" / f"x{name}.png")
    file = space / "data" / "train.csv"
    file.write_text(file.read_text().replace("\n00", "\nx00"))


def other_pixels(space: Path) -> None:
    file = space / "data" / "images" / "007.png"
    file.write_bytes(file.read_bytes() + b"\0")


def other_config(space: Path) -> None:
    config = json.loads((space / "config.json").read_text())
    (space / "config.json").write_text(json.dumps({**config, "optimizer": {"name": "adamw", "lr": 0.02}}))


def other_code(space: Path) -> None:
    (space / "plugins" / "loss" / "mine.py").write_text(LOSS.replace("NUMBER", "3"))


def other_helper(space: Path) -> None:
    (space / "plugins" / "loss" / "_beside.py").write_text("NUMBER = 3\n")


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (other_label, "D60", "rows: 1 with another label: 000"),
        (one_row_less, "D60", "rows: 1 gone: 059"),
        (other_ids, "D60", "rows: 10 new: x000, x001, x002, x003, x004, …"),
        (other_pixels, "D60", "images: 1 with another file: 007"),
        (
            other_config,
            "C11",
            "optimizer: {'name': 'adamw', 'lr': 0.01} before, {'name': 'adamw', 'lr': 0.02} now",
        ),
        (other_code, "D60", "plugins loss/mine: "),
        (other_helper, "D60", "plugins loss/mine: "),
    ],
)
def test_each_change_is_named_with_the_choice(
    competition: Path, change: Callable[[Path], None], code: str, named: str
) -> None:
    (competition / "plugins" / "loss").mkdir(parents=True)
    (competition / "plugins" / "loss" / "mine.py").write_text(LOSS.replace("NUMBER", "2"))
    train(competition, ["loss=mine", "epochs=1"], name="r", folds=[0])
    kept = (competition / "runs/r/fold-0/oof.parquet").read_bytes()
    change(competition)
    with warnings.catch_warnings(), pytest.raises(KitError) as caught:
        warnings.simplefilter("ignore")
        train(competition, ["loss=mine", "epochs=1"], name="r", folds=[1])
    assert caught.value.code == code
    assert named in str(caught.value)
    assert "--restart" in caught.value.hint
    assert "another --name" in caught.value.hint
    assert (competition / "runs/r/fold-0/oof.parquet").read_bytes() == kept


def test_other_versions_are_named(competition: Path) -> None:
    train(competition, ["epochs=1"], name="r", folds=[0])
    file = competition / "runs" / "r" / "manifest.json"
    file.write_text(file.read_text().replace('"torch": "2', '"torch": "1'))
    with pytest.raises(KitError, match=r"D60 [\s\S]*versions torch: 1\.\S* then, 2\.\S* now"):
        train(competition, ["epochs=1"], name="r", folds=[1])


def test_what_makes_no_other_experiment_continues(competition: Path) -> None:
    train(competition, ["epochs=1"], name="r", folds=[0])
    file = competition / "runs" / "r" / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "git": {"commit": "another", "dirty": True}}))
    train(Workspace.open(competition, ["epochs=1", "workers=1", "save_every_steps=2"]), name="r")
