"""Hostile files are refused, in less than a second and 200 MB each, and nothing that they hold is run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kit.commands._menu import run
from kit.config.models import Data
from kit.config.parsing import parse
from kit.core.files import read_json, sha256
from kit.core.legible import escape_control
from kit.data.predictions import Predictions, Provenance, provenance_of
from kit.data.table import train_table
from kit.device import torch_internals
from kit.errors import CheckpointError, ConfigError, DataError, InvalidError, KitError, KitWarning
from kit.images.cache import Hashes, Store
from kit.images.reader import read_image
from kit.kinds.network import Original
from kit.kinds.registry import locations
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance
from kit.model.initial_weights import fill
from kit.model.weight_files import read_weights
from kit.runs.run import Run
from tests.drawn_tables import PLAIN, csv, make
from tests.hostile import (
    CONFIGS,
    DEEP,
    PREDICTIONS,
    SAFETENSORS,
    STATES,
    bomb_as_index,
    claim_as_index,
    code_as_index,
    png_bomb,
)

Write = Callable[[Path, Path], None]


def memory(key: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most since it was asked to forget."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


@contextmanager
def small_and_quick() -> Iterator[None]:
    """A block that takes less than a second of this process and 200 MB."""
    Path("/proc/self/clear_refs").write_text("5")
    before, begun = memory("VmRSS"), time.process_time()
    yield
    assert time.process_time() - begun < 1
    assert memory("VmHWM") - before < 200 * 2**20


def saved(folder: Path) -> Path:
    return checkpoints.save(folder, 1, {"w": torch.ones(2)}, None, {"step": 1}, CheckpointProvenance())


def signed(path: Path, name: str) -> None:
    """Makes the manifest agree with a file that was put in another's place."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": sha256(path / name), "bytes": (path / name).stat().st_size}
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("write", STATES.values(), ids=list(STATES))
def test_a_training_state(write: Write, tmp_path: Path) -> None:
    path = saved(tmp_path)
    write(path / "state.pt", tmp_path / "trace")
    signed(path, "state.pt")
    with small_and_quick(), pytest.raises(CheckpointError, match="D5[01]"):
        checkpoints.load(path).state()
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("write", SAFETENSORS.values(), ids=list(SAFETENSORS))
def test_a_checkpoints_weights(write: Write, tmp_path: Path) -> None:
    path = saved(tmp_path)
    write(path / "model.safetensors", tmp_path)
    signed(path, "model.safetensors")
    with small_and_quick(), pytest.raises(CheckpointError, match="D51"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        *((f"w{n}.pt", each) for n, each in enumerate(STATES.values())),
        *((f"w{n}.safetensors", each) for n, each in enumerate(SAFETENSORS.values())),
    ],
    ids=[*STATES, *SAFETENSORS],
)
def test_starting_weights(name: str, write: Write, tmp_path: Path) -> None:
    write(tmp_path / name, tmp_path / "trace")
    torch_internals.prepare_torchvision()  # as whatever opens a network does
    import timm.models  # noqa: F401

    with small_and_quick(), pytest.raises(CheckpointError, match="D5[013]"):
        fill(Original(torch.nn.Linear(2, 2)), read_weights(tmp_path / name))
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        "[]",
        "{}",
        '{"schema": 1, "number": 1, "files": 7, "about": {}}',
        '{"schema": "x", "number": 1}',
        '{"schema": 1, "number": 1, "files": {"../../x": {"bytes": 1, "sha256": ""}}, "about": {}}',
        '{"schema": 1, "number": 1e999, "files": {}, "about": {}}',
        '{"schema": 1, "number": 1, "files": {"state.pt": 1}}',
    ],
    ids=["deep", "list", "empty", "files", "schema", "path", "infinite", "file"],
)
def test_a_checkpoints_manifest(text: str, tmp_path: Path) -> None:
    path = saved(tmp_path)
    (path / "manifest.json").write_text(text)
    with small_and_quick(), pytest.warns(KitWarning, match="D51"):
        assert checkpoints.latest(tmp_path) is None


def test_a_runs_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(DEEP)
    with small_and_quick(), pytest.raises(CheckpointError, match="D51"):
        _ = Run(tmp_path).manifest
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "manifest.json")


@pytest.mark.parametrize("write", [bomb_as_index, claim_as_index])
def test_an_index_of_the_cache_is_begun_again(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "index.npz")
    with small_and_quick():
        assert Store.open(tmp_path).places == {}


def test_code_in_an_index_of_the_cache_is_not_run(tmp_path: Path) -> None:
    code_as_index(tmp_path / "index.npz", tmp_path / "trace")
    with small_and_quick():
        assert Store.open(tmp_path).places == {}
    assert not (tmp_path / "trace").exists()


def test_hashes_of_the_cache_are_begun_again(tmp_path: Path) -> None:
    for text in (DEEP, "[1]", '{"a": 7}', '{"a": []}'):
        (tmp_path / "hashes.json").write_text(text)
        with small_and_quick():
            assert Hashes(tmp_path / "hashes.json").get(tmp_path / "a") == ""


@pytest.mark.parametrize("write", PREDICTIONS.values(), ids=list(PREDICTIONS))
def test_predictions(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "oof.parquet")
    with small_and_quick(), pytest.raises(InvalidError, match="D40"):
        Predictions.read(tmp_path / "oof.parquet")
    with suppress(InvalidError):
        provenance_of(tmp_path / "oof.parquet")


