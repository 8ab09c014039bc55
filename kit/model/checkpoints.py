"""Checkpoints: numbered folders of safetensors, training state and a manifest; the newest valid one wins.

    fold-0/0012/model.safetensors    the weights
    fold-0/0012/ema.safetensors      their average, which predicts; absent if ema_decay is 0
    fold-0/0012/state.pt             the optimizer and the counters, read with weights_only
    fold-0/0012/manifest.json        schema, sha256 and size of each file, and the provenance of the weights
    fold-0/0012-000345/              the same, 345 steps into the thirteenth epoch; removed after that epoch

A folder without a valid manifest is ignored. Nothing that is read here can execute. Files of tensors are
checked before they are read, so that none can fill the memory.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from kit.core.files import CheckedDict, atomic_folder, read_json, remove_folder, sha256, sync, write_json
from kit.data.column_encoder import ColumnEncoder
from kit.errors import CheckpointError, KitError, KitWarning
from kit.kinds.target_json import read_target, target_of
from kit.kinds.targets import ONE_CLASS, Target

if TYPE_CHECKING:
    from kit.kinds.levels import Level

SCHEMA = 1
MANIFEST, MODEL, EMA, STATE = "manifest.json", "model.safetensors", "ema.safetensors", "state.pt"
CHECKPOINTS_PER_FOLD = 2  # if the newest one is damaged, its predecessor remains


def _lacks(key: str) -> KitError:
    return CheckpointError(f"a checkpoint has no key {key!r}", code="D51")


@dataclass(frozen=True)
class CheckpointProvenance:
    """The data that a checkpoint was trained on, and how its network is built.

    An empty field is a key that it lacks.
    """

    run: str = ""
    fold: int | None = None
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    class_groups: tuple[str, ...] = ()
    class_factors: tuple[tuple[str, ...], ...] = ()
    class_levels: tuple[Level, ...] = ()
    total: int = 0  # training rows
    target: Target = ONE_CLASS
    means: tuple[float, ...] = ()  # of numbers: of each column of the rows that it was trained on
    scales: tuple[float, ...] = ()  # their standard deviations
    target_range: tuple[float, float] | None = None
    config: Mapping[str, Any] | None = None  # resolved
    asked: Mapping[str, Any] | None = None  # with "auto" if it was requested
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean and deviation
    columns: tuple[Mapping[str, Any], ...] = ()  # the encoder of the side columns
    folds: str = ""  # fingerprint
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    soup: tuple[str, ...] = ()  # the runs that were averaged
    other: Mapping[str, Any] = field(default_factory=dict)  # keys of another version of kit
    lacks: Callable[[str], KitError] = field(default=_lacks, compare=False, repr=False)  # a key's error

    @classmethod
    def from_json(cls, record: Mapping[str, Any], lacks: Callable[[str], KitError]) -> Self:
        """Reads a manifest's values. `lacks` makes the error for a key that is missing or has another form."""
        rest, values = dict(record), dict[str, Any]()
        if "multi_label" in rest:  # of an older version
            values["target"] = read_target({"multi_label": rest.pop("multi_label")})
        for attribute in fields(cls):
            value = rest.pop(attribute.name, None) if attribute.name not in ("other", "lacks") else None
            if value is None:
                continue
            try:
                values[attribute.name] = _as_field(attribute.name, value)
            except (TypeError, ValueError):
                raise lacks(attribute.name) from None
        if values.get("config") is not None:
            values["config"] = CheckedDict(values["config"], lacks)
        return cls(**values, other=rest, lacks=lacks)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values by key, without unknown ones."""
        values = {attribute.name: getattr(self, attribute.name) for attribute in fields(self)}
        values["target"] = self.target.to_json()
        values["class_levels"] = [[level.name, list(level.parents)] for level in self.class_levels]
        optional = (
            "run",
            "folds",
            "versions",
            "machine",
            "soup",
            "means",
            "scales",
            "columns",
            "class_levels",
        )
        return {
            **{
                key: value
                for key, value in values.items()
                if key not in ("other", "lacks") and value is not None and (value or key not in optional)
            },
            **self.other,
        }

    def encoder(self) -> ColumnEncoder | None:
        """Returns the encoder of its network's side columns; None if it takes none.

        Raises the error for a damaged one.
        """
        if self.require_config().get("columns") is None:
            return None
        try:
            return ColumnEncoder.from_json(self.columns)
        except (KeyError, TypeError, ValueError):
            raise self.lacks("columns") from None

    def require_config(self) -> Mapping[str, Any]:
        """Returns the resolved config. Raises the error if the checkpoint lacks it."""
        if self.config is None:
            raise self.lacks("config")
        return self.config

    def require_fold(self) -> int:
        """Returns the fold that it was trained for. Raises the error if the checkpoint lacks it."""
        if self.fold is None:
            raise self.lacks("fold")
        return self.fold

    def require_normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns mean and deviation of its images. Raises the error if the checkpoint lacks them."""
        if self.normalisation is None:
            raise self.lacks("normalisation")
        return self.normalisation


