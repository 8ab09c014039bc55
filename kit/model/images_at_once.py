"""The memory of a network's prediction per image, by which a GPU predicts several batches at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kit.device import memory
from kit.device.torch_internals import tree_leaves

if TYPE_CHECKING:
    from kit.model.predict import Merge, NetworkOnDevice, View

# times the inputs and outputs of the largest layer, for a residual and one copy
LIVE_LAYERS = 2


def bytes_per_image(reader: NetworkOnDevice, views: Sequence[View], merge: Merge, image: Tensor) -> int:
    """Returns the bytes of a prediction for one image (1, 3, H, W), in addition to the weights, by the
    largest layer.
    """
    largest = 0

    def count(module: nn.Module, given: Any, output: Any) -> None:
        nonlocal largest
        tensors = [leaf for leaf in tree_leaves((given, output)) if isinstance(leaf, Tensor)]
        largest = max(largest, memory.storage_bytes(tensors))

    with ExitStack() as stack:
        for module in reader.network.modules():
            if not list(module.children()):
                stack.callback(module.register_forward_hook(count).remove)
        reader.predict_views(reader.precision.to_layout(image, reader.device), views, merge)
    return LIVE_LAYERS * largest
