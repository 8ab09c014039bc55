"""The keys of config.json as keywords, for type checkers and for completion in an editor and by Tab."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar

Spec = str | Mapping[str, Any]  # a plugin's name, or its name and options
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Method = TypeVar("Method", bound=Callable[..., Any])


class CommonKeys(TypedDict, total=False):
    """The keys of config.json that are not an option of any method; `kit config schema` describes each."""

    data: Mapping[str, Any]
    metric: Spec
    decision: Mapping[str, Any]
    adapter: Spec | None
    aggregator: Spec
    ensembler: Spec
    format: Spec | None
    public_share: float | None
    kaggle: str | None
    split_seed: int
    splitter: Spec
    sampler: Spec
    augmenter: Spec
    backbone: Spec
    pooling: Spec
    instances: Spec | None
    columns: Spec | None
    head: Spec | None
    loss: Spec
    optimizer: Spec
    scheduler: Spec
    image_size: int
    channels: int
    normalisation: Literal["auto", "backbone", "measured"] | Mapping[str, Any]
    cache_size: int | None
    cache_folder: str
    resize: Literal["short_side", "squash", "pad"]
    center_crop: float
    epochs: int
    stages: Sequence[Mapping[str, Any]]
    init_from: str | None
    pseudo_labels: str | None
    micro_batch_size: int | None
    gradient_checkpointing: bool
    clip_grad_norm: float | None
    sync_batch_norm: bool
    layer_decay: float
    lr_scales: Mapping[str, float]
    ema_decay: float
    swa_start: float | None
    precision: Dtype
    predict_precision: Dtype
    memory_format: Literal["auto", "contiguous", "channels_last"]
    validate_every: int
    save_every: int
    save_every_steps: int | None
    save_every_minutes: float | None
    tracker: Spec | Sequence[Spec] | None


class SeedKey(TypedDict, total=False):
    """The seed of a run."""

    seed: int


class DeviceKey(TypedDict, total=False):
    """The device of a call."""

    device: str


class ExecutorKey(TypedDict, total=False):
    """Where jobs of a call run."""

    executor: Spec | None


class BatchKey(TypedDict, total=False):
    """The rows of a training batch."""

    batch_size: int | Literal["auto"]


class CompileKey(TypedDict, total=False):
    """Whether training compiles the network."""

    compile: bool


class WorkersKey(TypedDict, total=False):
    """The number of loader processes."""

    workers: int | Literal["auto"]


class PlotKeys(CommonKeys, DeviceKey, ExecutorKey, BatchKey, CompileKey, WorkersKey, total=False):
    """All keys except the seed, which is an option of the plot itself."""


class ConfigKeys(PlotKeys, SeedKey, total=False):
    """All keys of config.json."""


class TtaKeys(CommonKeys, SeedKey, BatchKey, CompileKey, WorkersKey, total=False):
    """All keys except `device` and `executor`, which are options of the call."""


class EmbedKeys(TtaKeys, ExecutorKey, total=False):
    """All keys except `device`."""


class NetworkBenchKeys(CommonKeys, SeedKey, DeviceKey, ExecutorKey, WorkersKey, total=False):
    """All keys except `batch_size` and `compile`."""


class StepKeys(NetworkBenchKeys, CompileKey, total=False):
    """All keys except `batch_size`."""


class LoaderBenchKeys(CommonKeys, SeedKey, DeviceKey, ExecutorKey, BatchKey, CompileKey, total=False):
    """All keys except `workers`."""


class FromConfig:
    """The default of a keyword in a signature: config.json's value."""

    def __repr__(self) -> str:
        return "<config.json>"


FROM_CONFIG = FromConfig()


def completes(method: Method) -> Method:
    """Lists the keys of config.json in a method's signature, in place of `**config`, so that Tab completes them."""
    signature = inspect.signature(method)
    own = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    own_names = {parameter.name for parameter in own}
    keys = ConfigKeys.__annotations__
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=FROM_CONFIG, annotation=kind)
        for name, kind in keys.items()
        if name not in own_names
    ]
    method.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    return method