def _as_field(name: str, value: Any) -> Any:
    """Returns a manifest's value in the field's type. Raises TypeError or ValueError for one of another form."""
    if name in ("classes", "class_counts", "class_groups", "means", "scales", "soup"):
        return tuple(value)
    if name == "columns":
        return tuple(map(dict, value))
    if name == "class_levels":
        from kit.kinds.levels import Level

        return tuple(Level(str(level), tuple(parents)) for level, parents in value)
    if name in ("class_factors", "normalisation"):
        return tuple(map(tuple, value))
    if name == "asked":
        return dict(value) if isinstance(value, Mapping) else None
    if name in ("config", "versions", "machine"):
        return dict(value)
    if name in ("fold", "total"):
        return int(value)
    if name == "target_range":
        return float(value[0]), float(value[1])
    if name == "target":
        return target_of(value)
    return value


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read, with the provenance given to `save`."""

    path: Path
    number: int
    weights: dict[str, Tensor]
    average: dict[str, Tensor] | None
    provenance: CheckpointProvenance

    @property
    def prediction_weights(self) -> dict[str, Tensor]:
        """The weights that predict."""
        return self.weights if self.average is None else self.average

    def state(self) -> dict[str, Any]:
        """Returns the training state.

        Raises CheckpointError D50 for a file that contains code, D51 for a damaged one.
        """
        return read_state(self.path / STATE)


def tag(path: Path) -> str:
    """Returns a checkpoint's number and 12 hex digits of the weights that predict: `0012:5f3c…`."""
    files = read_json(path / MANIFEST)["files"]
    return f"{path.name}:{files.get(EMA, files[MODEL])['sha256'][:12]}"


def weight(path: Path) -> int:
    """Returns the bytes of the weights that predict. Raises CheckpointError as `manifest_of` does."""
    files = manifest_of(path)["files"]
    return int(files.get(EMA, files.get(MODEL, {})).get("bytes", 0))


def checkpoint_numbers(folder: Path) -> list[int]:
    """Returns the numbers of a fold's checkpoints, ascending, whether valid or not. Other names are ignored."""
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    written = [name for name in names if name.isascii() and name.isdecimal()]
    return sorted(int(name) for name in written if place(folder, int(name)).name == name)


def place(folder: Path, number: int, step: int = 0) -> Path:
    """Returns the path of a fold's checkpoint after this many epochs, and this many steps of the next."""
    return folder / (f"{number:04d}-{step:06d}" if step else f"{number:04d}")


def within(folder: Path) -> list[tuple[int, int]]:
    """Returns epochs and steps of a fold's checkpoints within an epoch, ascending, whether valid or not."""
    names = [path.name.partition("-") for path in folder.glob("*-*")] if folder.is_dir() else []
    marks = [(int(a), int(b)) for a, _, b in names if f"{a}{b}".isascii() and a.isdecimal() and b.isdecimal()]
    return sorted(mark for mark in marks if mark[1] and place(folder, *mark).is_dir())


