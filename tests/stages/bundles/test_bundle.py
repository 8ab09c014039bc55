"""A bundle predicts images that it has not seen as the workspace would, to the bit, without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.core.files import read_json, write_json
from kit.data.predictions import Predictions
from kit.errors import ConfigError, DataError, InvalidError, KitWarning, RunError
from kit.model import checkpoints
from kit.stages.blending.blend import blend
from kit.stages.bundles import trying
from kit.stages.bundles.bare_python import bare_python
from kit.stages.bundles.contents import Contents
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.final.final import plan, run_final
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
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


@pytest.fixture(scope="module")
def blended(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a plugin of its own, a blend of two runs, and one of networks that saw all rows.

    Its data and its cache are in folders that its config names, and that the bundle's machine does not have.
    """
    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("bundle") / "space"))
    config = json.loads((root / "config.json").read_text())
    names = {"train": "train.csv", "sample": "sample_submission.csv", "images": "images/{id}"}
    places = {"data": {"folder": "data", **names}, "cache_folder": str(root / "cache" / "deep")}
    (root / "config.json").write_text(json.dumps({**config, **places}))
    (root / "plugins" / "views").mkdir(parents=True)
    (root / "plugins" / "views" / "turned.py").write_text(TURNED)
    train(root, ["seed=1", "epochs=1"], name="b")
    tta(root, ["runs/a"], "turned")
    tta(root, ["runs/b"])
    space = Workspace.open(root)
    blend(space, MEMBERS, "simplex", "first")
    run_final(space, plan(space, MEMBERS, "mean", seeds=[0, 1]), "last")
    return root


@pytest.fixture(scope="module")
def packed(blended: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "bundle"
    bundle(Workspace.open(blended), [str(blended / "submissions" / "0001-first.json")], out)
    return out


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> PredictionInput:
    """9 test images that are not the workspace's, and a sample of them."""
    root, rng = tmp_path_factory.mktemp("hidden"), np.random.default_rng(7)
    for number in range(9):
        cv2.imwrite(str(root / f"n{number}.png"), draw(CLASSES[number % 3], rng))
    (root / "sample.csv").write_text("id,label\n" + "".join(f"n{number},blob\n" for number in range(9)))
    return PredictionInput(root, root / "sample.csv")


def as_the_workspace(root: Path, given: PredictionInput, to: Path) -> Path:
    """The workspace with the hidden images as its test set."""
    space = Path(shutil.copytree(root, to))
    for file in given.images.glob("*.png"):
        shutil.copy(file, space / "data" / "images")
    shutil.copy(given.sample, space / "data" / "sample_submission.csv")
    return space


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the installed packages and no kit."""
    python = bare_python(tmp_path_factory.mktemp("bare") / "python")
    ask = "import importlib.metadata, sys; sys.exit(importlib.metadata.version('kit-competitions'))"
    for code in ("import kit", ask):
        done = subprocess.run(
            [python, "-c", code], env={}, cwd=python.parent, capture_output=True, text=True, check=False
        )
        assert "NotFoundError" in done.stderr, "kit is not to be found there"
    return python


# a mount of the bundle on itself that refuses to be written, for this process alone; root may write files of mode 0444
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def alone(python: Path, bundled: Path, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs a read-only bundle without kit, a network, a home, or anything of this process's environment."""
    line = [str(python), str(bundled / "predict.py"), *words]
    shut = ["unshare", "-rnm", "sh", "-c", READ_ONLY, str(bundled)]
    able = subprocess.run([*shut, "true"], check=False, capture_output=True).returncode == 0
    for file in [] if able else [bundled, *bundled.rglob("*")]:
        file.chmod(0o555 if file.is_dir() else 0o444)
    empty = {"HOME": str(home / "none"), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*(shut if able else []), *line], env=empty, cwd=home, capture_output=True, text=True, check=False
    )


