"""The recipes of kit init: from scratch, and from pretrained weights, and the choice between them."""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kit.config.models import Data
from kit.config.parsing import validate_config
from kit.errors import ConfigError, DataError, did_you_mean
from kit.images.containers import measure
from kit.stages.discovery.finetuning import FINETUNE, Start, choose_arch, tune
from kit.stages.discovery.gpu_batch import propose_batch

TIMEOUT = 3.0  # seconds to wait for an answer about weights

# docs/defaults.md has the source of each value, and a test compares the two
SCRATCH: dict[str, Any] = {
    "backbone": {"name": "timm", "arch": "resnet10t", "pretrained": False},
    "augmenter": {"name": "heavy"},
    "loss": {"name": "cutmix", "probability": 0.5, "base": {"name": "label_smoothing", "smoothing": 0.1}},
    "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.05},
    "scheduler": {"name": "cosine", "warmup": 0.1},
    "ema_decay": 0.998,
    "epochs": 42,
}
BCE = {"name": "bce"}
RECIPES = {"scratch": SCRATCH, "finetune": FINETUNE}


def choose(name: str) -> tuple[str, str]:
    """Returns the recipe's name and the reason for it. `auto` fine-tunes if weights are available."""
    if name in RECIPES:
        return name, "as asked for"
    if name != "auto":
        raise ConfigError(
            f"no recipe {name!r}{did_you_mean(name, RECIPES)}", code="C05", hint="auto, scratch, finetune"
        )
    there, why = weights_available(choose_arch()[0])
    return ("finetune" if there else "scratch"), why


def weights_available(arch: str) -> tuple[bool, str]:
    """Returns whether timm's weights of a network are in the local cache or can be fetched, and the reason."""
    from huggingface_hub import constants, try_to_load_from_cache

    repository = f"timm/{arch}"
    if isinstance(try_to_load_from_cache(repository, "model.safetensors"), str):
        return True, f"the weights of {arch} are in the local cache"
    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE", "0").lower() in (
        "1",
        "true",
        "yes",
        "on",
    ):
        return False, f"the weights of {arch} are not in the local cache, and the environment says offline"
    return _ask_hub(repository, arch)


def _ask_hub(repository: str, arch: str) -> tuple[bool, str]:
    """Asks the hub once, in a thread, because a name lookup ignores timeouts."""
    answer: list[str] = []

    def ask() -> None:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        try:
            get_hf_file_metadata(hf_hub_url(repository, "model.safetensors"), timeout=TIMEOUT)
            answer.append("")
        except Exception as error:  # any error means that the weights are not available
            answer.append(type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if answer == [""]:
        return True, f"the hub has the weights of {arch}"
    reason = answer[0] if answer else f"no answer in {TIMEOUT:g} s"
    return False, f"the weights of {arch} are not in the local cache, and the hub gave none ({reason})"


def image_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Returns width and height, in pixels, of the readable images. Only their headers are read."""
    sizes = []
    for path in paths:
        with suppress(DataError):  # reading the images reports their errors
            width, height, _format = measure(path)
            sizes.append((width, height))
    return sizes


def config(
    recipe: str,
    data: dict[str, Any],
    sides: Sequence[int] = (),
    metric: dict[str, Any] | None = None,
    start: Start | None = None,
    rows: int | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Returns the keys of config.json that were found or that a recipe chose, and the reasons for its choices.

    The recipe depends on the `data` section, the short sides of some images, the metric, the start of
    fine-tuning and the number of labelled rows.
    """
    side = statistics.median(sides) if sides else None
    if recipe == "finetune":
        chosen, reasons = tune(start or _usual_start(), side, rows)
    else:
        chosen, reasons = {**SCRATCH, "image_size": _image_size(256 if side is None else side)}, []
    batch, why = propose_batch(chosen["optimizer"], rows)
    chosen, reasons = {**chosen, **batch}, [*reasons, *why]
    splitter = "stratified_group_kfold" if data.get("group") else "stratified_kfold"
    made_of = Data.model_validate(data)
    if made_of.is_multi_label:
        chosen["loss"] = {**chosen["loss"], "base": BCE} if "base" in chosen["loss"] else BCE
        splitter = "multilabel_stratified_kfold"
    target = made_of.target
    if target == "numbers":
        chosen["loss"] = {"name": "mse"}
    elif target == "shares":
        chosen["loss"] = {"name": "cross_entropy"}
    elif target == "several":
        chosen["loss"] = {"name": "several"}
        splitter = "multilabel_stratified_kfold"
    chosen["splitter"] = {"name": splitter, "folds": 5}
    content = {"data": data, **({"metric": metric} if metric else {}), **chosen}
    validate_config(content)
    return content, reasons


def _usual_start() -> Start:
    arch, device = choose_arch()
    return Start(arch, f"for a {'GPU' if device == 'cuda' else 'CPU'}")


def _image_size(side: float) -> int:
    """Returns the network's input from scratch, for images of this short side."""
    if side <= 64:
        return 64
    return 128 if side <= 200 else 224
