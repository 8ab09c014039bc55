"""Stands in for timm's train.py where that is not at hand: timm's own parts, the same options and defaults.

With `--predict FILE` it also writes the probabilities of the images in test/, as timm's inference.py does.

Runs in the peers' environment. Loading, augmentation, optimizer, schedule, loss, accuracy and checkpoints are timm's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from timm import create_model, utils
from timm.data import create_dataset, create_loader, create_transform, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

Autocast = Callable[[], AbstractContextManager[Any]]


def options() -> argparse.Namespace:
    """train.py's options that the benchmark gives, with its defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    for name, default in (
        ("model", "resnet50"),
        ("num-classes", 1000),
        ("img-size", 224),
        ("batch-size", 128),
        ("epochs", 300),
        ("opt", "sgd"),
        ("lr", 0.05),
        ("weight-decay", 2e-5),
        ("warmup-epochs", 5),
        ("smoothing", 0.1),
        ("device", "cuda"),
        ("output", "."),
        ("experiment", "r"),
        ("checkpoint-hist", 10),
        ("workers", 4),
        ("amp-dtype", "float16"),
        ("log-interval", 50),
        ("pretrained-path", ""),
        ("predict", ""),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--pretrained", action="store_true")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    return parser.parse_args()


def loaders(arguments: argparse.Namespace, config: dict[str, Any]) -> tuple[Any, Any]:
    """timm's loaders with train.py's default augmentation, and its prefetcher."""
    shared = {
        "input_size": config["input_size"],
        "batch_size": arguments.batch_size,
        "num_workers": arguments.workers,
        "mean": config["mean"],
        "std": config["std"],
        "device": torch.device(arguments.device),
        "use_prefetcher": True,
    }
    # without --class-map, timm numbers the classes of each folder on its own, and validation/ may lack some
    names = Path(arguments.output) / "classes.txt"
    names.write_text("".join(f"{label}\n" for label in list_classes(arguments)))
    root, classes = str(arguments.data_dir), str(names)
    train = create_dataset("", root=root, split="train", is_training=True, class_map=classes)
    validation = create_dataset("", root=root, split="validation", is_training=False, class_map=classes)
    return (
        create_loader(train, is_training=True, interpolation="random", color_jitter=0.4, **shared),
        create_loader(
            validation,
            is_training=False,
            interpolation=config["interpolation"],
            crop_pct=config["crop_pct"],
            **shared,
        ),
    )


def list_classes(arguments: argparse.Namespace) -> list[str]:
    """The names of the folders of train/."""
    return sorted(folder.name for folder in (arguments.data_dir / "train").iterdir())


def arranged(images: torch.Tensor, arguments: argparse.Namespace) -> torch.Tensor:
    """The batch in the layout that was asked for."""
    return images.contiguous(memory_format=torch.channels_last) if arguments.channels_last else images


def train_epoch(
    epoch: int,
    model: torch.nn.Module,
    loader: Any,
    optimizer: Any,
    schedule: Any,
    loss_of: Any,
    autocast: Autocast,
    arguments: argparse.Namespace,
) -> float:
    """One epoch; the mean loss."""
    model.train()
    meter = utils.AverageMeter()
    for number, (images, labels) in enumerate(loader):
        with autocast():
            loss = loss_of(model(arranged(images, arguments)), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step_update(num_updates=epoch * len(loader) + number + 1)
        if number % arguments.log_interval == 0:
            meter.update(loss.item(), len(images))
            print(f"Train: {epoch} [{number}/{len(loader)}] Loss: {meter.avg:.3f}", flush=True)
    return float(meter.avg)


@torch.no_grad()
def validate(
    model: torch.nn.Module, loader: Any, autocast: Autocast, arguments: argparse.Namespace
) -> dict[str, float]:
    """Loss and accuracy of the held-out rows, in per cent."""
    model.eval()
    losses, top1, top5 = utils.AverageMeter(), utils.AverageMeter(), utils.AverageMeter()
    for images, labels in loader:
        with autocast():
            outputs = model(arranged(images, arguments))
            loss = torch.nn.functional.cross_entropy(outputs, labels)
        first, fifth = utils.accuracy(outputs, labels, topk=(1, 5))
        losses.update(loss.item(), len(images))
        top1.update(first.item(), len(images))
        top5.update(fifth.item(), len(images))
    return {"loss": losses.avg, "top1": top1.avg, "top5": top5.avg}


def main() -> None:
    """Trains, validates and saves after each epoch, as train.py does."""
    arguments = options()
    utils.random_seed(42, 0)
    overlay = {"file": arguments.pretrained_path} if arguments.pretrained_path else None
    model = create_model(
        arguments.model,
        pretrained=arguments.pretrained,
        num_classes=arguments.num_classes,
        pretrained_cfg_overlay=overlay,
    )
    config = resolve_data_config({"img_size": arguments.img_size}, model=model)
    if arguments.channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(
        model, opt=arguments.opt, lr=arguments.lr, weight_decay=arguments.weight_decay
    )
    train, validation = loaders(arguments, config)
    schedule, _ = create_scheduler_v2(
        optimizer,
        "cosine",
        num_epochs=arguments.epochs,
        warmup_epochs=arguments.warmup_epochs,
        updates_per_epoch=len(train),
    )
    dtype = getattr(torch, arguments.amp_dtype)
    autocast: Autocast = (
        (lambda: torch.autocast(arguments.device, dtype=dtype)) if arguments.amp else nullcontext
    )
    out = Path(arguments.output) / arguments.experiment
    out.mkdir(parents=True)
    saver = utils.CheckpointSaver(
        model,
        optimizer,
        args=arguments,
        checkpoint_dir=str(out),
        recovery_dir=str(out),
        max_history=arguments.checkpoint_hist,
    )
    loss_of = LabelSmoothingCrossEntropy(arguments.smoothing)
    for epoch in range(arguments.epochs):
        loss = train_epoch(epoch, model, train, optimizer, schedule, loss_of, autocast, arguments)
        scores = validate(model, validation, autocast, arguments)
        utils.update_summary(epoch, {"loss": loss}, scores, str(out / "summary.csv"), write_header=epoch == 0)
        saver.save_checkpoint(epoch, metric=scores["top1"])
        schedule.step(epoch + 1, scores["top1"])
    if arguments.predict:
        best = torch.load(out / "model_best.pth.tar", weights_only=False)
        model.load_state_dict(best["state_dict"])
        predict(model, list_classes(arguments), config, autocast, arguments)


@torch.no_grad()
def predict(
    model: torch.nn.Module,
    classes: list[str],
    config: dict[str, Any],
    autocast: Autocast,
    arguments: argparse.Namespace,
) -> None:
    """Writes the probabilities of the images in test/ to the file of --predict, as timm's inference.py does."""
    model.eval()
    files = sorted((arguments.data_dir / "test").iterdir())
    change = create_transform(
        config["input_size"],
        is_training=False,
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
    )
    lines = [",".join(["image", *classes])]
    for start in range(0, len(files), arguments.batch_size):
        names = files[start : start + arguments.batch_size]
        images = torch.stack([change(Image.open(file).convert("RGB")) for file in names])
        with autocast():
            probabilities = model(arranged(images, arguments)).float().softmax(1)
        lines += [
            ",".join([file.name, *map(str, row)])
            for file, row in zip(names, probabilities.tolist(), strict=True)
        ]
    Path(arguments.predict).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
