"""timm's published weights, from the hub's local cache or over the network if it answers at once."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from kit.errors import RunError
from kit.model.weight_files import WeightFile, read_weights

TIMEOUT_S = 3.0  # for the hub's host to answer; looking up an unknown name may take a minute
FILES = ("model.safetensors", "pytorch_model.bin")


def fetch(timm: Any, arch: str, options: Mapping[str, Any]) -> WeightFile:
    """Returns the weights that timm publishes for a network, as its own network has them, including the head.

    Raises RunError R19 if they do not exist, or if they are neither in the hub's cache nor reachable.
    """
    config = timm.get_pretrained_cfg(arch, allow_unregistered=True)
    source = (config.hf_hub_id or config.url or config.file) if config else None
    if not source:
        raise RunError(
            f"timm publishes no weights of {arch!r}",
            code="R19",
            hint="backbone.weights=FILE, or backbone.pretrained=false to train from scratch",
        )
    repository = config.hf_hub_id or ""
    host = _host(repository, config.url or "")
    if not config.file and not _answers(*host):
        if cached := _find_in_cache(repository):
            return read_weights(cached)
        raise _unreachable(arch, f"{host[0]} does not answer", repository, config.url or "")
    try:
        with torch.random.fork_rng(devices=[]):
            model = timm.create_model(arch, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        raise _unreachable(arch, str(error).splitlines()[0], repository, config.url or "") from error
    return WeightFile(Path(f"timm/{arch}"), dict(model.state_dict()))


def _host(repository: str, url: str) -> tuple[str, int]:
    """Returns the host that is contacted first, a proxy if one is set, and its port."""
    from huggingface_hub import constants

    target = urlsplit(constants.ENDPOINT if repository else url)
    proxy = urllib.request.getproxies().get(target.scheme)
    if proxy and not urllib.request.proxy_bypass(target.hostname or ""):
        target = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return target.hostname or "", target.port or (80 if target.scheme == "http" else 443)


def _answers(host: str, port: int) -> bool:
    """Whether a host accepts a connection. It runs in a thread, because a name lookup ignores timeouts."""
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), TIMEOUT_S).close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return answered.is_set()


def _find_in_cache(repository: str) -> Path | None:
    """Returns a repository's file in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    for name in FILES if repository else ():
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _unreachable(arch: str, reason: str, repository: str, url: str) -> RunError:
    address = f"https://huggingface.co/{repository}/resolve/main/{FILES[0]}" if repository else url
    folder = (
        f"the hub's cache folder models--{repository.replace('/', '--')}"
        if repository
        else "a copy of the file"
    )
    return RunError(
        f"cannot fetch the weights of {arch!r}: {reason}",
        code="R19",
        hint="\n".join(
            (
                "get the file where there is a network, and name it:",
                f"  backbone.weights=FILE, downloaded from {address}",
                f"  backbone.weights=FOLDER, {folder}",
                "  backbone.weights=/kaggle/input/NAME/FILE, on Kaggle, from a data set or model with the file",
                "or backbone.pretrained=false to train from scratch",
            )
        ),
    )
