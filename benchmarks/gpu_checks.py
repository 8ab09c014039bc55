"""Checks of single steps and batches on a GPU: waits, equal results, steps that are not finite, and little memory.

A check raises NotPossibleError if this device cannot show what it is about.
"""

from __future__ import annotations

import gc
import math
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_bench import (
    CPU,
    Bench,
    NotPossibleError,
    Outcome,
    check,
    kit_line,
    take_nan_step,
    take_step,
)
from benchmarks.train_throughput import bare_steps
from kit.core.progress import Progress, finish
from kit.device import memory
from kit.device.precision import Precision, choose_device, dtypes, name_of, worker_count
from kit.engine import step as engine_step
from kit.engine.batches import AHEAD, SHARED_MEMORY, fit_shared_memory
from kit.engine.step import StepPlan, optimizer_step
from kit.errors import KitWarning
from kit.experiment.fold_training import new_learner
from kit.kinds import Views
from kit.model.predict import Predictor, SafeBatchSize, open_views, predict_with_oom_retry

MAX_LOSS_GAP = 5e-3  # relative, between a GPU and a CPU over five float32 steps
MAX_VIEW_GAP = 2e-3  # of a float32 probability, between a GPU and a CPU
MAX_MORE_OPERATIONS = 1.10  # of kit's step, relative to a bare step
# they launch nothing
VIEWS = {
    *(
        "view",
        "_unsafe_view",
        "permute",
        "transpose",
        "t",
        "expand",
        "slice",
        "select",
        "unsqueeze",
        "squeeze",
    ),
    *("as_strided", "detach", "alias", "empty", "empty_like", "empty_strided", "split", "split_with_sizes"),
    *("unbind", "lift_fresh"),
}


@check("device=auto takes the GPU, and torch has kernels for it")
def check_device(bench: Bench) -> Outcome:
    bench.require_gpu()
    major, minor = torch.cuda.get_device_capability(bench.device)
    return Outcome(
        choose_device("auto").type == "cuda", f"{name_of(bench.device)}, capability {major}.{minor}"
    )


