"""Finds a weights file attached to a notebook, from which kit init fine-tunes."""

from __future__ import annotations

from pathlib import Path

from kit.core import kaggle_folders
from kit.errors import MAX_CASES, CheckpointError, ConfigError
from kit.stages.discovery.walking import walk

ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
OTHER_STATE = (
    "optimizer",
    "scheduler",
    "training_args",
    "rng_state",
)  # files that trainers write beside the weights


def find_attached_weights(data_folder: Path) -> tuple[Path | None, list[str]]:
    """Returns the only weights file of a timm network in the attached folders, and lines of kit init on the others.

    The competition's own folder and kit's outputs are skipped.
    """
    files = [
        folder / inner / name
        for folder in kaggle_folders.list_attached()
        if not data_folder.is_relative_to(folder) and not (folder / "runs").is_dir()
        for inner, names in walk(folder)
        for name in names
        if name.lower().endswith(ENDINGS) and not name.startswith(OTHER_STATE)
    ]
    if not files:
        return None, []
    if len(files) > 1:
        examples = ", ".join(map(str, files[:MAX_CASES])) + (", …" if len(files) > MAX_CASES else "")
        return None, [f"{len(files)} attached weights files: {examples}; kit init --weights FILE takes one"]
    from kit.stages.discovery.weights_file import identify  # it loads torch

    try:
        identify(files[0])
    except (CheckpointError, ConfigError) as error:
        return None, [f"attached weights not used: {error.summary}"]
    return files[0], [f"weights: {files[0]} is attached; kit init --recipe scratch trains without it"]
