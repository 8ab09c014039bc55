"""Checkpoints: what is written is read back, what is damaged does not exist, what is hostile is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kit.core.files import remove_partial_files, sha256
from kit.errors import CheckpointError, KitWarning
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance


def write(folder: Path, number: int, value: float = 1.0, average: bool = True) -> Path:
    weights = {"layer.weight": torch.full((2, 3, 4, 4), value).to(memory_format=torch.channels_last)}
    ema = {"layer.weight": torch.full((2, 3, 4, 4), -value)} if average else None
    return checkpoints.save(
        folder,
        number,
        weights,
        ema,
        {"step": number, "peaks": [0.1]},
        CheckpointProvenance(classes=("a", "b")),
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint = checkpoints.load(write(tmp_path, 3, 0.1))
    assert checkpoint.number == 3
    assert checkpoint.provenance == CheckpointProvenance(classes=("a", "b"))
    assert checkpoint.state() == {"step": 3, "peaks": [0.1]}
    assert torch.equal(checkpoint.weights["layer.weight"], torch.full((2, 3, 4, 4), 0.1))
    assert torch.equal(checkpoint.prediction_weights["layer.weight"], torch.full((2, 3, 4, 4), -0.1))


def test_without_an_average_the_weights_predict(tmp_path: Path) -> None:
    checkpoint = checkpoints.load(write(tmp_path, 1, average=False))
    assert checkpoint.average is None
    assert checkpoint.prediction_weights is checkpoint.weights


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for number in (1, 2, 3, 10):
        write(tmp_path, number)
    assert checkpoints.checkpoint_numbers(tmp_path) == [3, 10]


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "state.pt"])
def test_one_flipped_bit_sends_back_to_the_previous_one(tmp_path: Path, name: str) -> None:
    write(tmp_path, 1)
    path = write(tmp_path, 2)
    content = bytearray((path / name).read_bytes())
    content[-5] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"D51 .*sha256 mismatch[\s\S]*0001"):
        checkpoints.load(path)
    with pytest.warns(KitWarning, match="D51 .* skipped"):
        checkpoint = checkpoints.latest(tmp_path)
    assert checkpoint is not None
    assert checkpoint.number == 1


@pytest.mark.parametrize("damage", ["empty", "truncated", "missing", "no manifest", "broken manifest"])
def test_a_partial_file_does_not_exist(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path, 1)
    file = path / "model.safetensors"
    if damage == "empty":
        file.write_bytes(b"")
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-7])
    elif damage == "missing":
        file.unlink()
    elif damage == "no manifest":
        (path / "manifest.json").unlink()
    else:
        (path / "manifest.json").write_text('{"schema": 1')
    with pytest.warns(KitWarning, match="D51"):
        assert checkpoints.latest(tmp_path) is None


def test_code_in_the_training_state_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "executed",))  # type: ignore[return-value]

    path = write(tmp_path, 1)
    torch.save({"step": Evil()}, path / "state.pt")
    manifest = json.loads((path / "manifest.json").read_text())
    content = path / "state.pt"
    manifest["files"]["state.pt"] = {"sha256": sha256(content), "bytes": content.stat().st_size}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="D50 .* refused: contains code"):
        checkpoints.load(path).state()
    assert not (tmp_path / "executed").exists()


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(CheckpointError, match="D52 .* schema 99"):
        checkpoints.latest(tmp_path)


def test_half_written_folders_are_no_checkpoints_and_are_removed(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / ".0002.part").mkdir()
    (tmp_path / ".0002.part" / "model.safetensors").write_bytes(b"x")
    assert checkpoints.checkpoint_numbers(tmp_path) == [1]
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001"]


def test_the_tag_changes_with_the_weights_that_predict(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a", 1, 0.5), write(tmp_path / "b", 1, 0.6)
    assert checkpoints.tag(one) != checkpoints.tag(other)
    assert checkpoints.tag(one).startswith("0001:")


def test_one_within_an_epoch_is_newer_than_the_epochs_before_it_and_gone_after_its_end(
    tmp_path: Path,
) -> None:
    write(tmp_path, 1)
    weights = {"layer.weight": torch.ones(2)}
    for step in (7, 300):
        checkpoints.save(tmp_path, 1, weights, None, {"step": step}, CheckpointProvenance(), step=step)
    assert checkpoints.within(tmp_path) == [(1, 300)]
    assert checkpoints.checkpoint_numbers(tmp_path) == [1]
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    assert newest.state() == {"step": 300}
    (newest.path / "model.safetensors").write_bytes(b"")
    with pytest.warns(KitWarning, match="D51 .* skipped"):
        older = checkpoints.latest(tmp_path)
    assert older is not None
    assert older.path.name == "0001"
    write(tmp_path, 2)
    assert checkpoints.within(tmp_path) == []
    assert checkpoints.checkpoint_numbers(tmp_path) == [1, 2]