@check("shared memory holds the loaders' batches of 32 images of 224 px")
def check_shared_memory(bench: Bench) -> Outcome:
    if not SHARED_MEMORY.is_dir():
        raise NotPossibleError("this system has no /dev/shm")
    workers = worker_count("auto", torch.device("cuda"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        used, ahead = fit_shared_memory(32 * 224 * 224 * 3, workers)
    free = shutil.disk_usage(SHARED_MEMORY).free // 2**20
    text = f"{free} MiB free; {used} of {workers} loader processes, {ahead} of {AHEAD} batches in advance"
    return Outcome(None, text)


@check(
    "no step waits for the GPU: {0}",
    *[("loss=cross_entropy",), ("loss=label_smoothing",), ("loss=cutmix",), ("loss=arcface",)],
    *[("loss=class_weighted",), ("loss=proxy_anchor",), ("precision=float16",), ("optimizer=sgd",)],
)
def check_waits(bench: Bench, override: str) -> Outcome:
    bench.require_gpu()
    context = bench.context("backbone.arch=resnet18", "image_size=64", override)
    learner, batch, loss = new_learner(context, 0), bench.batch(context, 16), context.techniques.parts.loss
    for _ in range(2):
        take_step(context, learner, batch)
    memory.wait_for(bench.device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        finish(optimizer_step(learner, loss, batch, StepPlan(0, 0), context.precision, 0.0))
    except RuntimeError as error:
        return Outcome(False, f"{str(error).splitlines()[0][:60]} in {kit_line(error)}")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return Outcome(True, "0 waits")


class _OperationCounter(TorchDispatchMode):
    """Counts what a GPU would launch; a copy of several tensors between dtypes launches one for each."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        is_mixed = name == "_foreach_copy_" and len({tensor.dtype for tensor in args[0]}) > 1
        self.count += len(args[0]) if is_mixed else name not in VIEWS
        return func(*args, **(kwargs or {}))


@check("operations of a step of resnet50: at most 1.10 of a bare step")
def check_operations(bench: Bench) -> Outcome:
    # below 8.0 a GPU has no bfloat16, and a bare loop in float16 would lack the loss scaling
    dtype = "bfloat16" if not bench.is_gpu or "bfloat16" in dtypes(bench.device) else "float32"
    context = bench.context("backbone.arch=resnet50", f"precision={dtype}", "image_size=64")
    learner, batch = new_learner(context, 0), bench.batch(context, 2)
    bare = bare_steps(context, new_learner(context, 0))
    waits = engine_step._waits if bench.is_gpu else lambda learner: False  # a CPU takes a GPU's path
    counts = []
    with patch.object(engine_step, "_waits", waits):
        for work in (lambda: next(bare), lambda: take_step(context, learner, batch)):
            work()
            with _OperationCounter() as counter:  # type: ignore[no-untyped-call]
                work()
            counts.append(counter.count)
    ratio = counts[1] / counts[0]
    return Outcome(ratio <= MAX_MORE_OPERATIONS, f"{counts[1]} and {counts[0]}, ratio {ratio:.3f}")


@contextmanager
def without_tf32() -> Iterator[None]:
    """Computes products and convolutions of float32 in float32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@check(
    "five float32 losses equal those of a CPU: {0}",
    ("optimizer=adamw",),
    ("optimizer=sgd",),
    ("pooling=gem",),
)
def check_losses(bench: Bench, override: str) -> Outcome:
    bench.require_gpu()
    context = bench.context("backbone.arch=resnet10t", "image_size=64", "precision=float32", override)
    losses = []
    with without_tf32():
        for device in (CPU, bench.device):
            learner, batch = new_learner(replace(context, device=device), 0), bench.batch(context, 16)
            losses.append([float(take_step(context, learner, batch)[0]) for _ in range(5)])
    gap = max(abs(mine - other) / abs(other) for other, mine in zip(*losses, strict=True))
    return Outcome(gap <= MAX_LOSS_GAP, f"relative gap at most {gap:.1e}")


@check(
    "a loss of NaN changes no weight: {0}, {1}",
    *[(dtype, name) for dtype in ("float32", "auto") for name in ("adamw", "sgd")],
)
def check_nan(bench: Bench, dtype: str, optimizer: str) -> Outcome:
    context = bench.context(f"precision={dtype}", f"optimizer={optimizer}")
    learner, batch = new_learner(context, 0), bench.batch(context, 8)
    take_step(context, learner, batch)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    average = learner.average_network
    averaged = {} if average is None else {k: value.clone() for k, value in average.state_dict().items()}
    was_finite = take_nan_step(context, learner, batch)
    changed = [n for n, value in learner.network.state_dict().items() if not torch.equal(value, before[n])]
    broken = [
        name
        for name, value in ({} if average is None else average.state_dict()).items()
        if averaged[name].is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    text = f"{len(changed)} of {len(before)} tensors changed, {len(broken)} of the average not finite"
    return Outcome(not was_finite and not changed and not broken, f"{context.precision.train}: {text}")


@check("float16 trains on after an overflow in the first step: {0}", ("adamw",), ("sgd",))
def check_overflow(bench: Bench, optimizer: str) -> Outcome:
    context = bench.context("precision=float16", f"optimizer={optimizer}", "optimizer.lr=0.001")
    # freed memory is handed out again, and is not zero on a machine that has worked
    used = [torch.full((count,), math.nan, device=bench.device) for count in (10, 512, 4096, 147456) * 8]
    del used
    learner, batch = new_learner(context, 0), bench.batch(context, 8)
    learner.scaler = torch.amp.GradScaler(bench.device.type, init_scale=2.0**24)
    take_step(context, learner, batch)
    first = int(learner.overflows)
    for _ in range(30):
        value, _ = take_step(context, learner, batch)
    is_finite = all(bool(torch.isfinite(weight).all()) for weight in learner.network.parameters())
    text = f"loss {float(value):.3g}, {int(learner.overflows)} overflows in 31 steps"
    return Outcome(first == 1 and is_finite and bool(torch.isfinite(value)), text)


@check("float16 with clip_grad_norm trains on after a loss of NaN")
def check_clipping(bench: Bench) -> Outcome:
    optimizer = 'optimizer={"name": "timm", "opt": "adamw", "lr": 0.001}'
    context = bench.context("precision=float16", optimizer)
    learner, batch = new_learner(context, 0), bench.batch(context, 8)
    # at a scale of one nothing overflows
    learner.scaler = torch.amp.GradScaler(bench.device.type, init_scale=1.0)
    first = take_step(context, learner, batch, clip_grad_norm=1.0)[1]
    spoilt = take_nan_step(context, learner, batch, clip_grad_norm=1.0)
    value, last = take_step(context, learner, batch, clip_grad_norm=1.0)
    return Outcome(bool(first & last) and not spoilt, f"loss {float(value):.3g} in the next step")


def pretend_short(most: int) -> Any:
    """Convolutions that run out of memory with more than so many images."""
    plain = nn.Conv2d.forward

    def forward(module: nn.Conv2d, images: Tensor) -> Tensor:
        if len(images) > most:
            raise torch.OutOfMemoryError("out of memory, pretended")
        return plain(module, images)

    return patch.object(nn.Conv2d, "forward", forward)


@check("training and predicting continue when memory runs out")
def check_out_of_memory(bench: Bench) -> Outcome:
    arch, side, count = ("resnet18", 128, 256) if bench.is_gpu else (bench.arch, bench.size, 16)
    context = bench.context(f"backbone.arch={arch}", f"image_size={side}", "precision=float32")
    learner, batch = new_learner(context, 0), bench.batch(context, count)
    take_step(
        context, learner, bench.batch(context, 4)
    )  # the optimizer's state is there before memory is short
    learner.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    memory.empty_cache(bench.device)
    limit: AbstractContextManager[object] = pretend_short(5)
    if bench.is_gpu:
        total = torch.cuda.get_device_properties(bench.device).total_memory
        taken = memory.device_memory(bench.device).taken
        torch.cuda.set_per_process_memory_fraction((taken + 500 * 2**20) / total)
        limit = nullcontext()
    try:
        with limit:
            _, is_finite = take_step(context, learner, batch)
            learner.optimizer.zero_grad(set_to_none=True)
            memory.empty_cache(bench.device)
            learner.network.eval()
            predictor = Predictor(learner.network, context.techniques.parts.loss, context.precision)
            groups, views = SafeBatchSize(), open_views(Views.open("plain"), side)
            work = predict_with_oom_retry(
                predictor, batch.images, views, "mean", groups, Progress("check", 0, 1)
            )
            rows = len(finish(work))
    finally:
        if bench.is_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0)
    text = f"{learner.micro_batch_size} of {count} images at a time in training, {groups.size or count} in predicting"
    return Outcome(bool(is_finite) and learner.micro_batch_size is not None and rows == count, text)


@check("running out of memory while a batch is copied does not end training")
def check_copy(bench: Bench) -> Outcome:
    context = bench.context()
    learner, batch, plain, calls = new_learner(context, 0), bench.batch(context, 8), Precision.to_layout, [0]

    def fail_once(precision: Precision, images: Tensor, device: torch.device) -> Tensor:
        calls[0] += 1
        if calls[0] == 1:
            raise torch.OutOfMemoryError("out of memory, pretended")
        return plain(precision, images, device)

    with patch.object(Precision, "to_layout", fail_once):
        _, is_finite = take_step(context, learner, batch)
    return Outcome(bool(is_finite), f"{calls[0]} copies for one step")


@check("views of float32 equal those of a CPU: {0}", ("hflip",), ("d4",), ("scale",), ("shift",))
def check_views(bench: Bench, name: str) -> Outcome:
    bench.require_gpu()
    context = bench.context("backbone.arch=resnet10t", "image_size=64", "precision=float32")
    batch, views = bench.batch(context, 16), open_views(Views.open(name), 64)
    predictions = []
    for device in (CPU, bench.device):
        network = new_learner(replace(context, device=device), 0).network.eval()
        predictor = Predictor(network, context.techniques.parts.loss, context.precision)
        images = context.precision.to_layout(batch.images, device)
        with without_tf32():
            predictions.append(predictor.predict_views(images, views, "mean").cpu())
    gap = float((predictions[0] - predictions[1]).abs().max())
    return Outcome(gap <= MAX_VIEW_GAP, f"gap at most {gap:.1e}")
