"""Writes kit/stages/discovery/networks.txt: each of timm's networks with the digests of its tensors' names and shapes.

    python -m tools.list_networks

Run it after an upgrade of timm. The networks are built without memory, which takes about three minutes.
"""

from __future__ import annotations

import warnings

import torch

from kit.device.torch_internals import import_timm
from kit.stages.discovery.weights_file import NETWORKS, digest


def main() -> None:
    """Builds every network of timm, and writes one line for each."""
    timm = import_timm()
    lines = []
    for arch in timm.list_models():
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            try:
                state = timm.create_model(arch).state_dict()
            except Exception as error:  # whatever a network of timm raises without memory
                print(f"{arch}: {type(error).__name__}: {error}")
                continue
        shapes = {name: tuple(value.shape) for name, value in state.items()}
        lines.append(f"{arch} {digest(shapes)} {digest(shapes, names=False)}")
    NETWORKS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} networks")


if __name__ == "__main__":
    main()