def same_predictions(one: Path, other: Path, member: str) -> None:
    run, _, views = member.partition("@")
    first, second = (
        Predictions.read(root / "runs" / run / "predictions" / views / "test.parquet")
        for root in (one, other)
    )
    assert first.ids.tolist() == second.ids.tolist()
    assert np.array_equal(first.probabilities, second.probabilities), member


def test_without_kit_and_network_it_predicts_new_images_to_the_bit(
    blended: Path, packed: Path, hidden: PredictionInput, bare: Path, tmp_path: Path
) -> None:
    arguments = ["--images", str(hidden.images), "--sample", str(hidden.sample)]
    done = alone(bare, packed, *arguments, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"predict: (\S+) test: (\d+) rows, (\d) view", done.stderr) == [
        ("a@turned", "9", "2"),
        ("b@plain", "9", "1"),
    ]
    space = as_the_workspace(blended, hidden, tmp_path / "space")
    tta(space, ["runs/a"], "turned")
    tta(space, ["runs/b"])
    wanted = submit_blend(Workspace.open(space), MEMBERS, "simplex", "hidden")
    assert (tmp_path / "submission.csv").read_text() == wanted.path.read_text()
    for member in ("a@turned", "b@plain"):
        same_predictions(tmp_path / "kit-work", space, member)
    assert list(packed.rglob("__pycache__")) == [], "the bundle is as it was"
    assert "9 rows in submission.csv, each predicted from its image" in done.stderr


@pytest.fixture
def damaged(hidden: PredictionInput, tmp_path: Path) -> PredictionInput:
    """The hidden images, n2 of them without its end and n5 not there."""
    root = Path(shutil.copytree(hidden.images, tmp_path / "damaged"))
    (root / "n2.png").write_bytes((root / "n2.png").read_bytes()[:-60])
    (root / "n5.png").unlink()
    return PredictionInput(root, root / "sample.csv")


