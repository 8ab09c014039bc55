"""Makes torchvision load beside a torch that its compiled operators were not built for.

timm needs torchvision's Python code alone. Where its binary does not fit the installed torch (a CPU build beside
a CUDA one), the import fails with "operator torchvision::nms does not exist"; declaring the operators lets it load.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

MISSING = "operator torchvision::"
_declared: list[Any] = []  # torch drops the declarations when the library object is collected


def prepare() -> None:
    """Imports torchvision, declaring its missing operators only where the import fails for their lack."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if MISSING not in str(error):
            raise
        _declare()
        importlib.import_module("torchvision")


def import_timm() -> Any:
    """The library timm, imported even if torchvision was built for another torch."""
    prepare()
    import timm

    return timm


def _declare() -> None:
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
