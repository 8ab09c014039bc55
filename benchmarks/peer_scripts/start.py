"""Runs a peer's script if torchvision's binary does not fit torch, as kit/device/torch_internals.py does.

python start.py train.py [OPTIONS]
"""

from __future__ import annotations

import runpy
import sys


def prepare() -> list[object]:
    """Declares torchvision's operators where its import fails for lack of them; they live as long as the result."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return [library]
    return []


if __name__ == "__main__":
    kept = prepare()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
