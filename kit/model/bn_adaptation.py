"""Batch norm adapted to the rows that are predicted: its statistics become a mixture of training's and theirs."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kit.device.precision import Precision
from kit.device.torch_internals import AnyBatchNorm
from kit.errors import ConfigError, RunError

if TYPE_CHECKING:
    from kit.engine.batches import Batch

# rows at a time, whatever the config has, so that statistics do not depend on it; the largest is the first choice
BATCH_ROWS = range(64, 32, -1)


def choose_batch_rows(rows: int) -> int:
    """Returns the rows at a time for which the last batch is as full as possible."""
    return max(BATCH_ROWS, key=lambda size: (rows % size or size) / size)


def find_norms(network: nn.Module) -> list[AnyBatchNorm]:
    """Returns the batch norms of a network that have running statistics."""
    return [
        module
        for module in network.modules()
        if isinstance(module, AnyBatchNorm) and module.running_mean is not None
    ]


def _statistics(norm: AnyBatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def check_norms(network: nn.Module, name: str) -> None:
    """Raises ConfigError C90 for a network without batch norm; `name` is the run's."""
    if not find_norms(network):
        raise ConfigError(
            f"runs/{name} has no batch norm, so there are no statistics to adapt",
            code="C90",
            hint="omit --bn-adapt",
        )


def adapt_batch_norm(
    network: nn.Module, batches: Iterable[Batch], rows: int, prior: int, precision: Precision
) -> nn.Module:
    """Returns a copy whose running statistics are prior / (prior + rows) of training's, and the rest of `batches`.

    One pass: in each batch all batch norms normalise by the batch's own statistics, and everything else predicts.
    The statistics of the batches are averaged, each weighing its rows; variances are unbiased, as torch's are.

    Raises RunError R04 for a batch with one value per channel.

    Source: Schneider et al. 2020, "Improving robustness against common corruptions by covariate shift adaptation",
    equation 3; the pass as torch.optim.swa_utils.update_bn.
    """
    adapted = deepcopy(network).eval()
    norms = find_norms(adapted)
    before = [[value.clone() for value in _statistics(norm)] for norm in norms]
    momenta = [norm.momentum for norm in norms]
    device, seen = next(adapted.parameters()).device, 0
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
    with precision.autocast_prediction(device):
        for batch in batches:
            seen += len(batch)
            for norm in norms:
                norm.momentum = len(batch) / seen
            _show(adapted, batch, precision, device)
    share = prior / (prior + rows)
    with torch.no_grad():
        for norm, momentum, trained in zip(norms, momenta, before, strict=True):
            norm.momentum = momentum
            for measured, value in zip(_statistics(norm), trained, strict=True):
                measured.lerp_(value, share)
    return adapted.eval()


def _show(network: nn.Module, batch: Batch, precision: Precision, device: torch.device) -> Tensor:
    images = precision.to_layout(batch.images, device)
    try:
        outputs: Tensor = network(images) if batch.side is None else network(images, batch.side.to(device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RunError(
            f"batch norm has no statistics of {len(images)} row: it has one value per channel",
            code="R04",
            hint="predict without --bn-adapt, or more rows",
        ) from error
    return outputs
