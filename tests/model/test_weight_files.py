"""Files of weights are found, recognised and read, from any source."""

from __future__ import annotations

import gzip
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from kit.errors import CheckpointError
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance
from kit.model.weight_files import find_weights, read_weights

STATE = {"conv.weight": torch.ones(2, 3, 1, 1), "conv.bias": torch.zeros(2)}
AVERAGE = {name: value + 1 for name, value in STATE.items()}


def same(state: dict[str, Any], wanted: dict[str, Tensor]) -> bool:
    return state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    "key",
    [
        "state_dict",
        "model_state_dict",
        "model",
        "net",
        "network",
        "params",
        "weights",
        "teacher",
        "ema",
        "mine",
    ],
)
def test_weights_are_found_below_a_key(key: str, tmp_path: Path) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, key: STATE, "optimizer": optimizer}, tmp_path / "w.pth")
    weight_file = read_weights(tmp_path / "w.pth")
    assert same(weight_file.state, STATE)
    assert (weight_file.wrappers, weight_file.notes) == ((key,), (f"below {key}",))


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema", "params_ema", "teacher"])
def test_averaged_weights_are_preferred(key: str, tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "model": STATE, key: AVERAGE}, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth").state, AVERAGE)


def test_weights_are_found_below_several_keys(tmp_path: Path) -> None:
    torch.save({"ema": {"decay": 0.9, "module": AVERAGE}, "loss": torch.tensor(3.0)}, tmp_path / "w.pth")
    weight_file = read_weights(tmp_path / "w.pth")
    assert same(weight_file.state, AVERAGE)
    assert weight_file.notes == ("below ema.module",)


def test_a_file_with_another_ending_is_read_by_its_content(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "a.pth")
    torch.save(STATE, tmp_path / "b.safetensors.bin")
    torch.save(STATE, tmp_path / "c")
    for name in ("a.pth", "b.safetensors.bin", "c"):
        assert same(read_weights(tmp_path / name).state, STATE), name


def test_a_folder_of_hugging_face_is_read_with_its_network(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "model.safetensors")
    torch.save(AVERAGE, tmp_path / "pytorch_model.bin")
    config = {"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weight_file = read_weights(tmp_path)
    assert same(weight_file.state, STATE)
    assert weight_file.notes == ("file model.safetensors",)
    assert (weight_file.architecture, weight_file.normalisation) == ("resnet18", ((0.5,) * 3, (0.25,) * 3))


def test_the_current_version_in_the_hubs_cache_is_read(tmp_path: Path) -> None:
    repository = tmp_path / "models--timm--resnet18.a1_in1k"
    for version, state in (("aaa", AVERAGE), ("bbb", STATE)):
        (repository / "snapshots" / version).mkdir(parents=True)
        blob = repository / f"blob-{version}"
        safetensors.torch.save_file(state, blob)
        (repository / "snapshots" / version / "model.safetensors").symlink_to(blob)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("bbb")
    weight_file = read_weights(repository)
    assert same(weight_file.state, STATE)
    assert weight_file.notes == ("file snapshots/bbb/model.safetensors",)


def test_shards_are_joined_and_a_missing_one_is_named(tmp_path: Path) -> None:
    shards = {name: f"model-{place}.safetensors" for place, name in enumerate(STATE)}
    for name, shard in shards.items():
        safetensors.torch.save_file({name: STATE[name]}, tmp_path / shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert same(read_weights(tmp_path).state, STATE)
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"D51 1 of 2 files are missing(?s:.*)model-1\.safetensors"):
        read_weights(tmp_path)


def test_a_folder_with_one_file_is_that_file_and_with_several_lists_them(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "b0.pth")
    assert find_weights(tmp_path) == (tmp_path / "b0.pth",)
    torch.save(STATE, tmp_path / "b1.pth")
    with pytest.raises(
        CheckpointError, match=r"D51 .* has 2 files of weights(?s:.*)b0\.pth(?s:.*)backbone\.weights="
    ):
        read_weights(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="D51 no file of weights in the folder"):
        read_weights(tmp_path / "empty")


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "resnet18.pth")
    with pytest.raises(
        CheckpointError, match=r"D51 no weights file .*resnet18\.pt; did you mean 'resnet18\.pth'"
    ):
        read_weights(tmp_path / "resnet18.pt")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (LFS, r"it is a git-lfs pointer, not the file\ntry: `git lfs pull`"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "it is a web page, not the file"),
        (b'{"error": "Repository not found"}', r"it is a text file \(JSON\)"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "it is a Keras or HDF5 file"),
        (gzip.compress(b"weights", mtime=0), "it is a gzip archive"),
    ],
)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_what_is_no_file_of_weights_is_recognised(
    content: bytes, reason: str, ending: str, tmp_path: Path
) -> None:
    (tmp_path / f"w.{ending}").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"D50 cannot read the weights .*w\.{ending}: {reason}"):
        read_weights(tmp_path / f"w.{ending}")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_archives_of_other_things_are_recognised(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", kernel=np.ones(3))
    with zipfile.ZipFile(tmp_path / "download.pth", "w") as archive:
        archive.writestr("resnet18/model.pth", b"weights")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / "script.pt"))
    for name, reason in {
        "w.npz": "it is a NumPy archive",
        "script.pt": "it is a TorchScript archive, which holds code",
        "download.pth": r"it is a zip archive of other files \(resnet18/model\.pth\)",
    }.items():
        with pytest.raises(CheckpointError, match=f"D50 .*{reason}"):
            read_weights(tmp_path / name)


def test_a_whole_network_is_refused_with_its_classes_and_the_way_to_a_clean_file(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"D50 .*it contains code \(torch\.nn\.modules\.linear\.Linear"
    ) as caught:
        read_weights(tmp_path / "w.pth")
    assert "torch.load('w.pth', map_location='cpu', weights_only=False)" in caught.value.hint
    assert "save_file" in caught.value.hint


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Harmful(str(tmp_path / "harm"))))
    with pytest.raises(CheckpointError, match="D50"):
        read_weights(tmp_path / "w.pkl")
    assert not (tmp_path / "harm").exists()


class Harmful:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.target),)


def written_checkpoint(folder: Path, number: int, average: dict[str, Tensor] | None = None) -> Path:
    provenance = CheckpointProvenance(
        config={"backbone": {"arch": "resnet18"}}, normalisation=((0.5,) * 3, (0.25,) * 3)
    )
    return checkpoints.save(folder, number, STATE, average, {}, provenance)


def test_a_run_is_read_from_its_lowest_folds_newest_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "pre"
    for fold in (1, 10, 2):
        for number in (1, 2):
            written_checkpoint(run / f"fold-{fold}", number, AVERAGE)
    weight_file = read_weights(run)
    assert same(weight_file.state, AVERAGE)
    assert weight_file.path == run / "fold-1" / "0002"
    assert weight_file.notes == ("file fold-1/0002/ema.safetensors",)
    assert weight_file.architecture == "resnet18"
    for path in (run / "fold-10", run / "fold-10" / "0001"):
        assert read_weights(path).path.parent == run / "fold-10"


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = written_checkpoint(tmp_path / "fold-0", 1)
    file = path / checkpoints.MODEL
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="D51 .*sha256 mismatch"):
        read_weights(tmp_path / "fold-0")
