"""Weight files: finds, identifies and reads a file of weights from any library."""

from __future__ import annotations

import argparse
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from kit.errors import CheckpointError, did_you_mean
from kit.model import checkpoints
from kit.model.checkpoints import check_tensors

ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".th", ".pkl")
# files of a folder, the most likely first
USUAL = (
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# mappings that training scripts put around the weights; averages first, because they predict better
WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "params_ema",
    "teacher",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "weights",
    "module",
    "student",
    "backbone",
    "encoder",
)
# first bytes of files without weights of torch
SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "it is a git-lfs pointer, not the file", "`git lfs pull` in its repository"),
    (b"\x89HDF", "it is a Keras or HDF5 file", "a file of torch: .safetensors, .pth, .pt or .bin"),
    (b"\x93NUMPY", "it is a NumPy array", "a file of torch: .safetensors, .pth, .pt or .bin"),
    (b"GGUF", "it is a GGUF file", "a file of torch: .safetensors, .pth, .pt or .bin"),
    (b"\x1f\x8b", "it is a gzip archive", "unpack it: gunzip or tar xzf"),
    (b"BZh", "it is a bzip2 archive", "unpack it"),
    (b"\xfd7zXZ", "it is an xz archive", "unpack it"),
    (b"7z\xbc\xaf", "it is a 7-Zip archive", "unpack it"),
    (b"Rar!", "it is a RAR archive", "unpack it"),
)


@dataclass(frozen=True)
class WeightFile:
    """Weights that were read, with their source."""

    path: Path  # the file, or the folder of a run's checkpoint
    state: dict[str, Any]
    notes: tuple[str, ...] = ()  # choices that were made: a file of a folder, a mapping of a checkpoint
    wrappers: tuple[str, ...] = ()  # the keys around the weights, outermost first
    architecture: str = ""  # timm's name of the network, if the file records it
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # recorded mean and deviation


def find_weights(path: Path) -> tuple[Path, ...]:
    """Returns the files of weights for a path: itself, the file of a folder, or the shards of one.

    A folder may be a run, a fold or a checkpoint of kit, one of Hugging Face with config.json, one of the hub's cache
    (`models--OWNER--NAME`), or any with a single file of weights.
    Raises CheckpointError D51 for a missing path, or a folder without a file or with several.
    """
    path = path.expanduser()
    if path.is_file():
        return (path,)
    if not path.is_dir():
        there = [candidate.name for candidate in _candidates(path.parent)] if path.parent.is_dir() else []
        raise CheckpointError(f"no weights file {path}{did_you_mean(path.name, there)}", code="D51")
    if checkpoint := _checkpoint(path):
        files = checkpoints.manifest_of(checkpoint)["files"]
        return (checkpoint / (checkpoints.EMA if checkpoints.EMA in files else checkpoints.MODEL),)
    folder = _snapshot(path)
    for index in INDEXES:
        if (folder / index).is_file():
            return _shards(folder / index)
    for name in USUAL:
        if (folder / name).is_file():
            return (folder / name,)
    candidates = _candidates(folder)
    if len(candidates) == 1:
        return (candidates[0],)
    if candidates:
        raise CheckpointError(
            f"{path} has {len(candidates)} files of weights",
            code="D51",
            cases=[candidate.name for candidate in candidates],
            hint=f"one of them: backbone.weights={candidates[0]}",
        )
    raise CheckpointError(
        f"no file of weights in the folder {path}", code="D51", hint=f"files that end in {', '.join(ENDINGS)}"
    )


def read_weights(path: Path) -> WeightFile:
    """Returns the weights of a file or folder by name, without the mappings that training scripts put around them.

    Raises CheckpointError: D51 for a missing file or a damaged checkpoint, D50 for an unsafe or unreadable file.
    """
    files = find_weights(path)
    notes = [] if files[0] == path.expanduser() else [f"file {_relative_name(files[0], path)}"]
    if (files[0].parent / checkpoints.MANIFEST).is_file():
        return _of_checkpoint(files[0].parent, tuple(notes))
    state: dict[str, Any] = {}
    wrappers: tuple[str, ...] = ()
    for file in files:
        part, wrappers = _unwrap(_content(file))
        state |= part
    notes += [f"below {'.'.join(wrappers)}"] if wrappers else []
    weight_file = WeightFile(files[0], state, tuple(notes), wrappers)
    return _with_config(weight_file)


