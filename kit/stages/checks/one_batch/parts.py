"""Parts: finds the network's parts that do not move, and checks that its outputs depend on images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from kit.engine.learner import Learner
from kit.errors import Case
from kit.model.weight_averaging import Ema
from kit.stages.checks.finding import Finding
from kit.stages.checks.one_batch.overfitting import OverfitResult
from kit.stages.checks.one_batch.probe_batch import ProbeBatch

MIN_RELATIVE_LR_STEP = 1e-4  # share of the optimizer's rate below which a part counts as not moving
OUTPUT_TOLERANCE = 1e-5  # share of the outputs' size that is rounding
UNMOVED = "it gets gradients, but the optimizer does not update it"
MIN_AVERAGE_PROGRESS = 0.1  # share of the weights' movement that their average must have followed


def ignores_images(probe: ProbeBatch, learner: Learner) -> bool:
    """Whether each row's outputs stay the same with another row's image, with the same dropout."""
    plain = probe.outputs(learner)
    other = probe.outputs(learner, probe.batch.images.roll(1, 0))
    if not torch.isfinite(plain).all():
        return False
    return float((plain - other).abs().max()) <= OUTPUT_TOLERANCE * max(
        float(plain.abs().max()), OUTPUT_TOLERANCE
    )


def check_images_matter() -> Finding:
    """Returns K23: the network's outputs do not depend on its images."""
    return Finding(
        "K23",
        "problem",
        "the network returns the same outputs for every image",
        "it can learn only the class frequencies",
        "check the outputs of backbone and pooling: they are constant, or all units of a layer are dead",
    )


def check_parts_move(still: Mapping[str, str]) -> Finding:
    """Returns K25: parts that should learn but do not move, each with its reason."""
    return Finding(
        "K25",
        "problem",
        f"parts of the network do not change although no freeze is set: {', '.join(still)}",
        "their weights stay at their random or pretrained values",
        "check the optimizer's build(), lr_scales and layer_decay; use freeze in stages if this is intended",
        tuple(Case(why, part) for part, why in still.items()),
    )


def find_unchanged_parts(probe: ProbeBatch, fitted: OverfitResult) -> dict[str, str]:
    """Returns the parts of the network with trained weights that do not move, and why."""
    learner, unchanged = fitted.learner, {}
    rates = _rates(learner)
    usual = float(getattr(probe.setting.techniques.optimizer, "lr", 0.0) or max(learner.peaks))
    for part, module in learner.network.named_children():
        weights = {f"{part}.{name}": weight for name, weight in module.named_parameters()}
        learning = {name: weight for name, weight in weights.items() if weight.requires_grad}
        rates_of_part = [rates[id(weight)] for weight in learning.values() if id(weight) in rates]
        moved = any(not torch.equal(weight, fitted.before[name]) for name, weight in learning.items())
        if not learning:
            continue
        if not rates_of_part:
            unchanged[part] = "the optimizer does not have its weights"
        elif max(rates_of_part) <= MIN_RELATIVE_LR_STEP * usual:
            unchanged[part] = (
                f"its learning rate is {max(rates_of_part):.3g}, that of the optimizer {usual:.3g}"
            )
        elif not moved:
            reached = any(weight.grad is not None and weight.grad.any() for weight in learning.values())
            unchanged[part] = UNMOVED if reached else "it gets no gradient"
    return unchanged


def _rates(learner: Learner) -> dict[int, float]:
    """Returns the peak rate of each weight that the optimizer has, by the weight's id."""
    groups = zip(learner.optimizer.param_groups, learner.peaks, strict=True)
    return {id(weight): lr for group, lr in groups for weight in group["params"]}


def check_average(fitted: OverfitResult) -> Iterator[Finding]:
    """Yields K28: the averaged weights, which predict, have hardly moved."""
    average = fitted.learner.average
    if not isinstance(average, Ema):
        return
    averaged, own = dict(average.module.named_parameters()), dict(fitted.learner.network.named_parameters())
    way = _distance({name: own[name] - fitted.before[name] for name in own})
    come = _distance({name: averaged[name] - fitted.before[name] for name in own})
    if way > 0 and come < MIN_AVERAGE_PROGRESS * way:
        yield Finding(
            "K28",
            "warning",
            f"after {fitted.learner.step} steps the averaged weights have moved {come / way:.1%} of the way",
            "predictions use the averaged weights, so scores and submissions are those of the initial "
            "network",
            "a lower ema_decay, or ema_decay=0",
        )


def _distance(differences: dict[str, torch.Tensor]) -> float:
    return float(torch.stack([value.detach().float().norm() for value in differences.values()]).norm())