@pytest.mark.parametrize("text", CONFIGS.values(), ids=list(CONFIGS))
def test_a_config(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_and_quick(), pytest.raises(ConfigError):
        from kit.config.parsing import validate_config

        validate_config(parse(text))
    (tmp_path / "config.json").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert run(["config", "show"]) == 2


@pytest.mark.parametrize("value", [DEEP, "[" * 50_000, "9" * 10_000, '"\\ud800"', "\udcff"])
def test_an_override(value: str, competition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(competition)
    with small_and_quick():
        assert run(["config", "show", f"epochs={value}"]) == 2


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a\0b", "x/../../../secret", "link"])
def test_an_id_that_leads_elsewhere(name: str, tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,label", f"{name},dog", "a,cat")}, ["images/a.jpg", "secret.jpg"])
    (tmp_path / "images" / "link.jpg").symlink_to("/etc/passwd")
    with small_and_quick(), pytest.raises(DataError, match="D20|D71"):
        train_table(tmp_path, PLAIN)


def test_an_image_of_a_gigabyte_is_refused_by_its_header(tmp_path: Path) -> None:
    png_bomb(tmp_path / "a.png")
    with small_and_quick(), pytest.raises(DataError, match="D10 .*claims 400 Mpx"):
        read_image(tmp_path / "a.png", Data())


def test_a_pixel_limit_that_is_raised_does_not_let_a_short_bomb_through(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    png_bomb(file)
    data = file.read_bytes()
    file.write_bytes(data[:16] + (9000).to_bytes(4, "big") * 2 + data[24:])
    with pytest.raises(DataError, match="D05"):
        read_image(file, Data())


def test_names_from_files_do_not_speak_to_the_terminal() -> None:
    assert (
        escape_control("id \x1b]0;evil\x07 \x9b2J\ttab\nline é")
        == "id \\x1b]0;evil\\x07 \\x9b2J\ttab\nline é"
    )


def test_markup_in_a_class_name_is_written_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.written_runs import competition, write_run

    evil = ("<script>alert(1)</script>", "[red]", "\x1b[31m")
    workspace = competition(tmp_path, cells=f",{evil[0]}")
    text = (tmp_path / "data" / "train.csv").read_text()
    for plain, name in zip(("ant", "bee", "cat"), evil, strict=True):
        text = text.replace(f",{plain},", f",{name},")
    (tmp_path / "data" / "train.csv").write_text(text)
    for name in ("a", "b"):
        write_run(workspace.root, name, classes=sorted(evil), wrong=[1])
    monkeypatch.chdir(tmp_path)
    status = run(["blend", "a", "b"])
    said = capsys.readouterr()
    assert status == 0, said.err
    assert "\x1b[31m" not in said.err + said.out


def test_with_plugins_off_a_workspace_has_no_code(
    competition: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (competition / "plugins" / "loss").mkdir(parents=True)
    (competition / "plugins" / "loss" / "evil.py").write_text("import os\nos.mkdir('trace')\n")
    monkeypatch.chdir(competition)
    monkeypatch.setenv("KIT_PLUGINS", "off")
    for command in (["plugins"], ["train", "--name", "r", "loss=evil"], ["config", "show", "loss=evil"]):
        run(command)
        assert not Path("trace").exists()
    assert "P02 no loss named 'evil'" in capsys.readouterr().err
    assert "evil" not in locations("loss", competition)
    monkeypatch.delenv("KIT_PLUGINS")
    with pytest.raises(KitError, match="P0[14]"):
        from kit.kinds import Loss

        Loss.open("evil", competition)
    assert os.path.isdir("trace")  # noqa: PTH112  # off is what kept it from running


@pytest.mark.parametrize("file", ["runs/a/fold-1/0002/manifest.json", "runs/a/predictions/plain/oof.parquet"])
def test_a_file_that_lacks_what_it_should_say_of_itself(
    space: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    """Each key dropped in turn: a command continues without it, or says in a line what is missing."""
    monkeypatch.chdir(space)
    name, whole = Path(file), Path(file).read_bytes()
    if name.suffix == ".json":
        about = json.loads(whole)["about"]
    else:
        predictions = Predictions.read(name)
        about = predictions.provenance.to_json()
    for key in about:
        less = {each: value for each, value in about.items() if each != key}
        if name.suffix == ".json":
            name.write_text(json.dumps({**json.loads(whole), "about": less}))
        else:
            replace(predictions, provenance=Provenance.from_json(less)).write(name)
        for command in (["tta", "--checkpoints", "runs/a"], ["runs", "show", "a"], ["train", "--name", "a"]):
            assert run(command) in (0, 3, 4), (key, command, capsys.readouterr().err)


def test_a_checkpoint_whose_config_this_kit_does_not_know(
    space: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(space)
    file = Path("runs/a/fold-1/0002/manifest.json")
    manifest = json.loads(file.read_text())
    manifest["about"]["config"]["epochs"] = "many"
    file.write_text(json.dumps(manifest))
    assert run(["tta", "--checkpoints", "runs/a", "--views", "hflip"]) in (0, 3)
    manifest["about"]["config"] = 7
    file.write_text(json.dumps(manifest))
    assert run(["tta", "--checkpoints", "runs/a", "--views", "hflip"]) in (0, 3)
    assert "Traceback" not in capsys.readouterr().err