def common_start(names: Iterable[str]) -> int:
    """Returns the length of the common prefix of all names, up to a dot: `module.model.`."""
    first, *others = [*names] or [""]
    parts = first.split(".")[:-1]
    while parts and not all(name.startswith(".".join(parts) + ".") for name in others):
        parts.pop()
    return len(".".join(parts)) + 1 if parts else 0


def _checkpoint(path: Path) -> Path | None:
    """Returns the newest checkpoint of a run's lowest fold, of a fold, or the checkpoint itself.

    It is None for another folder.
    """
    numbered = [fold for fold in path.glob("fold-*") if fold.name.removeprefix("fold-").isdecimal()]
    folds = sorted(numbered, key=lambda fold: int(fold.name.removeprefix("fold-"))) or [path]
    newest_of_folds = [newest for fold in folds if (newest := checkpoints.newest(fold)) is not None]
    return next(
        (folder for folder in (*newest_of_folds, path) if (folder / checkpoints.MANIFEST).is_file()), None
    )


def _of_checkpoint(checkpoint: Path, notes: tuple[str, ...]) -> WeightFile:
    """Returns the weights that predict of one of kit's own checkpoints, after comparing their sha256."""
    weights = checkpoints.load(checkpoint)
    backbone = weights.provenance.require_config().get("backbone") or {}
    architecture = str(backbone.get("arch", "")) if isinstance(backbone, Mapping) else ""
    mean, deviation = weights.provenance.require_normalisation()
    return WeightFile(
        checkpoint, dict(weights.prediction_weights), notes, (), architecture, (mean, deviation)
    )