def test_rows_without_a_readable_image_get_the_prior_and_are_reported(
    packed: Path,
    damaged: PredictionInput,
    tmp_path: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of 60 training rows 20 are of each class, see tests.drawing, so the prior is a third."""
    inside(tmp_path)
    words = ["predict", str(packed), "--images", str(damaged.images), "--sample", str(damaged.sample)]
    assert command(words) == 0
    err = capsys.readouterr().err
    assert "2 of 9 test images are unusable (D02 1, D05 1), predicted as the class prior" in err
    assert (
        "9 rows in submission.csv; 2 have the class prior, because their images are unusable: n2, n5" in err
    )
    assert [line.split(",")[0] for line in Path("submission.csv").read_text().splitlines()[1:]] == [
        f"n{number}" for number in range(9)
    ]
    listed = Path("kit-work/quarantine.csv").read_text().splitlines()[1:]
    assert [line.split(",")[1:4] for line in listed] == [["n2", "test", "D05"], ["n5", "test", "D02"]]
    predictions = Predictions.read(Path("kit-work/runs/b/predictions/plain/test.parquet"))
    bad = np.isin(predictions.ids, ["n2", "n5"])
    np.testing.assert_allclose(predictions.probabilities[bad], 1 / 3, atol=1e-6)
    assert (np.abs(predictions.probabilities[~bad] - 1 / 3).max(axis=1) > 1e-3).all()


def test_bad_test_stop_ends_at_a_broken_image_and_names_the_way_on(
    packed: Path,
    damaged: PredictionInput,
    tmp_path: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    inside(tmp_path)
    words = ["predict", str(packed), "--images", str(damaged.images), "--sample", str(damaged.sample)]
    assert command([*words, "--on-unreadable-test", "stop"]) == 3
    assert "--on-unreadable-test class_prior" in capsys.readouterr().err
    shutil.copy(damaged.images / "n1.png", damaged.images / "n5.png")
    assert command([*words, "--on-unreadable-test", "stop"]) == 3
    err = capsys.readouterr().err
    assert "D05" in err
    assert "--on-unreadable-test class_prior" in err
    assert "n2.png" in Path("kit-work/quarantine.csv").read_text()
    assert command([*words, "--on-unreadable-test", "class_prior"]) == 0


def test_a_folder_with_no_image_of_any_row_is_an_error(
    packed: Path, hidden: PredictionInput, tmp_path: Path
) -> None:
    elsewhere = PredictionInput(tmp_path, hidden.sample)
    with pytest.raises(DataError, match="(?s)D02 all 9 test images are unusable.*--images"):
        predict_bundle(packed, elsewhere, tmp_path / "out.csv", tmp_path / "work")
    assert not (tmp_path / "out.csv").exists()


def test_keys_of_data_can_be_changed_where_a_bundle_predicts(
    packed: Path, hidden: PredictionInput, tmp_path: Path
) -> None:
    small = replace(hidden, overrides=("data.max_pixels=10",), on_unreadable_test="stop")
    with pytest.raises(DataError, match="D10"):
        predict_bundle(packed, small, tmp_path / "out.csv", tmp_path / "work")
    other = replace(hidden, overrides=("ensembler=mean",))
    with pytest.raises(ConfigError, match="C05 .*keys of data"):
        predict_bundle(packed, other, tmp_path / "out.csv", tmp_path / "work")
    advised = replace(hidden, overrides=("workers=0", "device=nowhere"))
    with pytest.raises(ConfigError, match="C10"):
        predict_bundle(packed, advised, tmp_path / "out.csv", tmp_path / "work")


def test_plugins_of_a_read_only_bundle_can_be_copied_twice(
    packed: Path, hidden: PredictionInput, tmp_path: Path
) -> None:
    shut = Path(shutil.copytree(packed, tmp_path / "b"))
    for file in [*(shut / "plugins").rglob("*"), shut / "plugins"]:
        file.chmod(0o555 if file.is_dir() else 0o444)
    predict_bundle(shut, hidden, tmp_path / "out.csv", tmp_path / "work")
    copies = [tmp_path / "work" / "plugins", *(tmp_path / "work" / "plugins").rglob("*")]
    assert all(file.stat().st_mode & 0o200 for file in copies), "their owner, who is not root, can write them"


def test_the_command_tries_a_bundle_where_kit_is_not(
    blended: Path, tmp_path: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(blended)
    assert command(["bundle", "runs/b", "--out", str(tmp_path / "b"), "--try", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "tested without kit and network: 8 rows" in err
    assert "rows with unreadable images get the class prior" in err
    assert json.loads(out)["tried"]["rows"] == 8
    assert json.loads(out)["tried"]["noise"] is False


def test_a_bundle_that_fails_where_kit_is_not_is_an_error_with_its_last_lines(
    packed: Path, blended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho 'no module named kit' >&2; exit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(trying, "bare_python", lambda folder: failing)
    with pytest.raises(RunError, match="(?s)R18 .*ends with status 3.*no module named kit") as error_info:
        trying.try_bundle(Workspace.open(blended), packed)
    assert error_info.value.exit_code == 1


def test_a_bundle_is_tried_with_noise_where_no_test_image_is(
    packed: Path, blended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Path(shutil.copytree(blended, tmp_path / "space"))
    shutil.rmtree(space / "data" / "images")
    here = tmp_path / "python"
    here.write_text(f"#!/bin/sh\ncp sample.csv submission.csv\nls images > {tmp_path}/listed\n")
    here.chmod(0o755)
    monkeypatch.setattr(trying, "bare_python", lambda folder: here)
    tried = trying.try_bundle(Workspace.open(space), packed, rows=3)
    assert (tried.rows, tried.noise) == (3, True)
    assert (tmp_path / "listed").read_text().split() == ["060.jpg", "061.jpg", "062.jpg"]


def test_networks_of_all_rows_and_several_seeds_blend_there_as_here(
    blended: Path, hidden: PredictionInput, tmp_path: Path
) -> None:
    result = bundle(
        Workspace.open(blended), [str(blended / "submissions" / "0002-last.json")], tmp_path / "b"
    )
    assert result.networks == 4
    predict_bundle(tmp_path / "b", hidden, tmp_path / "out.csv", tmp_path / "work")
    space = as_the_workspace(blended, hidden, tmp_path / "space")
    for run in ("a-final-seed0", "a-final-seed1"):
        tta(space, [f"runs/{run}"], "turned")
        same_predictions(tmp_path / "work", space, f"{run}@turned")
    old = Workspace.open(space)
    tta(space, ["runs/a"], "turned")
    tta(space, ["runs/b"])
    wanted = run_final(old, plan(old, MEMBERS, "mean", seeds=[0, 1]), "again").submitted
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
    packed: Path, bare: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(packed, tmp_path / "b"))
    (broken / "kit" / "__init__.py").write_text("raise SystemExit('it ran')")
    done = alone(bare, broken, "--help", home=tmp_path)
    assert done.returncode == 3
    assert "D66 kit/__init__.py" in done.stderr
    weights = next(broken.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match="(?s)D66 2 of .*bytes of"):
        Contents.read(broken)
    (broken / "bundle.json").write_text("{}")
    with pytest.raises(DataError, match="D66 .*not a bundle"):
        Contents.read(broken)


@pytest.mark.parametrize(
    ("where", "name", "says"),
    [
        ("files", "../kit.py", "is not inside the bundle"),
        ("files", "/etc/hostname", "is not inside the bundle"),
        ("run", "../a", "is not a folder name"),
        ("run", "a/b", "is not a folder name"),
        ("checkpoint", "../runs/a/fold-0/0002", "is not a checkpoint of it"),
    ],
)
def test_a_name_that_leads_out_of_a_bundle_is_refused(
    packed: Path, tmp_path: Path, where: str, name: str, says: str
) -> None:
    manifest = read_json(packed / "bundle.json")
    if where == "files":
        manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    else:
        manifest["members"][0]["networks"][0][where] = name
    write_json(tmp_path / "bundle.json", manifest)
    with pytest.raises(DataError, match=rf"(?s)D66 .*\n  {re.escape(name)}: {says}"):
        Contents.read(tmp_path)


def test_other_versions_are_reported(packed: Path, hidden: PredictionInput, tmp_path: Path) -> None:
    older = Path(shutil.copytree(packed, tmp_path / "b"))
    manifest = read_json(older / "bundle.json")
    manifest["versions"]["torch"] = "1.0"
    write_json(older / "bundle.json", manifest)
    with pytest.warns(KitWarning, match="W26 .*torch 1.0 in the bundle"):
        predict_bundle(older, hidden, tmp_path / "out.csv", tmp_path / "work")


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
    with pytest.raises(InvalidError, match="D43 .*runs/a/fold-1/0002, which is missing"):
        bundle(space, [record], tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_wheels_are_fetched_by_pip_and_its_error_is_reported(
    blended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: Callable[[Path], None]
) -> None:
    commands: list[list[str]] = []

    def pip(words: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        commands.append(words)
        return subprocess.CompletedProcess(words, len(commands) - 1, "", "ERROR: no such version\n")

    monkeypatch.setattr("kit.stages.bundles.packing.subprocess.run", pip)
    inside(blended)
    assert command(["bundle", *MEMBERS, "--out", str(tmp_path / "b"), "--wheels"]) == 0
    assert commands[0][1:4] == ["-m", "pip", "download"]
    with pytest.raises(RunError, match="(?s)R16.*no such version"):
        bundle(Workspace.open(blended), MEMBERS, tmp_path / "c", wheels=True)
    assert not (tmp_path / "c").exists()


def test_the_command_predicts_a_bundle(
    packed: Path, hidden: PredictionInput, tmp_path: Path, inside: Callable[[Path], None]
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