def save(
    folder: Path,
    number: int,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    provenance: CheckpointProvenance,
    step: int = 0,
) -> Path:
    """Writes a checkpoint, its manifest last, and removes all but the newest two, and older ones within an epoch."""
    path = place(folder, number, step)
    if path.exists():
        remove_folder(path)  # an invalid one, or it would not be written again
    with atomic_folder(path, size(weights) + size(average or {}) + size(state)) as part:
        _save_tensors(part / MODEL, weights)
        if average is not None:
            _save_tensors(part / EMA, average)
        with (part / STATE).open("wb") as file:  # given a path, torch does not report a full disk
            torch.save(dict(state), file)
        files = {file.name: {"sha256": sha256(file), "bytes": file.stat().st_size} for file in part.iterdir()}
        for name in files:
            sync(part / name)
        write_json(
            part / MANIFEST,
            {"schema": SCHEMA, "number": number, "step": step, "files": files, "about": provenance.to_json()},
        )
    remove_old(folder, number, step)
    return path


def remove_old(folder: Path, number: int, step: int = 0) -> None:
    """Removes checkpoints that a complete one makes obsolete: all except its predecessor, and older ones
    within an epoch.
    """
    for old in [older for older in checkpoint_numbers(folder) if older <= number][:-CHECKPOINTS_PER_FOLD]:
        remove_folder(place(folder, old))
    for mark in within(folder):
        if mark < (number, step):
            remove_folder(place(folder, *mark))


def _save_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    plain = {name: _alone(tensor.detach().cpu().contiguous()) for name, tensor in tensors.items()}
    try:
        safetensors.torch.save_file(plain, file)
    except safetensors.SafetensorError as error:
        match = re.search(r"os error (\d+)", str(error))
        raise OSError(int(match[1]), str(error), str(file)) if match else error from error


def _alone(tensor: Tensor) -> Tensor:
    """Returns the tensor if its memory is not shared, which safetensors refuses, else a copy."""
    return tensor if tensor.untyped_storage().nbytes() == size(tensor) else tensor.clone()


def size(values: Any) -> int:
    """Returns the bytes of the tensors in nested mappings and lists."""
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    inner = (
        values.values() if isinstance(values, Mapping) else values if isinstance(values, list | tuple) else ()
    )
    return sum(size(value) for value in inner)


