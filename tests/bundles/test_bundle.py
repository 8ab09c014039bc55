"""A bundle predicts images that nobody has seen as the workspace would, to the bit, without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit import checkpoints
from kit.__main__ import run as command
from kit.blend import blend
from kit.bundles import packing
from kit.bundles.contents import Contents
from kit.bundles.packing import bundle
from kit.bundles.predicting import Given, predicting_bundle
from kit.errors import ConfigError, DataError, InvalidError, KitWarning, RunError
from kit.files import read_json, write_json
from kit.final import finalising, plan
from kit.predictions import Predictions
from kit.progress import finish
from kit.train import train
from kit.tta import tta
from kit.workspace import Workspace
from tests.drawing import CLASSES, draw

MEMBERS = ("runs/a@turned", "runs/b")
TURNED = '''"""Source: a team's own."""
from kit.kinds import Views


class Turned(Views):
    """The image, and upside down."""

    def views(self):
        import ttach

        return [ttach.Rotate90([0, 180])]
'''
NO_NETWORK = """import socket


def refuse(*given):
    raise OSError("no network")


class Shut(socket.socket):
    connect = connect_ex = refuse


socket.socket, socket.create_connection, socket.getaddrinfo = Shut, refuse, refuse
"""


@pytest.fixture(scope="module")
def blended(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a plugin of its own, a blend of two runs, and one of networks that saw all rows."""
    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("bundle") / "space"))
    (root / "plugins" / "views").mkdir(parents=True)
    (root / "plugins" / "views" / "turned.py").write_text(TURNED)
    train(root, ["seed=1", "epochs=1"], name="b")
    tta(root, ["runs/a"], "turned")
    tta(root, ["runs/b"])
    space = Workspace.open(root)
    blend(space, MEMBERS, "simplex", "first")
    finish(finalising(space, plan(space, MEMBERS, "mean", seeds=[0, 1]), "last"))
    return root


@pytest.fixture(scope="module")
def packed(blended: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "bundle"
    bundle(Workspace.open(blended), [str(blended / "submissions" / "0001-first.json")], out)
    return out


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """9 test images that are not the workspace's, and a sample of them."""
    root, rng = tmp_path_factory.mktemp("hidden"), np.random.default_rng(7)
    for number in range(9):
        cv2.imwrite(str(root / f"n{number}.png"), draw(CLASSES[number % 3], rng))
    (root / "sample.csv").write_text("id,label\n" + "".join(f"n{number},blob\n" for number in range(9)))
    return Given(root, root / "sample.csv")


def as_the_workspace(root: Path, given: Given, to: Path) -> Path:
    """The workspace with the hidden images as its test set."""
    space = Path(shutil.copytree(root, to))
    for file in given.images.glob("*.png"):
        shutil.copy(file, space / "data" / "images")
    shutil.copy(given.sample, space / "data" / "sample_submission.csv")
    return space


def alone(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python without a network, a home, or anything of this process's environment."""
    (home / "sitecustomize.py").write_text(NO_NETWORK)
    try:
        shut = ["unshare", "-rn"]
        subprocess.run([*shut, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        shut = []
    empty = {
        "HOME": str(home / "none"),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(home),
        "OMP_NUM_THREADS": "1",
    }
    line = [*shut, sys.executable, *words]
    return subprocess.run(line, env=empty, cwd=home, capture_output=True, text=True, check=False)


def same_predictions(one: Path, other: Path, member: str) -> None:
    run, _, views = member.partition("@")
    first, second = (
        Predictions.read(root / "runs" / run / "predictions" / views / "test.parquet")
        for root in (one, other)
    )
    assert first.ids.tolist() == second.ids.tolist()
    assert np.array_equal(first.probabilities, second.probabilities), member


def test_without_a_network_it_predicts_new_images_to_the_bit(
    blended: Path, packed: Path, hidden: Given, tmp_path: Path
) -> None:
    asked = ["--images", str(hidden.images), "--sample", str(hidden.sample)]
    done = alone(str(packed / "predict.py"), *asked, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"predict: (\S+) test: (\d+) rows, (\d) view", done.stderr) == [
        ("a@turned", "9", "2"), ("b@plain", "9", "1"),
    ]  # fmt: skip
    space = as_the_workspace(blended, hidden, tmp_path / "space")
    tta(space, ["runs/a"], "turned")
    tta(space, ["runs/b"])
    wanted = blend(Workspace.open(space), MEMBERS, "simplex", "hidden")
    assert (tmp_path / "submission.csv").read_text() == wanted.path.read_text()
    for member in ("a@turned", "b@plain"):
        same_predictions(tmp_path / "kit-work", space, member)
    assert list(packed.rglob("__pycache__")) == [], "the bundle is as it was"


def test_networks_of_all_rows_and_several_seeds_blend_there_as_here(
    blended: Path, hidden: Given, tmp_path: Path
) -> None:
    made = bundle(Workspace.open(blended), [str(blended / "submissions" / "0002-last.json")], tmp_path / "b")
    assert made.networks == 4
    finish(predicting_bundle(tmp_path / "b", hidden, tmp_path / "out.csv", tmp_path / "work"))
    space = as_the_workspace(blended, hidden, tmp_path / "space")
    for run in ("a-final-seed0", "a-final-seed1"):
        tta(space, [f"runs/{run}"], "turned")
        same_predictions(tmp_path / "work", space, f"{run}@turned")
    old = Workspace.open(space)
    tta(space, ["runs/a"], "turned")
    tta(space, ["runs/b"])
    wanted = finish(finalising(old, plan(old, MEMBERS, "mean", seeds=[0, 1]), "again")).submitted
    assert (tmp_path / "out.csv").read_text() == wanted.path.read_text()


def test_it_holds_what_predicting_needs_and_no_more(packed: Path, blended: Path) -> None:
    files = {file.name for file in (packed / "runs").rglob("*") if file.is_file()}
    assert files == {"model.safetensors", "manifest.json"}
    average = blended / "runs" / "a" / "fold-0" / "0002" / "ema.safetensors"
    slim = packed / "runs" / "a" / "fold-0" / "0002"
    assert (slim / "model.safetensors").read_bytes() == average.read_bytes()
    assert checkpoints.tag(slim) == checkpoints.tag(average.parent)
    assert "machine" not in checkpoints.manifest_of(slim)["about"]
    assert (packed / "plugins" / "views" / "turned.py").read_text() == TURNED
    lines = (packed / "requirements.txt").read_text().splitlines()
    assert "ttach==0.0.3" in lines
    assert all("==" in line and "+" not in line for line in lines)


def test_a_damaged_bundle_is_refused_before_anything_of_it_runs(
    packed: Path, hidden: Given, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(packed, tmp_path / "b"))
    (broken / "kit" / "__init__.py").write_text("raise SystemExit('it ran')")
    done = alone(str(broken / "predict.py"), "--help", home=tmp_path)
    assert done.returncode == 3
    assert "D66 kit/__init__.py" in done.stderr
    weights = next(broken.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match="(?s)D66 2 of .*bytes of"):
        Contents.read(broken)
    (broken / "bundle.json").write_text("{}")
    with pytest.raises(DataError, match="D66 .*no bundle"):
        Contents.read(broken)


@pytest.mark.parametrize(
    ("where", "name", "says"),
    [
        ("files", "../kit.py", "is not below the bundle"),
        ("files", "/etc/hostname", "is not below the bundle"),
        ("run", "../a", "is no folder's name"),
        ("run", "a/b", "is no folder's name"),
        ("checkpoint", "../runs/a/fold-0/0002", "is no checkpoint of it"),
    ],
)
def test_a_name_that_leads_out_of_a_bundle_is_refused(
    packed: Path, tmp_path: Path, where: str, name: str, says: str
) -> None:
    told = read_json(packed / "bundle.json")
    if where == "files":
        told["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    else:
        told["members"][0]["networks"][0][where] = name
    write_json(tmp_path / "bundle.json", told)
    with pytest.raises(DataError, match=rf"(?s)D66 .*\n  {re.escape(name)}: {says}"):
        Contents.read(tmp_path)


def test_other_versions_are_told(packed: Path, hidden: Given, tmp_path: Path) -> None:
    older = Path(shutil.copytree(packed, tmp_path / "b"))
    made = read_json(older / "bundle.json")
    made["versions"]["torch"] = "1.0"
    write_json(older / "bundle.json", made)
    with pytest.warns(KitWarning, match="W26 .*torch 1.0 then"):
        finish(predicting_bundle(older, hidden, tmp_path / "out.csv", tmp_path / "work"))


def test_what_cannot_be_packed_is_refused(blended: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(blended, tmp_path / "space"))
    space = Workspace.open(root)
    record = str(root / "submissions" / "0001-first.json")
    with pytest.raises(ConfigError, match="C38"):
        bundle(space, [record], root)
    with pytest.raises(ConfigError, match="C05"):
        bundle(space, [record], tmp_path / "b", "mean")
    with pytest.raises(ConfigError, match="C22"):
        bundle(space, [str(root / "config.json")], tmp_path / "b")
    shutil.rmtree(root / "runs" / "a" / "fold-1" / "0002")
    with pytest.raises(InvalidError, match="D43 .*runs/a/fold-1/0002, which is gone"):
        bundle(space, [record], tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_wheels_are_fetched_by_pip_and_its_error_is_told(
    blended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: Callable[[Path], None]
) -> None:
    asked: list[list[str]] = []

    def pip(words: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, len(asked) - 1, "", "ERROR: no such version\n")

    monkeypatch.setattr(packing.subprocess, "run", pip)
    inside(blended)
    assert command(["bundle", *MEMBERS, "--out", str(tmp_path / "b"), "--wheels"]) == 0
    assert asked[0][1:4] == ["-m", "pip", "download"]
    with pytest.raises(RunError, match="(?s)R16.*no such version"):
        bundle(Workspace.open(blended), MEMBERS, tmp_path / "c", wheels=True)
    assert not (tmp_path / "c").exists()


def test_the_command_predicts_a_bundle(
    packed: Path, hidden: Given, tmp_path: Path, inside: Callable[[Path], None]
) -> None:
    inside(tmp_path)
    words = [
        "predict",
        str(packed),
        "--images",
        str(hidden.images),
        "--sample",
        str(hidden.sample),
        "--workers",
        "0",
    ]
    assert command(words) == 0
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 10