def _snapshot(folder: Path) -> Path:
    """Returns the current version in a folder of the hub's cache, or the folder itself."""
    if not (folder / "snapshots").is_dir():
        return folder
    with suppress(OSError):
        current = folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
        if current.is_dir():
            return current
    versions = sorted(version for version in (folder / "snapshots").iterdir() if version.is_dir())
    return versions[-1] if versions else folder


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        shards = tuple(index.parent / Path(str(name)).name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{index} lists no files of weights", code="D51") from None
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing or not shards:
        raise CheckpointError(
            f"{len(missing)} of {len(shards)} files are missing in {index.parent}", code="D51", cases=missing
        )
    return shards


def _candidates(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())


def _relative_name(file: Path, path: Path) -> str:
    with suppress(ValueError):
        return file.relative_to(path.expanduser()).as_posix()
    return str(file)


def _with_config(weight_file: WeightFile) -> WeightFile:
    """Returns the network and its normalisation, as timm records them in config.json or in a .safetensors
    file's metadata.
    """
    configs: list[Any] = []
    with suppress(OSError, ValueError):
        configs.append(json.loads((weight_file.path.parent / "config.json").read_text(encoding="utf-8")))
    with suppress(Exception), safetensors.safe_open(weight_file.path, "pt") as file:
        configs += [json.loads(value) for value in (file.metadata() or {}).values() if value.startswith("{")]
        configs.append(file.metadata() or {})
    for config in configs:
        if isinstance(config, Mapping) and (architecture := config.get("architecture")):
            inner = config.get("pretrained_cfg")
            cfg: Mapping[str, Any] = inner if isinstance(inner, Mapping) else config
            mean, deviation = cfg.get("mean"), cfg.get("std")
            normalisation = (tuple(mean), tuple(deviation)) if mean and deviation else None
            return replace(weight_file, architecture=str(architecture), normalisation=normalisation)
    return weight_file


# ------------------------------------------------------------------------------------- one file


def _content(file: Path) -> Any:
    """Returns the content of a file with any ending. Raises CheckpointError D50 for one without readable tensors."""
    reason, hint = _foreign(file)
    if reason:
        raise CheckpointError(f"cannot read the weights {file}: {reason}", code="D50", hint=hint)
    is_safetensors = _is_safetensors(file)
    try:
        check_tensors(file, is_safetensors=is_safetensors)
        if is_safetensors:
            return safetensors.torch.load_file(file)
        with torch.serialization.safe_globals(
            [argparse.Namespace]
        ):  # timm's own checkpoints hold their options
            return torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError as error:
        raise CheckpointError(
            f"cannot read the weights {file}: {error.summary}", code="D50", hint=error.hint
        ) from error
    except Exception as error:  # any error of torch and safetensors for unreadable files
        text = str(error)
        if "weights_only" in text or "Unsupported" in text:
            raise _unsafe(file, text) from None
        detail = text.splitlines()[0] if text else type(error).__name__
        raise CheckpointError(
            f"cannot read the weights {file}: {detail}",
            code="D50",
            hint="download it again, and compare its size or sha256 with the source",
        ) from error


def _foreign(file: Path) -> tuple[str, str]:
    """Returns why a file has no weights of torch, and a fix; empty for one that may have some."""
    with file.open("rb") as stream:
        head = stream.read(1024)
    again = "download it again"
    if not head:
        return "it is empty", again
    for sign, reason, hint in SIGNS:
        if head.startswith(sign):
            return reason, hint
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<script")):
        return "it is a web page, not the file", f"{again}: the address needs a login or is that of a page"
    if text.startswith((b"{", b"[")) and b"\0" not in head:
        return "it is a text file (JSON)", again
    if head[257:262] == b"ustar" and not _has_torch_records(file):
        return "it is a tar archive", "unpack it: tar xf"
    if zipfile.is_zipfile(file):
        return _foreign_archive(file)
    if file.suffix.lower() == ".onnx":
        return "it is an ONNX graph", "a file of torch: .safetensors, .pth, .pt or .bin"
    return "", ""


def _has_torch_records(file: Path) -> bool:
    """Whether a tar archive was written by torch before version 0.4."""
    with file.open("rb") as stream:
        return stream.read(100).rstrip(b"\0") in (b"sys_info", b"pickle", b"storages", b"tensors")


def _foreign_archive(file: Path) -> tuple[str, str]:
    with suppress(zipfile.BadZipFile, OSError, ValueError), zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any(Path(name).stem == "data" and Path(name).suffix == ".pkl" for name in names):
            if any("/code/" in name for name in names):
                return "it is a TorchScript archive, which holds code", "the weights that it was made from"
            return "", ""
        if names and all(name.endswith(".npy") for name in names):
            return "it is a NumPy archive (.npz)", "timm's own file of the network: .safetensors"
        listed = ", ".join(names[:3])
        return f"it is a zip archive of other files ({listed})", "unpack it"
    return "", ""


def _is_safetensors(file: Path) -> bool:
    with file.open("rb") as stream:
        size, brace = stream.read(8), stream.read(1)
    return file.suffix.lower() == ".safetensors" or (brace == b"{" and int.from_bytes(size, "little") < 2**32)


def _unsafe(file: Path, text: str) -> CheckpointError:
    """Returns the error for a pickle that contains more than tensors and plain values."""
    names = list(dict.fromkeys(re.findall(r"GLOBAL ([\w.]+)", text)))
    with suppress(Exception):  # it only reads archives
        names = list(torch.serialization.get_unsafe_globals_in_checkpoint(str(file))) or names
    holds = f" ({', '.join(names[:3])})" if names else ""
    name = file.name
    return CheckpointError(
        f"cannot read the weights {file}: it contains code{holds}, and kit reads only tensors and plain values",
        code="D50",
        hint="\n".join(
            (
                "if you trust the file, write its weights to a clean one with Python:",
                "  import torch; from safetensors.torch import save_file",
                f"  state = torch.load({name!r}, map_location='cpu', weights_only=False)  # this runs the file's code",
                f"  save_file({{k: v.contiguous() for k, v in WEIGHTS.items()}}, {file.stem + '.safetensors'!r})",
                "WEIGHTS is state['state_dict'], state['model'], or state.state_dict() for a whole network",
            )
        ),
    )


def _unwrap(content: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the innermost mapping of names to tensors, and the keys that lead to it."""
    wrappers: tuple[str, ...] = ()
    while isinstance(content, Mapping):
        inner = {
            key: count
            for key, value in content.items()
            if isinstance(key, str) and isinstance(value, Mapping) and (count := _tensors_below(value))
        }
        own = sum(torch.is_tensor(value) for value in content.values())
        if own and own >= max(inner.values(), default=0):
            break
        preferred = next(
            (key for key in WRAPPERS if key in content and isinstance(content[key], Mapping)), None
        )
        if not inner and preferred is None:
            break
        key = preferred if preferred in inner or not inner else max(inner, key=lambda name: inner[name])
        assert key is not None
        wrappers, content = (*wrappers, key), content[key]
    if not isinstance(content, Mapping):
        return {}, wrappers
    return {str(key): value for key, value in content.items()}, wrappers


def _tensors_below(content: Mapping[Any, Any]) -> int:
    """Returns the number of tensors in a mapping by name, at any depth. An optimizer's state has numbers for names."""
    return sum(1 for _ in _iterate_tensors(content))


def _iterate_tensors(content: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(key, str) and torch.is_tensor(value):
            yield key
        elif isinstance(key, str) and isinstance(value, Mapping):
            yield from _iterate_tensors(value)