def manifest_of(path: Path) -> dict[str, Any]:
    """Returns a checkpoint's manifest without checking its files.

    Raises CheckpointError D51 for a damaged one, D52 for one of a newer kit.
    """
    try:
        manifest = dict(read_json(path / MANIFEST))
        schema, number, step = int(manifest["schema"]), int(manifest["number"]), int(manifest.get("step", 0))
        manifest["files"] = {str(name): dict(entry) for name, entry in manifest["files"].items()}
        manifest["about"] = dict(manifest["about"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{path} has no valid manifest", code="D51", hint=_previous(path)) from error
    if schema > SCHEMA:
        raise CheckpointError(
            f"{path} has schema {schema}, and this version of kit reads up to {SCHEMA}", code="D52"
        )
    if place(path.parent, number, step) != path:
        raise CheckpointError(
            f"{path} is checkpoint {number} with a different name", code="D51", hint=_previous(path)
        )
    return manifest


def provenance_of(path: Path) -> CheckpointProvenance:
    """Returns a checkpoint's provenance without checking its files. Raises CheckpointError as `manifest_of` does."""
    return CheckpointProvenance.from_json(manifest_of(path)["about"], partial(_says_nothing, path))


def _says_nothing(path: Path, key: str) -> CheckpointError:
    return CheckpointError(f"{path / MANIFEST} has no key {key!r}", code="D51", hint=_previous(path))


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Returns a checkpoint's manifest after comparing its files with it. A bundle's has no training state.

    Raises CheckpointError D51 and D52.
    """
    manifest = manifest_of(path)
    files = manifest["files"]
    needed = [MODEL] if manifest.get("predicts_only") else [MODEL, STATE]
    for name, wanted in {**{name: {} for name in needed}, **files}.items():
        file = path / Path(name).name
        if not file.is_file() or file.stat().st_size != wanted.get("bytes"):
            raise CheckpointError(f"{file} is missing or truncated", code="D51", hint=_previous(path))
        if sha256(file) != wanted.get("sha256"):
            raise CheckpointError(
                f"{file}: sha256 mismatch, so the file is damaged", code="D51", hint=_previous(path)
            )
    return manifest


def _previous(path: Path) -> str:
    older = [
        number for number in checkpoint_numbers(path.parent) if place(path.parent, number).name < path.name
    ]
    if older:
        return f"use the previous checkpoint, {place(path.parent, older[-1])}"
    return f"remove {path.parent}, and kit train trains the fold again"


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint. Raises CheckpointError for one that is damaged or of a newer kit."""
    manifest = check_checkpoint(path)
    average = path / EMA if EMA in manifest["files"] else None
    return Checkpoint(
        path,
        int(manifest["number"]),
        read_safetensors(path / MODEL),
        read_safetensors(average) if average else None,
        CheckpointProvenance.from_json(manifest["about"], partial(_says_nothing, path)),
    )


def newest(folder: Path) -> Path | None:
    """Returns the folder of a fold's newest checkpoint, whether valid or not."""
    marks = _marks(folder)
    return place(folder, *marks[0]) if marks else None


def _marks(folder: Path) -> list[tuple[int, int]]:
    """Returns epochs and steps of all checkpoints, the newest first."""
    return sorted([*((number, 0) for number in checkpoint_numbers(folder)), *within(folder)], reverse=True)


def latest(folder: Path) -> Checkpoint | None:
    """Returns a fold's newest valid checkpoint. A damaged newer one is skipped with a warning."""
    for mark in _marks(folder):
        try:
            return load(place(folder, *mark))
        except CheckpointError as error:
            if error.code == "D52":
                raise
            warnings.warn(KitWarning(f"{error.code} {error.summary}; skipped"), stacklevel=2)
    return None


HEADER = 16 * 2**20  # maximum bytes of a safetensors header; a network of 10,000 tensors needs one


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """Returns the tensors by name.

    Raises CheckpointError D51 if the file is not safetensors, or its header is wrong.
    """
    check_tensors(file)
    try:
        return dict(safetensors.torch.load_file(file))
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is not a safetensors file: {error}", code="D51") from None


def read_state(file: Path) -> dict[str, Any]:
    """Returns plain values and tensors that torch wrote.

    Raises CheckpointError D50 for a file that contains code, D51 for one that is damaged.
    """
    check_tensors(file)
    if not zipfile.is_zipfile(file):
        raise CheckpointError(f"{file} refused: not a torch archive, and it may contain code", code="D50")
    try:
        return dict(torch.load(file, weights_only=True, map_location="cpu"))
    except Exception as error:  # any error of torch's parser
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise CheckpointError(f"{file} refused: contains code", code="D50") from None
        raise CheckpointError(f"{file} is damaged: {_first(error)}", code="D51") from None


def check_tensors(file: Path, is_safetensors: bool | None = None) -> None:
    """Checks the claims of a file of tensors of either kind. By default the name shows the kind.

    Raises CheckpointError D50 for a compressed archive, which torch never writes and which may be a bomb; D51
    for a header longer than its file.
    """
    with file.open("rb") as stream:
        claimed = int.from_bytes(stream.read(8), "little")
    size = file.stat().st_size
    if file.suffix == ".safetensors" if is_safetensors is None else is_safetensors:
        if claimed > min(HEADER, size - 8):
            raise CheckpointError(f"{file}: the header says {claimed} bytes, the file has {size}", code="D51")
    elif zipfile.is_zipfile(file):
        _check_archive(file, size)


def _check_archive(file: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{file} is damaged: {error}", code="D51") from None
    if (
        any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        or sum(entry.file_size for entry in entries) > size
    ):
        raise CheckpointError(
            f"{file} refused: compressed, or with a false size in its header",
            code="D50",
            hint="torch.save never compresses",
        )


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
