"""Names that are not UTF-8: they are rows like any other, and every file that kit writes stays readable."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from kit.commands._menu import run
from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.files import read_json, write_json, write_text
from kit.core.legible import is_legible, legible, legible_json
from kit.data.table import train_table
from kit.errors import ConfigError, KitWarning
from kit.images.cache import Hashes
from kit.stages.discovery.initialise import initialise
from tests.drawn_images import drawn

LATIN = b"caf\xe9"  # café in Latin-1, which is not UTF-8
Step = Callable[[Path], None]
Said = pytest.CaptureFixture[str]


def draw(folder: Path, names: list[bytes]) -> Path:
    """Images of these names, each of other content."""
    for number, name in enumerate(names):
        file = folder / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn(40, 40, number)).save(file, "PNG")
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [(LATIN, r"caf\xe9"), ("café 例".encode(), "café 例"), (b"\xff\xfe.png", r"\xff\xfe.png"), (b"a", "a")],
)
def test_bytes_that_are_not_utf8_are_written_out(name: bytes, text: str) -> None:
    given = os.fsdecode(name)
    assert legible(given) == text
    assert is_legible(given) == (given == text)
    assert json.loads(legible_json({given: [given]})) == {text: [text]}


def test_files_and_json_can_be_read_again(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", os.fsdecode(LATIN))
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == r"caf\xe9"
    write_json(tmp_path / "a.json", {"name": os.fsdecode(LATIN), "half": "\ud800"})
    assert read_json(tmp_path / "a.json") == {"name": r"caf\xe9", "half": r"\ud800"}


def test_a_class_folder_of_such_a_name_is_a_class(tmp_path: Path) -> None:
    draw(tmp_path / "train", [LATIN + b"/0.png", b"tea/" + LATIN + b".png", b"tea/1.png"])
    with pytest.warns(KitWarning, match=r"W50 the names of 2 train files are not UTF-8"):
        table = train_table(tmp_path, Data(train="train", sample=None))
    assert table.classes == (r"caf\xe9", "tea")
    assert table.ids.tolist() == [r"caf\xe9/0", "tea/1", r"tea/caf\xe9"]
    assert [os.fsencode(path.name) for path in table.paths] == [b"0.png", b"1.png", LATIN + b".png"]
    assert all(path.is_file() for path in table.paths)
    assert table.frame["path"].tolist() == [r"caf\xe9/0.png", "tea/1.png", r"tea/caf\xe9.png"]


def test_the_cache_knows_such_a_file_again(tmp_path: Path) -> None:
    draw(tmp_path, [LATIN])
    path = tmp_path / os.fsdecode(LATIN)
    known = Hashes(tmp_path / "hashes.json")
    old = [path.stat().st_size, 0, 0, path.stat().st_ino]
    known.put(path, old, "the hash")
    known.save()
    assert read_json(tmp_path / "hashes.json") == {str(tmp_path / r"caf\xe9"): [*old, "the hash"]}


def test_one_stray_name_breaks_no_command(tmp_path: Path, inside: Step, capsys: Said) -> None:
    names = [b"%s/%d.png" % (name, n) for name in (b"cat", b"dog") for n in range(6)]
    draw(tmp_path / "train", [*names, b"cat/" + LATIN + b".png"])
    (tmp_path / "train" / "cat" / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    inside(tmp_path)
    assert run(["init", "--recipe", "scratch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 14
    assert run(["check", "--csv", "cases.csv", "--json"]) == 3
    (bad,) = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["code"] == "K01"]
    assert bad["cases"][0]["id"] == r"cat/\xff"
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as file:
        assert r"cat/\xff" in [row["id"] for row in csv.DictReader(file)]
    tiny = ["backbone=small", "epochs=1", "image_size=16", "splitter.folds=2", "loss=cross_entropy"]
    assert run(["train", "--name", "r", *tiny, "augmenter=flips", "workers=0"]) == 3
    with (tmp_path / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["id"], row["path"]) for row in csv.DictReader(file)] == [
            (r"cat/\xff", f"{tmp_path}/train/cat/\\xff.png")
        ]
    again = ["data.on_unreadable_train=skip", "augmenter=flips", "workers=0"]
    assert run(["train", "--name", "r", *tiny, *again]) == 0
    assert r"cat/caf\xe9" in (tmp_path / "runs/r/folds.csv").read_text(encoding="utf-8")
    assert run(["report", "--write-up"]) == 0
    assert r"cat/\xff" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["data"]["train"] == 14


def test_a_folder_that_the_config_would_have_to_name_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    draw(root / os.fsdecode(LATIN), [b"cat/0.png", b"cat/1.png", b"dog/0.png", b"dog/1.png"])
    with pytest.raises(ConfigError, match=r"the name caf\\xe9 is not UTF-8") as raised:
        initialise(root, "scratch")
    assert raised.value.code == "C50"
    assert not (root / "config.json").exists()


def test_a_workspace_of_such_a_name_is_refused(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(LATIN)
    root.mkdir()
    (root / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="is not UTF-8") as raised:
        Workspace.open(root)
    assert raised.value.code == "C50"
