"""How many images a GPU predicts at a time: several training batches, as far as its memory surely holds them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn

from kit.device import memory
from kit.device.torch_internals import tree_leaves
from kit.model.predict import Merge, NetworkOnDevice, View

MAX_TRAINING_BATCHES = 4  # predicted together: without gradients a batch of training's size leaves a GPU idle
USABLE_SHARE = 0.5  # of the free memory: what kernels take for themselves is not counted
# times the inputs and outputs of the largest layer: a residual is held beside them, and one copy is made
LIVE_LAYERS = 2


def training_batches_at_once(
    readers: Sequence[tuple[NetworkOnDevice, Sequence[View], Merge]], images: Tensor, batch_size: int
) -> int:
    """How many batches of `batch_size` images these networks predict at a time; 1 on other devices than CUDA GPUs.

    Each network predicts one of the images, and the largest layer's inputs and outputs are counted.
    """
    device = readers[0][0].device
    if device.type != "cuda":
        return 1
    need = max(bytes_per_image(reader, views, merge, images[:1]) for reader, views, merge in readers)
    fitting = int(USABLE_SHARE * memory.device_memory(device).free) // max(1, need * batch_size)
    return max(1, min(MAX_TRAINING_BATCHES, fitting))


def bytes_per_image(reader: NetworkOnDevice, views: Sequence[View], merge: Merge, image: Tensor) -> int:
    """Bytes that a prediction takes for one image (1, 3, H, W), beside the weights, by the largest layer."""
    largest = 0

    def count(module: nn.Module, given: Any, output: Any) -> None:
        nonlocal largest
        tensors = [each for each in tree_leaves((given, output)) if isinstance(each, Tensor)]
        largest = max(largest, memory.storage_bytes(tensors))

    with ExitStack() as stack:
        for module in reader.network.modules():
            if not list(module.children()):
                stack.callback(module.register_forward_hook(count).remove)
        reader.predict_views(reader.precision.to_layout(image, reader.device), views, merge)
    return LIVE_LAYERS * largest
