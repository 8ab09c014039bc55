"""Checks of speed, of predicted memory and of whole runs on a GPU."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_bench import (
    CPU,
    RATE_S,
    Bench,
    NotPossibleError,
    Outcome,
    check,
    take_step,
)
from benchmarks.train_throughput import bare_steps
from kit.core.batching import even_batches
from kit.data.predictions import Predictions
from kit.device import memory
from kit.device.compiling import check_compiler, compile_training
from kit.device.precision import worker_count
from kit.engine.batches import random_batch
from kit.engine.fit import StepEvent, fit
from kit.engine.step import StepPlan
from kit.errors import ConfigError
from kit.experiment.batch_size import measure_config
from kit.experiment.fold_training import new_learner, train_stages
from kit.experiment.prediction_file import load_for_prediction
from kit.model import checkpoints
from kit.runs.run import find_run, is_finished
from kit.stages.profiling.speed import measure_speed
from kit.stages.training.train import train_run

MAX_RESUME_GAP = 0.2  # of a probability: kernels of a GPU may add in another order each time
MIN_FEED_RATE = 3000  # images a second at 224 px
WARM_UP_BATCHES = 32  # that loader processes may have made in advance


def lengthen(batches: Any) -> None:
    """Shows the drawn rows 32 times in an epoch, so that the ends of epochs hardly count."""
    batches.rows = np.tile(batches.rows, 32)
    batches.steps = len(even_batches(len(batches.rows), batches.batch_size))


@check("training speed relative to a bare loop, {0} batch: at least {1}", ("small", 0.90), ("large", 0.95))
def check_throughput(bench: Bench, name: str, least: float) -> Outcome:
    count = bench.large_batch if name == "large" else 32 if bench.is_gpu else 8
    context = bench.context(f"batch_size={count}", "augmenter=light")
    learner, batch = new_learner(context, 0), bench.batch(context, count)
    bare_loop = bare_steps(context, new_learner(context, 0))
    bare = bench.rate(lambda: next(bare_loop), count)
    alone = bench.rate(lambda: take_step(context, learner, batch), count)
    stages = [replace(stage, epochs=10) for stage in train_stages(context, 0)]
    for stage in stages:
        lengthen(stage.batches)
    events = fit(new_learner(context, 0), stages, StepPlan(0, 0), context.precision)
    steps = (event for event in events if isinstance(event, StepEvent))
    whole = bench.rate(lambda: next(steps), count, 2 * RATE_S)
    text = f"bare {bare:.0f} images/s, kit's step {alone:.0f} ({alone / bare:.3f}), with loader {whole:.0f} "
    text += f"({whole / bare:.3f}); {context.precision.train}, batch {count}"
    return Outcome(whole >= least * bare if bench.is_gpu else None, text)


@check("memory forecast within 5 % of the real peak: {0}", ("resnet50",), ("vit_small_patch16_224",))
def check_forecast(bench: Bench, arch: str) -> Outcome:
    if not bench.is_gpu and arch != "resnet50":
        raise NotPossibleError("one network is enough on a CPU")
    name, count = (arch, 128) if bench.is_gpu else (bench.arch, 16)
    overrides = [f"backbone.arch={name}"]
    quarter, _, _ = measure_config(bench.workspace(*overrides), count // 4)
    gc.collect()
    memory.empty_cache(bench.device)
    real, _, _ = measure_config(bench.workspace(*overrides), count)
    if real.measured is None:
        raise NotPossibleError("the system does not report the peak")
    ratio = quarter.peak(count) / real.measured
    text = (
        f"{quarter.peak(count) / 2**20:.0f} MiB predicted, {real.measured / 2**20:.0f} measured: {ratio:.3f}"
    )
    return Outcome(abs(ratio - 1) <= 0.05 if bench.is_gpu else None, f"{text}; {name}, batch {count}")


@check(
    "auto takes a dtype and memory format within 10 % of the fastest: {0}", ("resnet50",), ("convnext_tiny",)
)
def check_auto(bench: Bench, arch: str) -> Outcome:
    if not bench.is_gpu and arch != "resnet50":
        raise NotPossibleError("one network is enough on a CPU")
    name = arch if bench.is_gpu else bench.arch
    result = measure_speed(bench.workspace(f"backbone.arch={name}"), 128 if bench.is_gpu else 8, 6)
    used, best = result.rate(result.used.train, result.used.memory_format), result.trains_fastest
    text = f"{name}: {used.way.dtype}, {used.way.memory_format}: {used.train:.0f} images/s; fastest "
    text += f"{best.way.dtype}, {best.way.memory_format}: {best.train:.0f}"
    return Outcome(used.train >= 0.9 * best.train if bench.is_gpu else None, text)


@check(
    "the loader feeds 3,000 images/s of 224 px: {0}", ("light",), ("heavy",), ("randaugment",), ("retail",)
)
def check_loader(bench: Bench, augmenter: str) -> Outcome:
    context = bench.context(f"augmenter={augmenter}", f"batch_size={64 if bench.is_gpu else 8}")
    batches: Any = train_stages(context, 0)[0].batches
    lengthen(batches)
    start, elapsed, rows = 0.0, 0.0, 0
    with closing(batches):
        for number, batch in enumerate(batches.epoch(0)):
            if number < WARM_UP_BATCHES:
                start = time.perf_counter()
                continue
            rows, elapsed = rows + len(batch), time.perf_counter() - start
            if elapsed > (RATE_S if bench.is_gpu else 0.3):
                break
    rate = rows / elapsed
    workers = worker_count(context.experiment.workers, bench.device)
    text = f"{rate:.0f} images/s, {workers} loader processes, {context.experiment.image_size} px"
    return Outcome(rate >= MIN_FEED_RATE if bench.is_gpu else None, text)


RESUMED = ("backbone.arch=resnet10t", "epochs=2", "workers=0", "save_every_steps=2")


@check("a run that was cut off resumes: to the bit on a CPU, and close on a GPU")
def check_resume(bench: Bench) -> Outcome:
    workspace = bench.workspace(*RESUMED, f"image_size={64 if bench.is_gpu else 32}")
    train_run(workspace, "whole")
    fold = workspace.runs / "cut" / "fold-0"
    newest = None
    with closing(train_run.with_progress(workspace, "cut")) as work:
        for _ in work:
            if (newest := checkpoints.newest(fold)) is not None:
                break
    was_cut = newest is not None and not is_finished(find_run(workspace, "cut"))
    train_run(workspace, "cut")
    files = [workspace.runs / name / "predictions/plain/oof.parquet" for name in ("whole", "cut")]
    predictions = [Predictions.read(file).probabilities for file in files]
    gap = float(np.abs(predictions[0] - predictions[1]).max())
    is_close = gap <= MAX_RESUME_GAP if bench.is_gpu else gap == 0
    at = "before a checkpoint" if newest is None else f"after checkpoint {newest.name}"
    return Outcome(was_cut and is_close, f"gap of probabilities {gap:.1e}, cut off {at}")


@check("a GPU's checkpoint predicts the same classes on a CPU")
def check_other_device(bench: Bench) -> Outcome:
    bench.require_gpu()
    workspace = bench.workspace(*RESUMED, "image_size=64")
    path = checkpoints.newest(train_run(workspace, "moved").fold(0))
    assert path is not None
    images = random_batch(bench.context(*RESUMED, "image_size=64").loaded.table, 16, 64).images
    predictions = []
    for device in (CPU, bench.device):
        predictor = load_for_prediction(path, workspace.root, device)
        predictions.append(predictor.probabilities(predictor.precision.to_layout(images, device)).cpu())
    same = float((predictions[0].argmax(1) == predictions[1].argmax(1)).float().mean())
    gap = float((predictions[0] - predictions[1]).abs().max())
    return Outcome(same >= 0.9, f"{same:.0%} of 16 classes, gap of probabilities {gap:.1e}")


@check(
    "two processes: {0}",
    ("two folds on one device", "--executor", '{"name": "processes", "workers": 2}', "splitter.folds=2"),
    ("two ranks on two devices", "--devices", "2", "workers=0"),
)
def check_processes(bench: Bench, name: str, option: str, value: str, override: str) -> Outcome:
    if bench.is_gpu and option == "--devices" and torch.cuda.device_count() < 2:
        raise NotPossibleError("needs two GPUs")
    workspace = bench.workspace()
    overrides = [
        "backbone.arch=resnet10t",
        "image_size=64",
        "epochs=1",
        "batch_size=16",
        "loss=cross_entropy",
    ]
    overrides += [override] if option == "--devices" else ["splitter=stratified_kfold", override, "workers=0"]
    if bench.is_gpu and option == "--executor":
        value = '{"name": "processes", "workers": 2, "devices": ["0"]}'
    device = [] if bench.is_gpu else ["device=cpu"]
    command = [sys.executable, "-m", "kit", "train", "--name", name.replace(" ", "-"), option, value]
    start = time.perf_counter()
    ended = subprocess.run(
        [*command, *overrides, *device], cwd=workspace.root, capture_output=True, text=True, timeout=300
    )
    lines = ended.stderr.strip().splitlines()
    text = f"{time.perf_counter() - start:.0f} s" if ended.returncode == 0 else " ".join(lines[-2:])[:200]
    return Outcome(ended.returncode == 0, text)


@check("compile=true trains")
def check_compile(bench: Bench) -> Outcome:
    try:
        check_compiler(bench.device)
    except ConfigError as error:
        raise NotPossibleError(str(error)) from None
    context = bench.context(*(["backbone.arch=resnet18"] if bench.is_gpu else []))
    learner, count = new_learner(context, 0), 32 if bench.is_gpu else 8
    batch = bench.batch(context, count)
    plain = bench.rate(lambda: take_step(context, learner, batch), count, RATE_S / 2)
    compile_training(learner.network)
    start = time.perf_counter()
    _, is_finite = take_step(context, learner, batch)
    seconds = time.perf_counter() - start
    compiled = bench.rate(lambda: take_step(context, learner, batch), count, RATE_S / 2)
    return Outcome(
        bool(is_finite), f"{seconds:.0f} s to compile; {plain:.0f} images/s before, {compiled:.0f} after"
    )
